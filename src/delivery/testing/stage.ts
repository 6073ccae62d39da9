/** A delivery that runs for a test: a real journal in a temporary folder, the real egress, the real webhook, and a vendor of ours
 *  on 127.0.0.1. `crash` leaves it as a killed process would. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import webhook from '../../../connectors/destinations/webhook/index.ts'
import { systemClock, type Clock } from '../../base/clock.ts'
import { diskFileSystem } from '../../base/file-system.ts'
import { silentLogger } from '../../base/logger.ts'
import { createEgress } from '../../egress/index.ts'
import {
  eventKinds,
  openJournal,
  type Frame,
  type FrameInput,
  type Gap,
  type Journal,
  type PartitionWriter,
} from '../../journal/index.ts'
import type { DestinationDefinition } from '../../kit/index.ts'
import {
  createFixedSnapshotSource,
  defaultDeployment,
  type DeliverySettings,
  type DestinationSnapshot,
  type Snapshot,
} from '../../snapshot/index.ts'
import { createDelivery, type Delivery } from '../delivery.ts'
import { openOutcomeStore, type OutcomeStore } from '../outcome-store.ts'
import { addsUp, type ConnectionStatus } from '../status.ts'

export const SOURCE = 1

/** Quick enough for a test; otherwise the defaults. */
const quick: Partial<DeliverySettings> = { retryFirstDelayMs: 20, retryMaxDelayMs: 200, batchMaxWaitMs: 30 }

export interface Stage {
  readonly delivery: Delivery
  readonly journal: Journal
  readonly directory: string
  /** Appends messages of the source to `events`; returns their ids. */
  emit(count: number, make?: (index: number) => Partial<Emitted>): Promise<string[]>
  configure(destinations: Destination[]): void
  start(how?: { sends: boolean }): Promise<void>
  stop(): Promise<void>
  /** Leaves everything as it is, and nothing more comes of it. `then` starts again on the same files. */
  crash(): Promise<void>
  /** What happens to appends to `outcomes`: nothing is written, or it is written and nobody is told. */
  freezeOutcomes(how: 'before' | 'after'): void
  /** How `events` reads from now on at each offset: as a damaged frame, or as a gap. */
  damage(howAt: (offset: number) => Damage | undefined): void
  status(connection?: number): Promise<ConnectionStatus>
  /** Resolves when the status of the connection is as wanted; checks on the way that it always adds up. */
  until(wanted: (status: ConnectionStatus) => boolean, connection?: number): Promise<ConnectionStatus>
}

export interface Emitted {
  type: keyof typeof eventKinds
  source: number
  flags: number
  message: Record<string, unknown>
}

export type Destination = Partial<DestinationSnapshot> & { url?: string }

export type Damage = 'damaged' | Gap['reason']

export interface StageOptions {
  /** How much faster time passes for the delivery than for the test. Default 1. */
  timesFaster?: number
  destinations: Destination[]
  definitionOf?: (type: string) => DestinationDefinition
}

export async function openStage(t: TestContext, options: StageOptions): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-delivery-'))
  const egress = createEgress({
    policy: () => ({ allow: ['127.0.0.1/32'] }),
    clock: systemClock,
    log: silentLogger,
    version: '0.0.0',
  })
  const journals: Journal[] = []
  let snapshots = createFixedSnapshotSource(snapshotOf(1, options.destinations))
  let journal = await openOne()
  let events = await openEvents(journal)
  let isJournalStale = false
  let total = 0
  let serial = 0
  let freeze: Freeze = { how: undefined, isDead: false, appends: new Set() }
  let howDamaged: (offset: number) => Damage | undefined = () => undefined
  let delivery: Delivery | undefined
  let store: OutcomeStore | undefined

  async function openOne(): Promise<Journal> {
    const opened = await openJournal({
      directory: join(directory, 'journal'),
      fileSystem: diskFileSystem,
      clock: systemClock,
      newId: randomUUID,
    })
    journals.push(opened)
    return opened
  }

  async function start({ sends } = { sends: true }): Promise<void> {
    if (isJournalStale) {
      journal = await openOne()
      events = await openEvents(journal)
    }
    isJournalStale = false
    const mine: Freeze = { how: undefined, isDead: false, appends: new Set() }
    freeze = mine
    store = openOutcomeStore(join(directory, 'delivery.db'))
    const made = createDelivery({
      journal: damageable(freezable(journal, mine), (offset) => howDamaged(offset)),
      snapshots,
      clock: fasterClock(options.timesFaster ?? 1),
      random: Math.random,
      log: silentLogger,
      store: mortal(store, mine),
      partition: 0,
      newId: randomUUID,
      definitionOf: async (type) => options.definitionOf?.(type) ?? webhook,
      makeSendRequest:
        ({ connection, timeoutMs }) =>
        (url, request) =>
          mine.isDead ? never : egress.send(url, { ...request, timeoutMs, lane: connection }),
      openSettings: (sealed) => sealed,
      onFailed(error) {
        // The dead one meets the files that the test closes under it.
        if (!mine.isDead) throw error
      },
    })
    delivery = made
    await (sends ? made.start() : made.open())
  }

  const running = () => {
    if (delivery === undefined) throw new Error('The stage is dark')
    return delivery
  }

  const stage: Stage = {
    get delivery() {
      return running()
    },
    get journal() {
      return journal
    },
    directory,
    async emit(count, make = () => ({})) {
      const frames: FrameInput[] = []
      const ids: string[] = []
      for (let index = 0; index < count; index++) {
        const { type = 'track', source = SOURCE, flags = 0, message = {} } = make(index)
        const messageId = `m${serial++}`
        ids.push(messageId)
        if (source === SOURCE) total++
        const body = Buffer.from(JSON.stringify({ type, messageId, ...message }))
        frames.push(frameOf(eventKinds[type], flags, source, source === SOURCE ? total : 0, body))
      }
      await events.append(frames)
      return ids
    },
    configure(destinations) {
      snapshots.replace(snapshotOf(snapshots.current.number + 1, destinations))
    },
    start,
    async stop() {
      await running().stop()
      store?.close()
      delivery = undefined
      isJournalStale = true
    },
    async crash() {
      freeze.how ??= 'before'
      freeze.isDead = true
      // Half-done writes are the journal's concern and tested there: what it had begun, it ends.
      await Promise.all(freeze.appends)
      delivery = undefined
      isJournalStale = true
      // The dead process hears of no change any more.
      snapshots = createFixedSnapshotSource(snapshots.current)
    },
    freezeOutcomes(how) {
      freeze.how = how
    },
    damage(howAt) {
      howDamaged = howAt
    },
    async status(connection = 1) {
      const all = await running().status()
      const found = all.find((status) => status.connection === connection)
      if (found === undefined) throw new Error(`No connection ${connection}`)
      if (!addsUp(found))
        throw new Error(`The books of connection ${connection} do not add up: ${JSON.stringify(found)}`)
      return found
    },
    async until(wanted, connection = 1) {
      const deadline = Date.now() + 15_000
      for (;;) {
        const status = await stage.status(connection)
        if (wanted(status)) return status
        if (Date.now() > deadline) throw new Error(`Not so after 15 s: ${JSON.stringify(status)}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
  }

  t.after(async () => {
    if (delivery) await stage.stop()
    await egress.close()
    for (const opened of journals) await opened.close()
    await rm(directory, { recursive: true })
  })
  return stage
}

async function openEvents(journal: Journal): Promise<PartitionWriter> {
  const opened = await journal.openWriter('events', 0, { checkpoint: () => null })
  for await (const item of opened.tail) void item
  return opened.writer
}

function frameOf(kind: number, flags: number, source: number, sourceTotal: number, body: Buffer): FrameInput {
  const place = { index: 0, inputPartition: 0, inputOffset: 0 }
  return { kind, flags, source, timeMs: Date.now(), sourceTotal, ...place, body: [body] }
}

function fasterClock(times: number): Clock {
  const startMs = Date.now()
  return {
    now: () => startMs + (Date.now() - startMs) * times,
    after: (ms, run) => systemClock.after(ms / times, run),
    clear: systemClock.clear,
  }
}

const never = new Promise<never>(() => {})

/** How a killed process is left: what becomes of appends to `outcomes`, and that it sends nothing more. */
interface Freeze {
  how: 'before' | 'after' | undefined
  isDead: boolean
  appends: Set<Promise<unknown>>
}

/** The store as one process has it: it writes nothing once that is dead. */
function mortal(store: OutcomeStore, freeze: Freeze): OutcomeStore {
  return {
    ...store,
    save(...checkpoint) {
      if (!freeze.isDead) store.save(...checkpoint)
    },
  }
}

/** A journal whose writer of `outcomes` can be stopped in the middle, as a kill would. */
function freezable(journal: Journal, freeze: Freeze): Journal {
  return {
    ...journal,
    async openWriter(topic, partition, options) {
      const opened = await journal.openWriter(topic, partition, options)
      const { writer } = opened
      const wrapped: PartitionWriter = {
        topic,
        partition,
        get nextOffset() {
          return writer.nextOffset
        },
        get pendingBytes() {
          return writer.pendingBytes
        },
        get isWritable() {
          return writer.isWritable
        },
        async append(frames) {
          if (freeze.how === 'before') return await never
          const appended = writer.append(frames).finally(() => freeze.appends.delete(appended))
          freeze.appends.add(appended)
          const offset = await appended
          return freeze.how === undefined ? offset : await never
        },
        close: () => writer.close(),
      }
      return { ...opened, writer: wrapped }
    },
  }
}

/** A journal whose readers of `events` meet damage. */
function damageable(journal: Journal, howAt: (offset: number) => Damage | undefined): Journal {
  const damaged = (item: Frame | Gap): Frame | Gap => {
    const how = item.type === 'frame' ? howAt(item.offset) : undefined
    if (how === undefined || item.type === 'gap') return item
    return how === 'damaged'
      ? { ...item, isDamaged: true }
      : { type: 'gap', offset: item.offset, count: 1, reason: how }
  }
  return {
    ...journal,
    async readOne(topic, partition, offset) {
      const frame = await journal.readOne(topic, partition, offset)
      const item = frame && topic === 'events' ? damaged(frame) : frame
      return item?.type === 'frame' ? item : undefined
    },
    async openReader(topic, partition, offset) {
      const reader = await journal.openReader(topic, partition, offset)
      if (topic !== 'events') return reader
      return {
        get offset() {
          return reader.offset
        },
        read: async (bytesMax) => (await reader.read(bytesMax)).map(damaged),
        seek: (to) => reader.seek(to),
        close: () => reader.close(),
      }
    },
  }
}

function snapshotOf(number: number, destinations: Destination[]): Snapshot {
  return {
    number,
    publishedAtMs: 0,
    workspaces: [],
    sources: [],
    destinations: destinations.map(destinationOf),
    warehouses: [],
    settings: defaultDeployment,
  }
}

function destinationOf({ url, ...given }: Destination, index: number): DestinationSnapshot {
  const number = given.number ?? index + 1
  return {
    number,
    id: `dst_${number}`,
    workspace: 1,
    source: SOURCE,
    slug: `hook-${number}`,
    name: `Hook ${number}`,
    type: 'webhook',
    isEnabled: true,
    settings: { url },
    filters: [],
    start: {},
    ...given,
    delivery: { ...quick, ...given.delivery },
  }
}
