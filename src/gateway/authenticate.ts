/** Where the write key of a request is looked for (contract: ingest.md §2, sdk-wire.md §3). The header wins over the body. */
import type { IncomingHttpHeaders } from 'node:http'

/** The write key that the headers carry: Basic user name, then a Bearer text that `isKnown`, then `X-Write-Key`; undefined when they
 *  carry none. A Bearer text that is no key is a token: of OAuth, or of something between the client and us. */
export function writeKeyOfHeaders(
  headers: IncomingHttpHeaders,
  isKnown: (writeKey: string) => boolean,
): string | undefined {
  const authorization = headers.authorization
  if (authorization !== undefined) {
    const key = keyOfAuthorization(authorization) ?? knownBearer(authorization, isKnown)
    if (key !== undefined) return key
  }
  const header = headers['x-write-key']
  return typeof header === 'string' && header !== '' ? header : undefined
}

function keyOfAuthorization(authorization: string): string | undefined {
  const basic = /^basic\s+([A-Za-z0-9+/_=-]+)\s*$/i.exec(authorization)
  if (basic === null) return undefined
  // The pattern has one group, which always takes part in a match. `base64` also reads the URL-safe alphabet.
  const text = Buffer.from(basic[1]!, 'base64').toString('utf8')
  // Old clients leave the colon out.
  const colon = text.indexOf(':')
  const key = colon < 0 ? text : text.slice(0, colon)
  return key === '' ? undefined : key
}

function knownBearer(authorization: string, isKnown: (writeKey: string) => boolean): string | undefined {
  const text = /^bearer\s+(\S+)\s*$/i.exec(authorization)?.[1]
  return text !== undefined && isKnown(text) ? text : undefined
}
