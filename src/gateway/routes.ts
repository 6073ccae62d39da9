/** What a path of the tracking API means (contract: ingest.md §1). */
import type { Route } from '../protocol/index.ts'

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

// Every path with and without the slash at its end: Java adds one, and a redirect would lose the body.
const routes = new Map<string, Route>()
for (const [name, route] of Object.entries(names)) {
  routes.set(`/v1/${name}`, route)
  routes.set(`/v1/${name}/`, route)
}

/** The route of a request path, or undefined when it is not one that takes messages. */
export function routeOf(path: string): Route | undefined {
  return routes.get(path)
}

/** The path of a request target, without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? target : target.slice(0, query)
}

/** Telemetry of browser and mobile libraries: answered and discarded (contract: ingest.md §1). */
export function isMetricsPath(path: string): boolean {
  return path === '/v1/m' || path === '/v1/m/'
}

/** True for paths that belong to the tracking API, known or not, and so never reach the control process. */
export function isTrackingPath(path: string): boolean {
  return path.startsWith('/v1/')
}
