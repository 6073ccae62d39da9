/** How a request can end without an answer. An answer outside 2xx is the kit's `ResponseError`. */

/** The address, or the URL itself, is one that this installation does not send to. Nothing was connected. */
export class EgressDenied extends Error {
  override name = 'EgressDenied'
  readonly code = 'EGRESS_DENIED'
}

/** No answer came, or none that can be used. `code` is the system's (`ECONNREFUSED`, `ENOTFOUND`, `ETIMEDOUT`, …). */
export class SendFailed extends Error {
  override name = 'SendFailed'
  readonly code: string
  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** Tells in the system's words what undici, OpenSSL or the resolver reported. `host` is for the sentence; paths and queries
 *  may hold secrets and stay out of it. */
export function toSendError(error: Error, host: string): EgressDenied | SendFailed {
  if (error instanceof EgressDenied || error instanceof SendFailed) return error
  const reported = 'code' in error && typeof error.code === 'string' ? error.code : 'ECONNRESET'
  const code = codes[reported] ?? (reported.startsWith('HPE_') ? 'ECONNRESET' : reported)
  return new SendFailed(code, `${sentences[code] ?? `The connection failed: ${error.message}`} (${host})`, error)
}

const codes: Record<string, string> = {
  UND_ERR_CONNECT_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_HEADERS_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_BODY_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_SOCKET: 'ECONNRESET',
  UND_ERR_INFO: 'ECONNRESET',
  // An answer that is no HTTP, or whose headers never end, says as little as a broken connection.
  UND_ERR_HEADERS_OVERFLOW: 'ECONNRESET',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'ECONNRESET',
  UND_ERR_INVALID_ARG: 'INVALID_REQUEST',
  UND_ERR_NOT_SUPPORTED: 'INVALID_REQUEST',
  EPIPE: 'ECONNRESET',
  ENETUNREACH: 'EHOSTUNREACH',
  ENETDOWN: 'EHOSTUNREACH',
  EHOSTDOWN: 'EHOSTUNREACH',
  EAI_FAIL: 'EAI_AGAIN',
  EAI_NODATA: 'ENOTFOUND',
  EAI_NONAME: 'ENOTFOUND',
  ENODATA: 'ENOTFOUND',
  ESERVFAIL: 'EAI_AGAIN',
}

const sentences: Record<string, string> = {
  ETIMEDOUT: 'No complete answer came in time',
  ECONNRESET: 'The connection broke before a usable answer came',
  ECONNREFUSED: 'Nothing listens at this address',
  ENOTFOUND: 'The host name does not exist',
  EAI_AGAIN: 'The host name could not be looked up just now',
  EHOSTUNREACH: 'There is no way to this host',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'The certificate is self-signed; nothing was sent',
  SELF_SIGNED_CERT_IN_CHAIN: 'The certificate is signed by nobody we trust; nothing was sent',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'The certificate is signed by nobody we trust; nothing was sent',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'The certificate is signed by nobody we trust; nothing was sent',
  CERT_HAS_EXPIRED: 'The certificate has expired; nothing was sent',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate is for another host name; nothing was sent',
}
