/** The only place that turns what an attempt threw into how it ended (contract: destinations.md §10.1). */
import { codeOf, messageOf } from '../base/errors.ts'
import { BadPayload, BadSettings, ResponseError, Retry } from '../kit/index.ts'

export type Ending =
  | { kind: 'delivered'; status?: number }
  | { kind: 'retry'; code: string; status?: number; afterMs?: number; detail?: string }
  | { kind: 'discarded'; code: string; status?: number; detail?: string }

/** An HTTP status that says: later. 501 never gets better, 423 and 408 do. */
export function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 423 || status === 429 || (status >= 500 && status <= 599 && status !== 501)
}

/** How an attempt that was answered with this status ended. `retryAfter` is the header as it came. */
export function classifyStatus(status: number, retryAfter: string | undefined, detail: string, nowMs: number): Ending {
  if (status >= 200 && status <= 299) return { kind: 'delivered', status }
  const code = String(status)
  if (!isRetryableStatus(status)) return { kind: 'discarded', code, status, ...optionalDetail(detail) }
  const afterMs = parseRetryAfter(retryAfter, nowMs)
  return { kind: 'retry', code, status, ...(afterMs === undefined ? {} : { afterMs }), ...optionalDetail(detail) }
}

/** How an attempt that threw ended. */
export function classifyError(error: unknown, nowMs: number): Ending {
  if (error instanceof ResponseError)
    return classifyStatus(error.status, error.headers['retry-after'], error.body, nowMs)
  const detail = messageOf(error)
  if (error instanceof Retry) {
    return { kind: 'retry', code: 'RETRY', ...(error.afterMs === undefined ? {} : { afterMs: error.afterMs }), detail }
  }
  if (error instanceof BadPayload) return { kind: 'discarded', code: 'MESSAGE_REJECTED', detail }
  if (error instanceof BadSettings) return { kind: 'discarded', code: 'INVALID_SETTINGS', detail }
  const code = networkCodeOf(error)
  if (code === undefined) return { kind: 'discarded', code: 'INTERNAL', detail }
  if (code === 'EGRESS_DENIED') return { kind: 'discarded', code, detail }
  if (code === 'INVALID_REQUEST') return { kind: 'discarded', code: 'MESSAGE_REJECTED', detail }
  if (code === 'ERR_INVALID_URL') return { kind: 'discarded', code: 'INVALID_SETTINGS', detail }
  const timeOut = timeOutCodes.has(code)
  if (timeOut || isNetworkCode(code))
    return { kind: 'retry', code: timeOut ? 'ETIMEDOUT' : (sameAs[code] ?? code), detail }
  return { kind: 'discarded', code: 'INTERNAL', detail: `${code}: ${detail}` }
}

/** One code for every way of taking too long. */
const timeOutCodes = new Set([
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'TimeoutError',
])

/** Codes of undici for what the system calls otherwise. */
const sameAs: Record<string, string> = {
  UND_ERR_SOCKET: 'ECONNRESET',
  UND_ERR_CLOSED: 'ECONNRESET',
  UND_ERR_DESTROYED: 'ECONNRESET',
}

/** Errors of the way to the destination, which may be mended by itself or by its owner: names, routes, sockets, certificates.
 *  No answer came, so sending again is right. */
function isNetworkCode(code: string): boolean {
  return (
    code in sameAs ||
    networkCodes.has(code) ||
    code.startsWith('CERT_') ||
    code.startsWith('ERR_TLS_') ||
    code.startsWith('ERR_SSL_') ||
    code.startsWith('HPE_')
  )
}

const networkCodes = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EAI_NODATA',
  'ENODATA',
  'ESERVFAIL',
  'EREFUSED',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'EADDRNOTAVAIL',
  'EPIPE',
  'EPROTO',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
])

/** The system's code of an error or of what caused it: fetch wraps the socket's error. */
function networkCodeOf(error: unknown): string | undefined {
  let at = error
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    // A connect to several addresses fails with one error for each; they are alike, so the first speaks for all.
    if (at instanceof AggregateError && at.errors.length > 0 && codeOf(at) === undefined) at = at.errors[0]
    else {
      const code = codeOf(at)
      if (code !== undefined) return code
      if (at instanceof Error && at.name === 'TimeoutError') return 'ETIMEDOUT'
      at = at instanceof Error ? at.cause : undefined
    }
  }
  return undefined
}

/** Milliseconds that a `Retry-After` header (seconds or an HTTP date) asks for; undefined when there is none that can be read. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim()
  if (text === undefined || text === '') return undefined
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

function optionalDetail(detail: string): { detail?: string } {
  return detail === '' ? {} : { detail }
}
