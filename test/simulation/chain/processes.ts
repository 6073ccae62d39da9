/** The processes of the product, wired as `main` wires them, on the simulated disk. */
import webhook from '../../../connectors/destinations/webhook/index.ts'
import { createArchiveRunner, type ArchiveRunner } from '../../../src/archive/index.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { createDelivery, type Delivery } from '../../../src/delivery/index.ts'
import { openReceivedTopic, type ReceivedTopic } from '../../../src/gateway/received-topic.ts'
import { openJournal, type Journal, type Topic } from '../../../src/journal/index.ts'
import type { WarehouseDefinition } from '../../../src/kit/index.ts'
import { createLoader, type Loader } from '../../../src/loader/index.ts'
import {
  createDedupeMemory,
  createPipeline,
  openIdFiles,
  type DedupeDisk,
  type DedupeIndex,
  type Pipeline,
} from '../../../src/pipeline/index.ts'
import { createMessageId } from '../../../src/protocol/index.ts'
import type { Process } from '../scheduler.ts'
import { archiveDirectory, idDirectory, isDiskTrouble, journalDirectory, type World } from './world.ts'

/** A room at work, and how it is asked to stop. */
export interface Running<Room> {
  room: Room
  journal: Journal
  stop(): Promise<void>
}

/** Opens the room of a process in its `life`th run; `fail` is what it calls when it cannot go on. */
type Open<Room> = (world: World, process: Process, life: number, fail: Fail) => Promise<Running<Room>>
type Fail = (error: unknown) => void

/** A place in the supervisor: at most one process at a time. */
export class Slot<Room> {
  readonly name: string
  readonly #world: World
  readonly #open: Open<Room>
  process: Process | undefined
  running: Running<Room> | undefined
  /** How often it was started. */
  life = 0

  constructor(world: World, name: string, open: Open<Room>) {
    this.#world = world
    this.name = name
    this.#open = open
  }

  get isDown(): boolean {
    return this.process?.isAlive !== true
  }

  /** The room, once it has started and while it lives. */
  get room(): Room | undefined {
    return this.isDown ? undefined : this.running?.room
  }

  start(): void {
    if (!this.isDown) return
    const process = this.#world.scheduler.createProcess()
    this.#world.trace(`start ${this.name}`)
    this.process = process
    this.running = undefined
    this.life += 1
    const fail = (error: unknown) => this.#fail(process, error)
    this.#open(this.#world, process, this.life, fail).then((running) => {
      if (process === this.process && process.isAlive) this.running = running
    }, fail)
  }

  kill(): void {
    if (this.isDown) return
    this.#world.trace(`kill ${this.name}`)
    this.#world.disk.kill(this.process!)
    this.running = undefined
  }

  /** SIGTERM. Resolves when the process has ended, by itself or not. */
  async stop(): Promise<void> {
    const { process, running } = this
    if (process === undefined || running === undefined || !process.isAlive) return this.kill()
    this.#world.trace(`stop ${this.name}`)
    this.running = undefined
    let isOver = false
    running
      .stop()
      .then(() => running.journal.close())
      .catch((error: unknown) => this.#fail(process, error))
      .finally(() => (isOver = true))
    await this.#world.run(() => isOver || !process.isAlive, 100_000)
    if (process.isAlive) this.#world.disk.kill(process)
  }

  /** What an uncaught error does to the process that runs now. */
  fail(error: unknown): void {
    if (this.process !== undefined) this.#fail(this.process, error)
  }

  #fail(process: Process, error: unknown): void {
    if (!process.isAlive) return
    this.#world.trace(`${this.name} failed`)
    if (!isDiskTrouble(error)) this.#world.findings.push(error)
    this.#world.disk.kill(process)
  }
}

export interface Platform {
  gateways: Slot<ReceivedTopic>[]
  pipeline: Slot<Pipeline>
  delivery: Slot<Delivery>
  loader: Slot<Loader>
  control: Slot<ArchiveRunner>
  all: Slot<unknown>[]
}

export function createPlatform(world: World): Platform {
  const gateways = Array.from(
    { length: world.configuration.gatewayCount },
    (_, partition) => new Slot(world, `gateway ${partition}`, openGateway(partition)),
  )
  const pipeline = new Slot(world, 'pipeline', openPipeline)
  const delivery = new Slot(world, 'delivery', openDelivery)
  const loader = new Slot(world, 'loader', openLoader)
  const readers = { pipeline, delivery, loader }
  const control = new Slot(world, 'control', openControl(readers))
  return { gateways, ...readers, control, all: [...gateways, pipeline, delivery, loader, control] }
}

async function journalOf(world: World, name: string, process: Process, fail: Fail): Promise<Journal> {
  const { segmentBytesMax, diskReserveBytes } = world.configuration
  const journal = await openJournal({
    directory: journalDirectory,
    archiveDirectory,
    fileSystem: world.disk.fileSystemOf(process),
    clock: world.clockOf(process),
    newId: () => world.random.uuid(),
    segmentBytesMax,
    diskReserveBytes,
    defer: process.schedule,
    log: silentLogger,
    onFailed: fail,
  })
  return world.witness.watch(journal, name, () => process.isAlive)
}

function openGateway(partition: number): Open<ReceivedTopic> {
  return async (world, process, _, fail) => {
    const journal = await journalOf(world, 'gateway', process, fail)
    const room = await openReceivedTopic(journal, partition, 0)
    return { room, journal, stop: () => room.close() }
  }
}

async function openPipeline(world: World, process: Process, _: number, fail: Fail): Promise<Running<Pipeline>> {
  const journal = await journalOf(world, 'pipeline', process, fail)
  const clock = world.clockOf(process)
  const room = createPipeline({
    journal,
    dedupe: flushingNowAndThen(world, process),
    idFiles: await openIdFiles(world.disk.fileSystemOf(process), idDirectory),
    clock,
    newMessageId: () => createMessageId(clock.now(), () => world.random.next()),
    log: silentLogger,
    forwardedPartition: world.configuration.gatewayCount,
    snapshots: world.snapshots,
    onFailure: fail,
  })
  await room.start()
  return { room, journal, stop: () => room.stop() }
}

/** The dedupe index with the crash rules of a store on disk: what it flushed is there again, the rest is not. */
function flushingNowAndThen(world: World, process: Process): DedupeIndex {
  const disk: DedupeDisk = { entries: [...world.dedupeDisk.entries], covered: world.dedupeDisk.covered }
  const index = createDedupeMemory(disk)
  async function flush(): Promise<void> {
    await index.flush()
    if (!process.isAlive) return
    world.dedupeDisk.entries = [...disk.entries]
    world.dedupeDisk.covered = disk.covered
  }
  return {
    check: (keys) => index.check(keys),
    async put(entries, covered) {
      await index.put(entries, covered)
      if (world.random.chance(0.3)) await flush()
    },
    get covered() {
      return index.covered
    },
    find: (key) => index.find(key),
    flush,
    close: flush,
  }
}

async function openDelivery(world: World, process: Process, life: number, fail: Fail): Promise<Running<Delivery>> {
  const journal = await journalOf(world, 'delivery', process, fail)
  const room = createDelivery({
    journal,
    snapshots: world.snapshots,
    clock: world.clockOf(process),
    random: () => world.random.next(),
    log: silentLogger,
    store: world.savedOutcomes.open(process),
    partition: 0,
    newId: () => world.random.uuid(),
    definitionOf: async () => webhook,
    makeSendRequest: world.vendor.makeSendRequest(process, life, (what) => world.trace(what)),
    openSettings: (sealed) => sealed as ReturnType<Parameters<typeof createDelivery>[0]['openSettings']>,
    onFailed: fail,
  })
  await room.start()
  return { room, journal, stop: () => room.stop() }
}

const warehouseDefinition: WarehouseDefinition = {
  name: 'Simulated',
  description: 'In memory.',
  reservedWords: new Set(),
  identifierBytesMax: 128,
  canWiden: new Set(['integer>float']),
  connect: () => Promise.reject(new Error('the world connects')),
}

async function openLoader(world: World, process: Process, _: number, fail: Fail): Promise<Running<Loader>> {
  const journal = await journalOf(world, 'loader', process, fail)
  const room = createLoader({
    journal,
    snapshots: world.snapshots,
    clock: world.clockOf(process),
    log: silentLogger,
    random: () => world.random.next(),
    newId: () => world.random.uuid(),
    connect: async () => world.warehouse.connect(process, (what) => world.trace(what)),
    definitionOf: () => warehouseDefinition,
  })
  room.start()
  return { room, journal, stop: () => room.stop() }
}

type Readers = Pick<Platform, 'pipeline' | 'delivery' | 'loader'>

function openControl(readers: Readers): Open<ArchiveRunner> {
  return async (world, process, _, fail) => {
    const journal = await journalOf(world, 'control', process, fail)
    const { hasArchive, hotBytesMax = 1e9 } = world.configuration
    const room = createArchiveRunner({
      journal,
      archiveDirectory,
      fileSystem: world.disk.fileSystemOf(process),
      clock: world.clockOf(process),
      log: silentLogger,
      lowWatermark: async (topic, partition) => lowWatermark(readers, topic, partition),
      settings: () => ({ isEnabled: hasArchive, hotBytesMax, outcomesDays: 8 }),
      intervalMs: 1_000,
    })
    room.start()
    return { room, journal, stop: () => room.stop() }
  }
}

/** The offset that every reader of a partition has passed. A process that does not answer has passed nothing. */
function lowWatermark({ pipeline, delivery, loader }: Readers, topic: Topic, partition: number): number {
  if (topic === 'received') return pipeline.room?.status().decidedThrough[partition]?.offset ?? 0
  if (topic === 'outcomes') return 0
  return Math.min(
    pipeline.room?.status().eventsNeededFrom ?? 0,
    delivery.room?.lowWatermark(partition) ?? 0,
    loader.room?.lowWatermark(partition) ?? 0,
  )
}
