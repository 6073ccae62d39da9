/** How a schedule ends: everything heals, comes to rest and is audited. */
import assert from 'node:assert/strict'
import { silentLogger } from '../../../src/base/logger.ts'
import { openJournal } from '../../../src/journal/index.ts'
import { decidedOf, receivedTotals, recount } from '../../../src/pipeline/index.ts'
import { checkEverything, readTopics, type Statements } from './audit.ts'
import { sources, warehouseSlug } from './configuration.ts'
import type { Platform, Slot } from './processes.ts'
import { archiveDirectory, journalDirectory, shuffled, type World } from './world.ts'

/** Whatever fails stops failing, and everything is started. */
export async function heal(world: World, { all }: Platform): Promise<void> {
  world.errorsOneIn = 0
  world.disk.freeBytes = 1e12
  world.vendor.trouble = 0
  world.warehouse.trouble = 0
  // In any order, some long before others.
  for (const slot of shuffled(world.random, all)) {
    slot.start()
    if (world.random.chance(0.5)) await world.runSteps(world.random.integer(200))
  }
  await startAll(world, all)
}

export async function startAll(world: World, all: Slot<unknown>[]): Promise<void> {
  // One that met a failing disk just now may still die of it.
  for (let i = 0; i < 5 && !all.every((slot) => slot.room !== undefined); i += 1) {
    for (const slot of all) slot.start()
    await world.run(() => all.every((slot) => slot.room !== undefined || slot.isDown), 100_000)
  }
  const down = all.filter((slot) => slot.room === undefined).map(({ name }) => name)
  assert.deepEqual(down, [], 'every process starts on a healthy disk')
}

/** Waits until every message has come to its end, and asks everybody what he counted. */
export async function comeToRest(world: World, platform: Platform): Promise<Statements> {
  const { gateways, pipeline, delivery, loader } = platform
  const totals = () => sumOf([...gateways.map((slot) => slot.room!.totals()), pipeline.room!.status().forwarded])
  const isDecided = () => {
    const status = pipeline.room!.status()
    const isDone = sources.every((source) => {
      const counts = status.sources[source]
      return (counts === undefined ? 0 : decidedOf(counts)) === (totals()[source] ?? 0)
    })
    return isDone && status.forwardedThrough === status.eventsEnd
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

function sumOf(all: Record<string | number, number>[]): Record<number, number> {
  const sum: Record<number, number> = {}
  for (const totals of all)
    for (const [source, total] of Object.entries(totals)) sum[Number(source)] = (sum[Number(source)] ?? 0) + total
  return sum
}

/** What the rooms find when they count again themselves. */
export async function checkRecounts(world: World, { pipeline, delivery }: Platform): Promise<void> {
  const { room, journal } = pipeline.running!
  assert.deepEqual(
    await world.finish('the recount', recount(journal, 0, room.status())),
    [],
    'the pipeline counts right',
  )
  assert.deepEqual(await world.finish('the recount', delivery.room!.recount()), [], 'delivery counts right')
}

/** Views are views: without their databases the processes say the same. */
export async function checkRebuilt(
  world: World,
  { pipeline, delivery, loader }: Platform,
  before: Statements,
): Promise<void> {
  if (world.hasAllEvents) world.savedOutcomes.loseAll()
  world.dedupeDisk.entries = []
  world.dedupeDisk.covered = undefined
  await startAll(world, [pipeline, delivery, loader])
  const { journal, room } = pipeline.running!
  // Which id files there are is looked up a little later.
  const { eventsNeededFrom: _, ...known } = room.status()
  const { eventsNeededFrom: __, ...expected } = before.pipeline
  assert.deepEqual(known, expected, 'the pipeline knows what it knew')
  const totals = await world.finish('the totals', receivedTotals(journal))
  for (const source of sources) assert.equal(totals[source] ?? 0, before.totals[source] ?? 0)
  const status = await world.finish('the status of delivery', delivery.room!.status())
  assert.deepEqual(status, before.delivery, 'delivery knows what it knew')
  const { connections } = await world.finish('the status of the loader', loader.room!.status())
  assert.deepEqual(connections, before.warehouse, 'the loader knows what it knew')
  for (const slot of [pipeline, delivery, loader]) await slot.stop()
}

/** Puts back what left the journal, reads all of it, and compares the world with it. */
export async function auditTopics(world: World, statements: Statements): Promise<void> {
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
