/** A pipeline over a real journal in a temporary folder, with a door that appends to `received` as the gateway does. For tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock, type Clock } from '../../base/clock.ts'
import { diskFileSystem } from '../../base/file-system.ts'
import { silentLogger } from '../../base/logger.ts'
import {
  encodeReceived,
  openJournal,
  receivedKinds,
  type Frame,
  type Gap,
  type Journal,
  type PartitionWriter,
  type ReceivedHead,
} from '../../journal/index.ts'
import {
  createFixedSnapshotSource,
  defaultDeployment,
  type SchemaControls,
  type SourceSnapshot,
} from '../../snapshot/index.ts'
import { createPipeline, type Pipeline } from '../consume.ts'
import { openDedupeStore } from '../dedupe-store.ts'
import type { DedupeIndex } from '../dedupe.ts'
import { openIdFiles } from '../id-file.ts'

export interface Request {
  source?: number
  workspace?: number
  partition?: number
  receivedAtMs?: number
  route?: ReceivedHead['route']
  head?: Partial<ReceivedHead>
  /** Bytes instead of `messages`. */
  body?: Buffer
  messages?: unknown[]
  /** What the header says; by default the number of messages. */
  count?: number
}

export interface Bed {
  directory: string
  clock: { nowMs: number }
  journal: Journal
  windowDays: number
  /** Puts sources in force; without it there are none that the snapshot knows. */
  configure(sources: SourceSnapshot[]): void
  failures: Error[]
  /** Appends a request and resolves when it is durable. */
  send(request: Request): Promise<void>
  /** Starts a pipeline; by default over the store on disk. */
  start(dedupe?: DedupeIndex): Promise<Pipeline>
  /** Resolves when every message sent is decided, forwarded ones included. */
  settled(pipeline: Pipeline): Promise<void>
  /** All items of a partition of `events`, from `offset` on. */
  events(offset?: number): Promise<(Frame | Gap)[]>
  /** Closes the journal without the pipeline's doing, and opens it again: what a kill leaves. */
  reopen(): Promise<void>
  end(): Promise<void>
}

export const aTime = Date.UTC(2026, 2, 1, 12)

export function track(messageId: string | undefined, more: object = {}): object {
  return {
    type: 'track',
    event: 'Order Completed',
    userId: 'u1',
    ...(messageId === undefined ? {} : { messageId }),
    ...more,
  }
}

/** A source as the snapshot has it, numbered, with what its schema refuses. */
export function sourceWith(number: number, schema?: Partial<SchemaControls>): SourceSnapshot {
  return {
    number,
    id: `src_${number}`,
    workspace: 1,
    slug: `source-${number}`,
    name: `Source ${number}`,
    type: 'http-api',
    isEnabled: true,
    isClientSide: false,
    writeKeys: [`KEY_${number}`],
    ip: 'keep',
    ...(schema && { schema: { blockedEvents: [], blockedTraits: [], blockedGroupTraits: [], ...schema } }),
  }
}

export async function createBed(options: { segmentBytesMax?: number } = {}): Promise<Bed> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-pipeline-'))
  const clock = { nowMs: aTime }
  const testClock: Clock = { ...systemClock, now: () => clock.nowMs }
  const totals = new Map<string, number>()
  const writers = new Map<number, Promise<PartitionWriter>>()
  const snapshots = createFixedSnapshotSource({
    number: 1,
    publishedAtMs: aTime,
    workspaces: [],
    sources: [],
    destinations: [],
    warehouses: [],
    settings: defaultDeployment,
  })
  let nextId = 0
  const openNow = (): Promise<Journal> =>
    openJournal({
      directory: join(directory, 'journal'),
      fileSystem: diskFileSystem,
      clock: testClock,
      newId: () => `journal-${(nextId += 1)}`,
      ...options,
    })

  function writerOf(partition: number): Promise<PartitionWriter> {
    const open = writers.get(partition) ?? openWriter(partition)
    writers.set(partition, open)
    return open
  }

  async function openWriter(partition: number): Promise<PartitionWriter> {
    const checkpoint = (): unknown => ({ totals: Object.fromEntries(totalsOf(partition)) })
    const opened = await bed.journal.openWriter('received', partition, { checkpoint })
    for await (const _ of opened.tail);
    return opened.writer
  }

  function totalsOf(partition: number): [number, number][] {
    const prefix = `${partition} `
    return [...totals]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, n]) => [Number(key.slice(prefix.length)), n])
  }

  const bed: Bed = {
    directory,
    clock,
    journal: await openNow(),
    get windowDays() {
      return snapshots.current.settings.dedupe.windowDays
    },
    set windowDays(windowDays) {
      const { settings } = snapshots.current
      snapshots.replace({ ...snapshots.current, settings: { ...settings, dedupe: { windowDays } } })
    },
    configure: (sources) => snapshots.replace({ ...snapshots.current, sources }),
    failures: [],
    async send({
      source = 1,
      workspace = 1,
      partition = 0,
      receivedAtMs = clock.nowMs,
      route = 'batch',
      head,
      body,
      messages = [],
      count,
    }) {
      const writer = await writerOf(partition)
      const units = count ?? Math.max(1, messages.length)
      const key = `${partition} ${source}`
      const sourceTotal = (totals.get(key) ?? 0) + units
      const bytes = body ?? Buffer.from(JSON.stringify(route === 'batch' ? { batch: messages } : messages[0]))
      const appended = writer.append([
        {
          kind: receivedKinds.request,
          flags: 0,
          source,
          timeMs: receivedAtMs,
          index: units,
          inputPartition: 0,
          inputOffset: 0,
          sourceTotal,
          body: encodeReceived({ route, workspace, messageBytesMax: 32_768, ...head }, bytes),
        },
      ])
      totals.set(key, sourceTotal)
      await appended
    },
    async start(dedupe) {
      const index =
        dedupe ??
        (await openDedupeStore({
          directory: join(directory, 'dedupe'),
          journalId: bed.journal.id,
          windowDays: () => bed.windowDays,
          clock: testClock,
          log: silentLogger,
          onFailure: (error) => bed.failures.push(error),
        }))
      const pipeline = createPipeline({
        journal: bed.journal,
        dedupe: index,
        idFiles: await openIdFiles(diskFileSystem, join(directory, 'ids', '0')),
        clock: testClock,
        newMessageId: () => `made-${(nextId += 1)}`,
        log: silentLogger,
        snapshots,
        onFailure: (error) => bed.failures.push(error),
      })
      await pipeline.start()
      return pipeline
    },
    async settled(pipeline) {
      const stopped = Promise.withResolvers<void>()
      const look = async (): Promise<void> => {
        const { decidedThrough, forwardedThrough, eventsEnd } = pipeline.status()
        if (forwardedThrough < eventsEnd) return
        for (const partition of await bed.journal.partitions('received')) {
          const end = await bed.journal.durableEnd('received', partition)
          const last = end === 0 ? undefined : await lastFrame(bed.journal, partition, end)
          const position = decidedThrough[partition] ?? { offset: 0, index: 0 }
          if (last !== undefined && (position.offset < last.offset || position.index < last.index)) return
        }
        stopped.resolve()
      }
      const unwatch = bed.journal.onAppend('events', () => void look().catch(stopped.reject))
      const poll = setInterval(() => {
        if (bed.failures[0] !== undefined) stopped.reject(bed.failures[0])
        void look().catch(stopped.reject)
      }, 5)
      await stopped.promise.finally(() => clearInterval(poll))
      unwatch()
    },
    async events(offset = 0) {
      const reader = await bed.journal.openReader('events', 0, offset)
      const items: (Frame | Gap)[] = []
      for (let block = await reader.read(1 << 20); block.length > 0; block = await reader.read(1 << 20))
        items.push(...block)
      await reader.close()
      return items
    },
    async reopen() {
      writers.clear()
      await bed.journal.close()
      bed.journal = await openNow()
    },
    async end() {
      await bed.journal.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
  return bed
}

async function lastFrame(journal: Journal, partition: number, end: number): Promise<Frame | undefined> {
  for (let offset = end - 1; offset >= 0; offset -= 1) {
    const frame = await journal.readOne('received', partition, offset)
    if (frame !== undefined) return frame
  }
  return undefined
}
