/** One schedule of the whole chain: the seed draws what happens when, then everything heals, comes to rest and is audited. */
import assert from 'node:assert/strict'
import { addsUp } from '../../../src/delivery/status.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { JournalUnavailable, openJournal, prepareJournal } from '../../../src/journal/index.ts'
import { decidedOf, recount, receivedTotals } from '../../../src/pipeline/index.ts'
import { checkEverything, readTopics, type Statements } from './audit.ts'
import { sources, warehouseSlug } from './configuration.ts'
import { createPlatform, type Platform, type Slot } from './processes.ts'
import { archiveDirectory, idDirectory, isDiskTrouble, journalDirectory, World } from './world.ts'

export interface ScheduleOptions {
  /** Planted bug: the warehouse does not look whether an id is there. */
  skipsAntiJoin?: boolean
}

export interface ScheduleResult {
  /** Hash of all that happened, in order. */
  fingerprint: string
  steps: number
}

/** Throws what was found; the same seed always finds the same. One at a time in a thread. */
export async function runSchedule(seed: number, options: ScheduleOptions = {}): Promise<ScheduleResult> {
  const world = new World(seed)
  world.warehouse.skipsAntiJoin = options.skipsAntiJoin === true
  const platform = createPlatform(world)
  const crash = (error: unknown) => failProcessOf(world, platform, error)
  process.on('unhandledRejection', crash)
  try {
    await prepare(world)
    for (const slot of platform.all) slot.start()
    await misbehave(world, platform)
    await heal(world, platform)
    const statements = await comeToRest(world, platform)
    await checkRecounts(world, platform)
    for (const slot of platform.all) await slot.stop()
    if (world.random.chance(0.3)) await checkRebuilt(world, platform, statements)
    await auditTopics(world, statements)
    return { fingerprint: world.fingerprint, steps: world.scheduler.stepCount }
  } finally {
    process.off('unhandledRejection', crash)
  }
}

/** What Node does about a rejection that nobody handles: the process ends. */
function failProcessOf(world: World, platform: Platform, error: unknown): void {
  const owner = world.disk.ownerOf(error) ?? (error instanceof Error ? world.disk.ownerOf(error.cause) : undefined)
  if (owner === undefined) {
    if (!(error instanceof Error) || error.message !== 'this process has been killed') world.findings.push(error)
    return
  }
  platform.all.find((slot) => slot.process === owner)?.fail(error)
}

async function prepare(world: World): Promise<void> {
  const process = world.scheduler.createProcess()
  const fileSystem = world.disk.fileSystemOf(process)
  const newId = () => world.random.uuid()
  await world.finish('preparation', prepareJournal({ directory: journalDirectory, fileSystem, newId }))
  await world.finish('preparation', fileSystem.makeDirectory(idDirectory))
  world.disk.kill(process)
}

// ---- Misbehaviour ------------------------------------------------------------------------------------------------------

type Action = (world: World, platform: Platform) => void | Promise<void>

/** What may happen next, with how often. */
const actions: [weight: number, action: Action][] = [
  [14, send],
  [3, (world) => world.runFor(world.random.integer(4_000))],
  [1, (world) => world.runFor(world.random.integer(15_000))],
  [2, (world, { all }) => world.random.pick(all).kill()],
  [2, killAtWrite],
  [1, (_, { all }) => all.forEach((slot) => slot.kill())],
  [1.5, cutPower],
  [1, (world, { all }) => world.random.pick(all).stop()],
  [8, (world, { all }) => startOne(world, all)],
  [0.7, (world) => void (world.errorsOneIn = 20 + world.random.integer(300))],
  [1, (world) => void (world.errorsOneIn = 0)],
  [0.7, (world) => void (world.disk.freeBytes = world.random.integer(8_000))],
  [1.5, (world) => void (world.disk.freeBytes = 1e12)],
  [0.5, (world) => void (world.skewMs += world.random.integer(300_000))],
  [0.5, (world) => void (world.skewMs -= world.random.integer(30_000))],
  [1, (world) => void (world.vendor.trouble = world.random.pick([0, 0.3, 0.8]))],
  [1, (world) => void (world.warehouse.trouble = world.random.pick([0, 0.5]))],
  [2, ask],
]
const weightTotal = actions.reduce((sum, [weight]) => sum + weight, 0)

async function misbehave(world: World, platform: Platform): Promise<void> {
  const { random } = world
  const count = 10 + random.integer(30)
  // Some worlds are let to start; in others things happen at once.
  await world.runSteps(random.pick([0, 100, 500]))
  for (let i = 0; i < count; i += 1) {
    let at = random.next() * weightTotal
    const [, action] = actions.find(([weight]) => (at -= weight) < 0) ?? actions[0]!
    await action(world, platform)
    await world.runSteps(random.integer(random.pick([10, 100, 250])))
  }
}

function send(world: World, { gateways }: Platform): void {
  const partition = world.random.integer(gateways.length)
  const room = gateways[partition]!.room
  if (room === undefined) return
  const sending = world.clients.next()
  const { source, messageCount } = sending.batch
  room.append(source, messageCount, world.wallMs, world.clients.bodyOf(sending)).then(
    () => (sending.answer = 'acknowledged'),
    (error: unknown) => {
      // After a failed write nobody knows whether the request is there; the client got no answer.
      if (error instanceof JournalUnavailable) {
        if (error.reason !== 'failed') sending.answer = 'refused'
      } else world.findings.push(error)
    },
  )
}

function startOne({ random }: World, all: Slot<unknown>[]): void {
  const down = all.filter((slot) => slot.isDown)
  if (down.length > 0) random.pick(down).start()
}

/** Goes on until frames were written and are not synced: the moment at which a crash has the most to spoil. */
async function killAtWrite(world: World, { all }: Platform): Promise<void> {
  let stepsLeft = 200
  const { disk, random } = world
  await world.run(
    () => stepsLeft-- <= 0 || (disk.lastCall?.kind === 'write' && disk.lastCall.path.endsWith('.segment')),
  )
  if (random.chance(0.5)) cutPower(world)
  else for (const slot of all) if (random.chance(0.5)) slot.kill()
}

function cutPower(world: World): void {
  world.trace('power cut')
  world.disk.cutPower()
  world.savedOutcomes.losePower(world.random, world.hasAllEvents)
}

/** The sums hold at any moment. */
function ask(world: World, { pipeline, delivery, loader }: Platform): void {
  const finding = (error: unknown) => {
    if (!isDiskTrouble(error)) world.findings.push(error)
  }
  pipeline.room?.status()
  delivery.room
    ?.status()
    .then((all) => all.forEach((one) => assert.ok(addsUp(one), `the books add up: ${JSON.stringify(one)}`)))
    .catch(finding)
  loader.room?.status().catch(finding)
}

// ---- The end -----------------------------------------------------------------------------------------------------------

async function heal(world: World, { all }: Platform): Promise<void> {
  world.errorsOneIn = 0
  world.disk.freeBytes = 1e12
  world.vendor.trouble = 0
  world.warehouse.trouble = 0
  await startAll(world, all)
}

async function startAll(world: World, all: Slot<unknown>[]): Promise<void> {
  // One that met a failing disk just now may still die of it.
  for (let i = 0; i < 5 && !all.every((slot) => slot.room !== undefined); i += 1) {
    for (const slot of all) slot.start()
    await world.run(() => all.every((slot) => slot.room !== undefined || slot.isDown), 100_000)
  }
  const down = all.filter((slot) => slot.room === undefined).map(({ name }) => name)
  assert.deepEqual(down, [], 'every process starts on a healthy disk')
}

async function comeToRest(world: World, platform: Platform): Promise<Statements> {
  const { gateways, pipeline, delivery, loader } = platform
  const totals = () => sumOf(gateways.map((slot) => slot.room!.totals()))
  const isDecided = () => {
    const status = pipeline.room!.status()
    return sources.every((source) => {
      const counts = status.sources[source]
      return (counts === undefined ? 0 : decidedOf(counts)) === (totals()[source] ?? 0)
    })
  }
  await until(world, 'every message is decided', async () => isDecided())
  const { eventsEnd } = pipeline.room!.status()
  await until(world, 'every message is delivered', async () => {
    const status = await world.finish('the status of delivery', delivery.room!.status())
    // Each source has one connection.
    const received = status.reduce((sum, one) => sum + one.received, 0)
    return received === eventsEnd && status.every(({ waiting }) => waiting === 0)
  })
  await until(world, 'every message is loaded', async () => {
    return await world.finish('a sync', loader.room!.syncNow(warehouseSlug)).then(
      () => true,
      () => false,
    )
  })
  return {
    totals: totals(),
    pipeline: pipeline.room!.status(),
    delivery: await world.finish('the status of delivery', delivery.room!.status()),
    warehouse: (await world.finish('the status of the loader', loader.room!.status())).connections,
  }
}

async function until(world: World, what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = world.scheduler.nowMs + 600_000
  while (!(await isSo())) {
    assert.ok(world.scheduler.nowMs < endMs, `ten minutes after all is well: ${what}`)
    await world.runFor(300)
  }
}

function sumOf(all: Record<string, number>[]): Record<number, number> {
  const sum: Record<number, number> = {}
  for (const totals of all)
    for (const [source, total] of Object.entries(totals)) sum[Number(source)] = (sum[Number(source)] ?? 0) + total
  return sum
}

async function checkRecounts(world: World, { pipeline, delivery }: Platform): Promise<void> {
  const { room, journal } = pipeline.running!
  assert.deepEqual(
    await world.finish('the recount', recount(journal, 0, room.status())),
    [],
    'the pipeline counts right',
  )
  assert.deepEqual(await world.finish('the recount', delivery.room!.recount()), [], 'delivery counts right')
}

/** Views are views: without their databases the processes say the same. */
async function checkRebuilt(world: World, { pipeline, delivery, loader }: Platform, before: Statements): Promise<void> {
  if (world.hasAllEvents) world.savedOutcomes.loseAll()
  world.dedupeDisk.entries = []
  world.dedupeDisk.covered = undefined
  await startAll(world, [pipeline, delivery, loader])
  const { journal, room } = pipeline.running!
  assert.deepEqual(room.status(), before.pipeline, 'the pipeline knows what it knew')
  const totals = await world.finish('the totals', receivedTotals(journal))
  for (const source of sources) assert.equal(totals[source] ?? 0, before.totals[source] ?? 0)
  const status = await world.finish('the status of delivery', delivery.room!.status())
  assert.deepEqual(status, before.delivery, 'delivery knows what it knew')
  const { connections } = await world.finish('the status of the loader', loader.room!.status())
  assert.deepEqual(connections, before.warehouse, 'the loader knows what it knew')
  for (const slot of [pipeline, delivery, loader]) await slot.stop()
}

async function auditTopics(world: World, statements: Statements): Promise<void> {
  const { disk, scheduler, removedSegments } = world
  const present = new Set(disk.paths())
  for (const [path, content] of removedSegments) if (!present.has(path)) disk.setContent(path, content)
  const process = scheduler.createProcess()
  const journal = await world.finish(
    'opening the journal',
    openJournal({
      directory: journalDirectory,
      archiveDirectory,
      fileSystem: disk.fileSystemOf(process),
      clock: process.clock,
      newId: () => world.random.uuid(),
      defer: process.schedule,
      log: silentLogger,
    }),
  )
  const topics = await world.finish('reading everything', readTopics(world, journal))
  checkEverything(world, topics, statements)
}
