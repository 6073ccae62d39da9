/** Redirects (contract: destinations.md §10.1): 307 and 308 only, which keep method and body, and to the same host only. */

export const REDIRECTS_MAX = 3

/** Where the answer sends the request, or undefined when it is not to be followed. */
export function redirectTarget(from: URL, status: number, location: string | undefined): URL | undefined {
  if ((status !== 307 && status !== 308) || location === undefined) return undefined
  const to = URL.parse(location, from)
  return to !== null && isSameHost(from, to) ? to : undefined
}

/** Another port is another server, with one exception: the way from http to https on their usual ports. The way back would
 *  send the body, and the credentials in its headers, in the clear. */
function isSameHost(from: URL, to: URL): boolean {
  if (to.origin === from.origin) return true
  const isUpgrade = from.protocol === 'http:' && to.protocol === 'https:' && from.port === '' && to.port === ''
  return isUpgrade && to.hostname === from.hostname
}
