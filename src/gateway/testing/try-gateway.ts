/** A running gateway over a journal in a directory of its own, for tests of this room. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { diskFileSystem } from '../../base/file-system.ts'
import { silentLogger } from '../../base/logger.ts'
import { readSecretKey } from '../../base/secrets.ts'
import { createMetrics } from '../../base/metrics.ts'
import { decodeReceived, openJournal, type ReceivedHead } from '../../journal/index.ts'
import {
  createFixedSnapshotSource,
  defaultDeployment,
  type DeploymentSettings,
  type OAuthAppSnapshot,
  type Snapshot,
  type SourceSnapshot,
} from '../../snapshot/index.ts'
import { createGateway, type GatewayOptions } from '../index.ts'

export interface Answer {
  status: number
  headers: Headers
  text: string
  json: Record<string, unknown>
}

export interface Stored {
  source: number
  head: ReceivedHead
  body: Record<string, unknown>
  /** The body as it is stored. */
  text: string
}

export interface TryGateway {
  port: number
  url: string
  /** Sends what is no string or buffer as JSON. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>
  /** What is in `received`. */
  stored(): Promise<Stored[]>
  /** Requests refused so far, by code. */
  refused(): Promise<Record<string, number>>
  stop(): Promise<void>
}

export interface TrySetup {
  sources?: Partial<SourceSnapshot>[]
  workspaces?: Snapshot['workspaces']
  settings?: Partial<DeploymentSettings>
  oauthApps?: OAuthAppSnapshot[]
  options?: Partial<GatewayOptions>
}

/** Sources are numbered from 1 and have the write keys KEY_1, KEY_2, … unless they say otherwise. */
export function snapshotOf({ sources = [{}], workspaces, settings, oauthApps }: TrySetup): Snapshot {
  return {
    number: 1,
    publishedAtMs: 0,
    workspaces: workspaces ?? [{ number: 1, id: 'ws_1', slug: 'acme', name: 'Acme' }],
    sources: sources.map((source, i) => ({
      number: i + 1,
      id: `src_${i + 1}`,
      workspace: 1,
      slug: `source-${i + 1}`,
      name: `Source ${i + 1}`,
      type: 'http-api',
      isEnabled: true,
      isClientSide: false,
      writeKeys: [`KEY_${i + 1}`],
      ip: 'keep',
      ...source,
    })),
    destinations: [],
    warehouses: [],
    ...(oauthApps === undefined ? {} : { oauthApps }),
    settings: { ...defaultDeployment, ...settings },
  }
}

/** Stopped when the test ends. */
export async function tryGateway(t: TestContext, setup: TrySetup = {}): Promise<TryGateway> {
  const gateway = await startGateway(setup)
  t.after(() => gateway.stop())
  return gateway
}

/** For those who stop it themselves. */
export async function startGateway(setup: TrySetup = {}): Promise<TryGateway> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-gateway-'))
  const journal = await openJournal({
    directory,
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId: () => 'journal-of-a-test',
  })
  const metrics = createMetrics('gateway')
  const gateway = await createGateway({
    journal,
    snapshots: createFixedSnapshotSource(snapshotOf(setup)),
    clock: systemClock,
    random: Math.random,
    secrets: [readSecretKey('a key of the test')],
    newId: randomUUID,
    log: silentLogger,
    metrics,
    partition: 0,
    nextOffsetAtLeast: 0,
    host: '127.0.0.1',
    port: 0,
    controlSocketPath: join(directory, 'control.sock'),
    ...setup.options,
  })
  const url = `${setup.options?.tls === undefined ? 'http' : 'https'}://127.0.0.1:${gateway.port}`
  return {
    port: gateway.port,
    url,
    async post(path, body, headers = {}) {
      // fetch takes a Buffer as well; its types know the DOM's names only.
      const sent = (typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)) as string
      const response = await fetch(url + path, { method: 'POST', body: sent, headers, redirect: 'manual' })
      const text = await response.text()
      const json = JSON.parse(text) as Record<string, unknown>
      return { status: response.status, headers: response.headers, text, json }
    },
    async stored() {
      const reader = await journal.openReader('received', 0, 0)
      const items = await reader.read(64 * 1024 * 1024)
      await reader.close()
      return items
        .filter((item) => item.type === 'frame')
        .map((frame) => {
          const { head, body } = decodeReceived(frame.body)
          // The door stores JSON objects only.
          const parsed = JSON.parse(body.toString()) as Record<string, unknown>
          return { source: frame.source, head, body: parsed, text: body.toString() }
        })
    },
    async stop() {
      await gateway.stop()
      await journal.close()
      await rm(directory, { recursive: true })
    },
    async refused() {
      const metric = await metrics.getSingleMetric('tributary_gateway_refused_total')?.get()
      return Object.fromEntries((metric?.values ?? []).map(({ labels, value }) => [String(labels['code']), value]))
    },
  }
}
