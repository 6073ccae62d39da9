/**
 * The journal on a disk that fails, under schedules that a seed decides: appends, readers in other processes, kills, power cuts,
 * failing calls, full disks. The oracle is kept outside: what was acknowledged, and what readers saw.
 */
import assert from 'node:assert/strict'
import { silentLogger } from '../../src/base/logger.ts'
import {
  JournalUnavailable,
  openJournal,
  prepareJournal,
  type Frame,
  type FrameInput,
  type Gap,
  type Journal,
  type PartitionWriter,
} from '../../src/journal/index.ts'
import type { Random } from '../../src/base/seeded-random.ts'
import { createScheduler, type Process, type Scheduler } from './scheduler.ts'
import { testSchedules } from './schedules.ts'
import { createSimulatedDisk, type SimulatedDisk } from './simulated-file-system.ts'

testSchedules('nothing is lost, nothing invented, no offset used twice', import.meta.url, 2000, runSchedule)

/** What must be true of the journal whatever happens, learnt from outside. */
class Oracle {
  /** The id in each offset that somebody was told of: acknowledged, or read. */
  readonly known = new Map<number, number>()
  /** Ids whose append was refused with "none of it is in the journal". */
  readonly refused = new Set<number>()
  /** Ids that nobody was told anything about and that the journal does not hold: their owner appends them again. */
  lost: number[] = []
  #nextId = 0

  /** An id to append: a new one, or one that a crash took. */
  takeId(random: Random): number {
    return this.lost.length > 0 && random.chance(0.7)
      ? this.lost.splice(random.integer(this.lost.length), 1)[0]!
      : this.#nextId++
  }

  learn(offset: number, id: number): void {
    assert.equal(this.known.get(offset) ?? id, id, `offset ${offset} keeps its frame`)
    assert.ok(!this.refused.has(id), `frame ${id} was refused and is not there`)
    this.known.set(offset, id)
  }

  /** Checks a reading of the whole partition. */
  check(items: readonly (Frame | Gap)[]): void {
    const ids = new Set<number>()
    for (const [offset, item] of items.entries()) {
      assert.equal(item.type, 'frame', `nothing is missing at ${offset}`)
      assert.equal(item.offset, offset)
      const id = idOf(item as Frame)
      this.learn(offset, id)
      assert.ok(!ids.has(id), `frame ${id} is there once`)
      ids.add(id)
    }
    this.lost = Array.from({ length: this.#nextId }, (_, id) => id).filter(
      (id) => !ids.has(id) && !this.refused.has(id),
    )
    for (const offset of this.known.keys()) assert.ok(offset < items.length, `offset ${offset} was known and is there`)
  }
}

/** Folded by the owner of the partition, as the pipeline folds its input positions. */
interface State {
  count: number
  idSum: number
}

interface World {
  scheduler: Scheduler
  disk: SimulatedDisk
  oracle: Oracle
  segmentBytesMax: number
  errorsOneIn: number
}

async function runSchedule(seed: number): Promise<void> {
  const scheduler = createScheduler(seed)
  const { random } = scheduler
  const world: World = {
    scheduler,
    disk: createSimulatedDisk(random),
    oracle: new Oracle(),
    segmentBytesMax: 1000 + random.integer(6000),
    errorsOneIn: random.chance(0.3) ? 20 + random.integer(200) : 0,
  }
  const failures: unknown[] = []
  await prepare(world)
  const lifeCount = 1 + random.integer(6)
  for (let life = 0; life < lifeCount; life += 1) {
    injectErrors(world)
    const processes = [startWriter(world, failures), startReader(world, failures), startReader(world, failures)]
    await scheduler.runSteps(20 + random.integer(300))
    world.disk.freeBytes = 1e12
    if (random.chance(0.5)) await scheduler.runSteps(random.integer(200))
    if (random.chance(0.5)) await runIntoWrite(world)
    if (random.chance(0.5)) world.disk.cutPower()
    else for (const one of processes) world.disk.kill(one)
    if (failures.length > 0) throw failures[0]
  }
  world.disk.fault = undefined
  world.disk.freeBytes = 1e12
  await checkAtTheEnd(world)
}

/** The supervisor makes the journal before it starts other processes; it too may be cut off, and starts again. */
async function prepare({ disk, scheduler }: World): Promise<void> {
  let failure: unknown
  for (let isReady = false; !isReady;) {
    const process = scheduler.createProcess()
    const parts = { directory: '/journal', fileSystem: disk.fileSystemOf(process), newId: scheduler.random.uuid }
    prepareJournal(parts).then(
      () => (isReady = true),
      (error: unknown) => (failure = error),
    )
    await scheduler.runSteps(1 + scheduler.random.integer(60))
    if (failure !== undefined) throw failure
    if (scheduler.random.chance(0.5)) disk.cutPower()
    else disk.kill(process)
  }
}

/** Goes on until frames were written and are not synced: the moment at which a crash has the most to spoil. */
async function runIntoWrite({ disk, scheduler }: World): Promise<void> {
  let stepsLeft = 300
  await scheduler.run(
    () => stepsLeft-- <= 0 || (disk.lastCall?.kind === 'write' && disk.lastCall.path.endsWith('.segment')),
  )
}

/** Some schedules have calls that fail, some a disk that fills up. */
function injectErrors({ disk, scheduler: { random }, errorsOneIn }: World): void {
  disk.freeBytes = random.chance(0.3) ? random.integer(6000) : 1e12
  disk.fault = errorsOneIn === 0 ? undefined : () => (random.integer(errorsOneIn) === 0 ? 'EIO' : undefined)
}

function startWriter(world: World, failures: unknown[]): Process {
  const process = world.scheduler.createProcess()
  const stop = () => process.isAlive && world.disk.kill(process)
  runWriter(world, process, stop).catch((error: unknown) => {
    // A process that meets an I/O error ends, as the real one does; anything else is a finding.
    if (isExpected(error)) stop()
    else failures.push(error)
  })
  return process
}

async function runWriter(world: World, process: Process, stop: () => void): Promise<void> {
  const { oracle, scheduler } = world
  const journal = await openIn(world, process, stop)
  const state: State = { count: 0, idSum: 0 }
  const opened = await journal.openWriter('received', 0, { checkpoint: () => ({ ...state }) })
  Object.assign(state, opened.checkpoint)
  for await (const item of opened.tail) {
    assert.equal(item.type, 'frame', 'nothing is missing in the tail')
    fold(state, idOf(item as Frame), 1)
  }
  assert.equal(state.count, opened.writer.nextOffset, 'the checkpoint and the tail make the whole')
  const all = await readAll(journal)
  oracle.check(all)
  assert.equal(
    state.idSum,
    all.reduce((sum, item) => sum + idOf(item as Frame), 0),
  )
  await Promise.all(
    Array.from({ length: 1 + scheduler.random.integer(8) }, () => appendForEver(world, process, opened.writer, state)),
  )
}

async function appendForEver(world: World, process: Process, writer: PartitionWriter, state: State): Promise<void> {
  const { oracle, scheduler } = world
  const { random } = scheduler
  for (;;) {
    await new Promise<void>((resolve) => process.clock.after(random.integer(8), resolve))
    const ids = Array.from({ length: 1 + random.integer(3) }, () => oracle.takeId(random))
    const before = writer.nextOffset
    const appended = writer.append(ids.map((id) => frameOf(id)))
    const isTaken = writer.nextOffset > before
    if (isTaken) for (const id of ids) fold(state, id, 1)
    try {
      const first = await appended
      for (const [index, id] of ids.entries()) oracle.learn(first + index, id)
    } catch (error) {
      if (!(error instanceof JournalUnavailable) || error.reason === 'failed') throw error
      for (const id of ids) oracle.refused.add(id)
      // The disk turned out full: the owner takes out of its state what the journal did not keep.
      if (isTaken) for (const id of ids) fold(state, id, -1)
    }
  }
}

function startReader(world: World, failures: unknown[]): Process {
  const process = world.scheduler.createProcess()
  runReader(world, process).catch((error: unknown) => {
    if (isExpected(error)) world.disk.kill(process)
    else failures.push(error)
  })
  return process
}

async function runReader(world: World, process: Process): Promise<void> {
  const { oracle, scheduler } = world
  const journal = await openIn(world, process, () => {})
  let wake = () => {}
  journal.onAppend('received', () => wake())
  const reader = await journal.openReader('received', 0, scheduler.random.integer(1 + oracle.known.size))
  for (;;) {
    const expected = reader.offset
    const items = await reader.read(1 + scheduler.random.integer(2000))
    for (const [index, item] of items.entries()) {
      assert.equal(item.type, 'frame', `nothing is missing at ${item.offset}`)
      assert.equal(item.offset, expected + index)
      oracle.learn(item.offset, idOf(item as Frame))
    }
    if (items.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  }
}

async function checkAtTheEnd(world: World): Promise<void> {
  const process = world.scheduler.createProcess()
  let isDone = false
  let failure: unknown
  async function check(): Promise<void> {
    const journal = await openIn(world, process, () => {})
    const { writer } = await journal.openWriter('received', 0, { checkpoint: () => null })
    world.oracle.check(await readAll(journal))
    const id = world.oracle.takeId(world.scheduler.random)
    world.oracle.learn(await writer.append([frameOf(id)]), id)
    world.oracle.check(await readAll(journal))
    await journal.close()
  }
  check()
    .catch((error: unknown) => (failure = error))
    .finally(() => (isDone = true))
  await world.scheduler.run(() => isDone)
  if (failure !== undefined) throw failure
  assert.ok(isDone, 'the journal opens again')
}

async function openIn(world: World, process: Process, onFailed: () => void): Promise<Journal> {
  return await openJournal({
    directory: '/journal',
    fileSystem: world.disk.fileSystemOf(process),
    clock: process.clock,
    newId: () => world.scheduler.random.uuid(),
    segmentBytesMax: world.segmentBytesMax,
    defer: process.schedule,
    log: silentLogger,
    onFailed,
  })
}

async function readAll(journal: Journal): Promise<(Frame | Gap)[]> {
  const reader = await journal.openReader('received', 0, 0)
  const all: (Frame | Gap)[] = []
  for (let items = await reader.read(3000); items.length > 0; items = await reader.read(3000)) all.push(...items)
  await reader.close()
  return all
}

/** Two sizes, so that what a crash left behind a new frame often begins where the next one does. */
function frameOf(id: number): FrameInput {
  const body = [Buffer.from(`${String(id).padStart(4)} `), Buffer.alloc((id % 2) * 700, id)]
  return {
    kind: 1,
    flags: 0,
    source: id,
    timeMs: id,
    index: 0,
    inputPartition: 0,
    inputOffset: id,
    sourceTotal: 0,
    body,
  }
}

function idOf(frame: Frame): number {
  assert.equal(frame.isDamaged, false)
  const id = Number.parseInt(frame.body.toString('latin1'), 10)
  assert.equal(frame.source, id)
  assert.ok(frame.body.equals(Buffer.concat(frameOf(id).body)))
  return id
}

function fold(state: State, id: number, sign: 1 | -1): void {
  state.count += sign
  state.idSum += sign * id
}

function isExpected(error: unknown): boolean {
  if (error instanceof JournalUnavailable) return error.reason === 'failed'
  return error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'ENOSPC')
}
