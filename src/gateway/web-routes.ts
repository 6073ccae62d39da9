/** Paths that web pages and apps fetch from (contract: ingest.md §11, sdk-wire.md §1). */
import { neutralPattern, type PathNames } from '../browser/index.ts'

export type WebRoute =
  | { kind: 'settings' | 'script'; writeKey: string; names: PathNames }
  | { kind: 'demo'; writeKey: string }
  | { kind: 'chunk'; name: string }
  /** Code of a destination that runs in pages. */
  | { kind: 'bundle'; folder: string; name: string }

const routePatterns: { pattern: RegExp; routeOf: (first: string, second: string) => WebRoute }[] = [
  {
    pattern: /^(?:\/v1)?\/projects\/([^/]+)\/settings\/?$/,
    routeOf: (writeKey) => ({ kind: 'settings', writeKey, names: 'usual' }),
  },
  {
    pattern: /^\/analytics\.js\/v1\/([^/]+)\/(?:platform\/)?analytics\.min\.js$/,
    routeOf: (writeKey) => ({ kind: 'script', writeKey, names: 'usual' }),
  },
  { pattern: /^\/analytics-next\/bundles\/([^/]*)$/, routeOf: (name) => ({ kind: 'chunk', name }) },
  {
    pattern: /^\/next-integrations\/actions\/([^/]+)\/([^/]+)$/,
    routeOf: (folder, name) => ({ kind: 'bundle', folder, name }),
  },
  { pattern: /^\/demo\/([^/]+)\/?$/, routeOf: (writeKey) => ({ kind: 'demo', writeKey }) },
]

/** What a path means, or undefined when it is none of these. */
export function webRouteOf(path: string): WebRoute | undefined {
  for (const { pattern, routeOf } of routePatterns) {
    const found = pattern.exec(path)
    // Every pattern has a first group, which always takes part in a match.
    if (found !== null) return routeOf(decode(found[1]!), found[2] === undefined ? '' : decode(found[2]))
  }
  return undefined
}

/** A path below a neutral folder: its meaning, or the path of the tracking API that it stands for. */
export type NeutralRoute = WebRoute | { kind: 'tracking'; path: string }

/** What a path means when it lies below the neutral folder of a write key; `writeKeyOf` knows the folders. */
export function neutralRouteOf(
  path: string,
  writeKeyOf: (folder: string) => string | undefined,
): NeutralRoute | undefined {
  const [, neutralFolder, rest = ''] = neutralPattern.exec(path) ?? []
  if (neutralFolder === undefined) return undefined
  const writeKey = writeKeyOf(neutralFolder)
  if (writeKey === undefined) return undefined
  if (rest === 'm.js') return { kind: 'script', writeKey, names: 'neutral' }
  const [kind, ...names] = rest.split('/').map(decode)
  const [first = '', second = ''] = names
  if (kind === 's' && names.length === 1) return { kind: 'settings', writeKey: first, names: 'neutral' }
  if (kind === 'c' && names.length === 1) return { kind: 'chunk', name: first }
  if (kind === 'd' && names.length === 2) return { kind: 'bundle', folder: first, name: second }
  return { kind: 'tracking', path: `/v1/${rest}` }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // Not percent-encoding: then it is no key and no file of ours either.
    return part
  }
}
