import type { IncomingMessage } from 'node:http'

/** True when the client has the entity already (`If-None-Match`, compared weakly as RFC 9110 §13.1.2 asks). */
export function isUnchanged(request: IncomingMessage, etag: string): boolean {
  const known = request.headers['if-none-match']
  if (known === undefined) return false
  return known.split(',').some((each) => {
    const tag = each.trim()
    return tag === '*' || tag === etag || tag === `W/${etag}`
  })
}

/** True when the client takes gzip: it is named, and not with the weight 0. */
export function acceptsGzip(request: IncomingMessage): boolean {
  const accepted = String(request.headers['accept-encoding'] ?? '')
  return /\bgzip\b/i.test(accepted) && !/\bgzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)/i.test(accepted)
}
