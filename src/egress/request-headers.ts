/** The headers of an outgoing request. */

/** These belong to the connection and are ours to set: a wrong one would break or smuggle a request. Nor may a connector ask for a
 *  compressed answer, as we inflate none. */
const ownHeaders = new Set([
  'host',
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'accept-encoding',
  'proxy-connection',
  'x-tributary-original-url',
])

/** Names and values in turn, as undici takes them fastest. Names keep the case that the connector wrote. */
export function requestHeaders(
  given: Record<string, string> | undefined,
  userAgent: string,
  originalUrl: string | undefined,
): string[] {
  const headers = ['accept-encoding', 'identity']
  let hasUserAgent = false
  if (given !== undefined) {
    for (const name of Object.keys(given)) {
      const lowerName = name.toLowerCase()
      if (ownHeaders.has(lowerName)) continue
      if (lowerName === 'user-agent') hasUserAgent = true
      headers.push(name, given[name] ?? '')
    }
  }
  if (!hasUserAgent) headers.push('user-agent', userAgent)
  if (originalUrl !== undefined) headers.push('x-tributary-original-url', originalUrl)
  return headers
}

/** Values of the headers that look like credentials, the longest first, so that none hides part of another. */
export function credentialsIn(headers: Record<string, string> = {}): string[] {
  return Object.entries(headers)
    .filter(([name]) => /auth|key|token|secret|cookie|password/i.test(name))
    .flatMap(([, value]) => [value, value.replace(/^(basic|bearer|token) +/i, '')])
    .filter((value) => value.length >= 4)
    .sort((a, b) => b.length - a.length)
}

/** Servers like to repeat what they did not like. */
export function withoutCredentials(text: string, credentials: string[]): string {
  return credentials.reduce((rest, credential) => rest.replaceAll(credential, '[removed]'), text)
}
