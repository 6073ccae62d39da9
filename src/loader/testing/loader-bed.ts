/** A loader over a real journal and a real DuckDB file in a temporary folder. Messages are normalised as the pipeline does and
 *  appended to `events`. For tests. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import duckdb from '../../../connectors/warehouses/duckdb/index.ts'
import { systemClock, type Clock } from '../../base/clock.ts'
import { diskFileSystem } from '../../base/file-system.ts'
import { silentLogger } from '../../base/logger.ts'
import type { Registry } from '../../base/metrics.ts'
import {
  eventFlags,
  eventKinds,
  openJournal,
  type FrameInput,
  type Journal,
  type PartitionWriter,
} from '../../journal/index.ts'
import type { WarehouseConnection, WarehouseDefinition } from '../../kit/index.ts'
import { normaliseMessage, splitBody, parseBody, type Call } from '../../protocol/index.ts'
import { createFixedSnapshotSource } from '../../snapshot/index.ts'
import { defaultDeployment, type Snapshot, type SourceSnapshot, type WarehouseSnapshot } from '../../snapshot/index.ts'
import { createLoader, type Loader } from '../loader.ts'

export const receivedAtMs = Date.parse('2024-03-01T10:00:07.000Z')

export interface SendOptions {
  source?: number
  receivedAtMs?: number
}

export interface Bed {
  directory: string
  journal: Journal
  loader: Loader
  /** Change it before `restart`. */
  snapshot: Snapshot
  definition: WarehouseDefinition
  /** Normalises and appends messages, each with its own `receivedAt` when it has one. */
  send(messages: readonly unknown[], options?: SendOptions): Promise<void>
  /** Appends a body that is JSON text, so that numbers keep their digits. */
  sendText(body: string, options?: SendOptions): Promise<void>
  /** Appends frames as they are. */
  append(frames: readonly Partial<FrameInput>[]): Promise<void>
  sync(): ReturnType<Loader['syncNow']>
  sql(query: string): Promise<Record<string, unknown>[]>
  /** Closes the loader and makes a new one over the same files. */
  restart(): Promise<void>
  /** A new, empty journal beside the old warehouse. */
  renewJournal(): Promise<void>
  end(): Promise<void>
}

export interface BedOptions {
  settings?: Record<string, unknown>
  clock?: Clock
  sources?: string[]
  warehouse?: Partial<WarehouseSnapshot>
  metrics?: Registry
  /** Instead of the journal's own notices, which may come late or twice. */
  onAppend?: Journal['onAppend']
  firstOffset?: (firstOffset: () => Promise<number>) => Promise<number>
  connect?: (connect: () => Promise<WarehouseConnection>) => Promise<WarehouseConnection>
}

export function aSource(number: number, slug: string): SourceSnapshot {
  return {
    number,
    id: `src_${number}`,
    workspace: 1,
    slug,
    name: slug,
    type: 'http-api',
    isEnabled: true,
    isClientSide: false,
    writeKeys: [`KEY_${number}`],
    ip: 'keep',
  }
}

export async function createBed(options: BedOptions = {}): Promise<Bed> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-loader-'))
  const sources = (options.sources ?? ['web']).map((slug, i) => aSource(i + 1, slug))
  const warehouse: WarehouseSnapshot = {
    number: 9,
    id: 'wh_1',
    workspace: 1,
    slug: 'local',
    name: 'Local',
    type: 'duckdb',
    isEnabled: true,
    sources: sources.map(({ number }) => number),
    settings: { path: 'warehouse.duckdb', ...options.settings },
    schedule: 'manual',
    selectiveSync: {},
    ...options.warehouse,
  }
  const snapshot: Snapshot = {
    number: 1,
    publishedAtMs: 0,
    workspaces: [],
    sources,
    destinations: [],
    warehouses: [warehouse],
    settings: defaultDeployment,
  }
  let journalCount = 0
  const open = async (): Promise<{ journal: Journal; writer: PartitionWriter }> => {
    const journal = await openJournal({
      directory: join(directory, `journal-${journalCount}`),
      fileSystem: diskFileSystem,
      clock: systemClock,
      newId: randomUUID,
    })
    const opened = await journal.openWriter('events', 0, { checkpoint: () => null })
    for await (const _ of opened.tail);
    return { journal, writer: opened.writer }
  }
  let { journal, writer } = await open()
  let totals = new Map<number, number>()

  function watched(journal: Journal): Journal {
    const { onAppend = journal.onAppend, firstOffset = (ask) => ask() } = options
    return { ...journal, onAppend, firstOffset: (...place) => firstOffset(() => journal.firstOffset(...place)) }
  }

  function createIt(): Loader {
    const connect = (): Promise<WarehouseConnection> => {
      return duckdb.connect(bed.snapshot.warehouses[0]!.settings, { dataDirectory: directory })
    }
    return createLoader({
      journal: watched(journal),
      snapshots: createFixedSnapshotSource(bed.snapshot),
      clock: options.clock ?? systemClock,
      log: silentLogger,
      ...(options.metrics && { metrics: options.metrics }),
      random: () => 0.5,
      newId: randomUUID,
      connect: () => (options.connect === undefined ? connect() : options.connect(connect)),
      definitionOf: () => duckdb,
    })
  }

  async function append(frames: readonly Partial<FrameInput>[]): Promise<void> {
    const complete = frames.map((frame): FrameInput => {
      const source = frame.source ?? 1
      const sourceTotal = frame.sourceTotal ?? (totals.get(source) ?? 0) + 1
      totals.set(source, sourceTotal)
      const base = {
        kind: eventKinds.track,
        flags: 0,
        timeMs: receivedAtMs,
        index: 0,
        inputPartition: 0,
        inputOffset: 0,
      }
      return { ...base, body: [Buffer.from('{}')], ...frame, source, sourceTotal }
    })
    await writer.append(complete)
  }

  async function sendText(
    body: string,
    { source = 1, receivedAtMs: ms = receivedAtMs }: SendOptions = {},
  ): Promise<void> {
    const items = splitBody(parseBody(Buffer.from(body)), { route: 'batch', messageBytesMax: 1_000_000 })
    await append(
      items.map((item, i) => {
        const own = (item.value as { receivedAt?: string }).receivedAt
        const result = normaliseMessage(item, {
          receivedAtMs: own === undefined ? ms : Date.parse(own),
          newMessageId: () => `made-${i}`,
        })
        if (result.kind === 'rejected') throw new Error(`rejected: ${result.code}`)
        const flags = result.hasIntegrations ? eventFlags.integrations : 0
        return { kind: kindNumber(result.call), flags, source, body: [Buffer.from(result.json)] }
      }),
    )
  }

  const bed: Bed = {
    directory,
    journal,
    // Made below, when the bed is there.
    loader: undefined as never,
    snapshot,
    definition: duckdb,
    send: (messages, sendOptions) => sendText(JSON.stringify({ batch: messages }), sendOptions),
    sendText,
    append,
    sync: () => bed.loader.syncNow('local'),
    async sql(query) {
      const result = await bed.loader.query('local', query, { timeoutMs: 10_000, rowsMax: 100_000 })
      const rows: Record<string, unknown>[] = []
      for await (const chunk of result.rows) {
        for (const row of chunk) rows.push(Object.fromEntries(row.map((cell, i) => [result.columns[i]!, cell])))
      }
      return rows
    },
    async restart() {
      await bed.loader.stop()
      bed.loader = createIt()
    },
    async renewJournal() {
      await bed.loader.stop()
      await writer.close()
      await journal.close()
      journalCount += 1
      totals = new Map()
      ;({ journal, writer } = await open())
      bed.journal = journal
      bed.loader = createIt()
    },
    async end() {
      await bed.loader.stop()
      await writer.close()
      await journal.close()
      await rm(directory, { recursive: true })
    },
  }
  bed.loader = createIt()
  return bed
}

function kindNumber(call: Call): number {
  return eventKinds[call]
}
