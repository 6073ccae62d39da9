/** What a path of the tracking API means (contract: ingest.md §1). */
import { calls, type Call, type Route } from '../protocol/index.ts'

const names: Record<string, Route> = {
  identify: 'identify',
  track: 'track',
  page: 'page',
  screen: 'screen',
  group: 'group',
  alias: 'alias',
  batch: 'batch',
  import: 'batch',
  // The browser library uses the first letter of the call; `b` is its batch and that of the mobile libraries.
  i: 'identify',
  t: 'track',
  p: 'page',
  s: 'screen',
  g: 'group',
  a: 'alias',
  b: 'batch',
}

// Every path with and without the slash at its end: Java adds one, and a redirect would lose the body. Without `/v1` it is what a
// mobile SDK asks for whose host was given without it. With two slashes it is a host that was given with a slash at its end.
const routes = new Map<string, Route>()
for (const [name, route] of Object.entries(names)) {
  for (const path of pathsOf(name)) routes.set(path, route)
}
const metricsPaths = new Set(pathsOf('m'))

function pathsOf(name: string): string[] {
  return ['/v1/', '/', '//v1/', '//'].flatMap((prefix) => [prefix + name, `${prefix}${name}/`])
}

/** The route of a request path, or undefined when it is not one that takes messages. */
export function routeOf(path: string): Route | undefined {
  return routes.get(path)
}

/** The path of a request target, without its query, and without the address that a proxy may write before it (RFC 9112 §3.2.2). */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  return path.startsWith('/') ? path : path.replace(/^https?:\/\/[^/]*(?=\/)/i, '')
}

/** Telemetry of browser and mobile libraries: answered and discarded (contract: ingest.md §1). */
export function isMetricsPath(path: string): boolean {
  return metricsPaths.has(path)
}

/** True for paths that belong to the tracking API, known or not, and so never reach the control process. */
export function isTrackingPath(path: string): boolean {
  return path.startsWith('/v1/')
}

const PIXEL_PREFIX = '/v1/pixel/'

export function isPixelPath(path: string): boolean {
  return path.startsWith(PIXEL_PREFIX)
}

/** The call that a pixel path is for, or undefined when there is none of that name. */
export function pixelCallOf(path: string): Call | undefined {
  const name = path.slice(PIXEL_PREFIX.length).replace(/\/$/, '')
  return calls.find((call) => call === name)
}

const WEBHOOK_PATH = /^\/v1\/webhooks\/([^/]+)\/?$/

/** The slug or id of the source that a webhook path names, or undefined for any other path. */
export function webhookNameOf(path: string): string | undefined {
  return WEBHOOK_PATH.exec(path)?.[1]
}
