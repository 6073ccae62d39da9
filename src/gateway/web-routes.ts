/** Paths that web pages and apps fetch from (contract: ingest.md §11, sdk-wire.md §1). */

export type WebRoute = { kind: 'settings' | 'script' | 'demo'; writeKey: string } | { kind: 'chunk'; name: string }

const routePatterns: { kind: WebRoute['kind']; pattern: RegExp }[] = [
  { kind: 'settings', pattern: /^(?:\/v1)?\/projects\/([^/]+)\/settings\/?$/ },
  { kind: 'script', pattern: /^\/analytics\.js\/v1\/([^/]+)\/(?:platform\/)?analytics\.min\.js$/ },
  { kind: 'chunk', pattern: /^\/analytics-next\/bundles\/([^/]*)$/ },
  { kind: 'demo', pattern: /^\/demo\/([^/]+)\/?$/ },
]

/** What a path means, or undefined when it is none of these. */
export function webRouteOf(path: string): WebRoute | undefined {
  for (const { kind, pattern } of routePatterns) {
    const found = pattern.exec(path)?.[1]
    if (found === undefined) continue
    const name = decode(found)
    return kind === 'chunk' ? { kind, name } : { kind, writeKey: name }
  }
  return undefined
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // Not percent-encoding: then it is no key and no file of ours either.
    return part
  }
}
