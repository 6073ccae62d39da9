/** What the processes that reach outside share: the catalogue of connectors, the egress client, and settings in the clear. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createCatalog, type Catalog } from '../catalog/index.ts'
import { createEgress, type Egress } from '../egress/index.ts'
import type { SendRequest } from '../kit/index.ts'
import type { ProcessContext } from './process-context.ts'

export function openCatalog(): Catalog {
  return createCatalog({ directory: fileURLToPath(new URL('../../connectors', import.meta.url)) })
}

/** Our version, from package.json. */
export function productVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

export function openEgress({ snapshots, clock, log }: ProcessContext): Egress {
  return createEgress({ policy: () => snapshots.current.settings.egress, clock, log, version: productVersion() })
}

/** Requests of one connection; connections share no sockets, so one that hangs keeps none of another's. */
export function sendRequestOf(egress: Egress, connection: number, timeoutMs: number): SendRequest {
  return (url, options) => egress.send(url, { ...options, timeoutMs, lane: connection })
}
