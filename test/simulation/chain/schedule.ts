/** One schedule of the whole chain: the seed draws what happens when, then everything heals, comes to rest and is audited. */
import assert from 'node:assert/strict'
import { addsUp, type ConnectionStatus } from '../../../src/delivery/status.ts'
import { JournalUnavailable } from '../../../src/journal/index.ts'
import { drawSources } from './configuration.ts'
import { createPlatform, type Platform, type Slot } from './processes.ts'
import { auditTopics, checkRebuilt, checkRecounts, comeToRest, heal } from './settle.ts'
import { isDiskTrouble, shuffled, World } from './world.ts'

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
    await world.prepare()
    await begin(world, platform)
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

/** The processes come up in any order, some while clients send already, some later. */
async function begin(world: World, platform: Platform): Promise<void> {
  const { random } = world
  for (const slot of shuffled(random, platform.all)) {
    if (random.chance(0.8)) slot.start()
    if (random.chance(0.3)) await world.runSteps(random.integer(150))
    if (random.chance(0.3)) send(world, platform)
  }
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
  [7, (world, { all }) => startOne(world, all)],
  [2, startAndAsk],
  [0.7, (world) => void (world.errorsOneIn = 20 + world.random.integer(300))],
  [1, (world) => void (world.errorsOneIn = 0)],
  [0.7, (world) => void (world.disk.freeBytes = world.random.integer(8_000))],
  [1.5, (world) => void (world.disk.freeBytes = 1e12)],
  [0.5, (world) => void (world.skewMs += world.random.integer(300_000))],
  [0.5, (world) => void (world.skewMs -= world.random.integer(30_000))],
  [1, (world) => void (world.vendor.trouble = world.random.pick([0, 0.3, 0.8]))],
  [1, (world) => void (world.warehouse.trouble = world.random.pick([0, 0.5]))],
  [1.5, changeSchema],
  [2, ask],
]
const weightTotal = actions.reduce((sum, [weight]) => sum + weight, 0)

async function misbehave(world: World, platform: Platform): Promise<void> {
  const { random } = world
  const count = 10 + random.integer(30)
  for (let i = 0; i < count; i += 1) {
    let at = random.next() * weightTotal
    const [, action] = actions.find(([weight]) => (at -= weight) < 0) ?? actions[0]!
    await action(world, platform)
    await world.runSteps(random.integer(random.pick([10, 100, 250])))
  }
}

/** A client sends a batch to a gateway that is up. */
export function send(world: World, { gateways }: Platform): void {
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

/** Somebody blocks what was allowed, or allows what was blocked. */
function changeSchema({ random, snapshots }: World): void {
  const { current } = snapshots
  snapshots.replace({ ...current, number: current.number + 1, sources: drawSources(random) })
}

/** Questions come as soon as somebody is there to be asked. */
async function startAndAsk(world: World, platform: Platform): Promise<void> {
  const slot = world.random.pick([platform.delivery, platform.loader])
  slot.start()
  await world.run(() => slot.isDown || slot.room !== undefined, 10_000)
  ask(world, platform)
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

/** Ends every process, and leaves what a power cut leaves. */
export function cutPower(world: World): void {
  const { random, disk, savedOutcomes, dedupeDisk, hasAllEvents } = world
  world.trace('power cut')
  disk.cutPower()
  savedOutcomes.losePower(random, hasAllEvents)
  // An index that is not whole is made anew.
  if (random.chance(0.3)) Object.assign(dedupeDisk, { entries: [], covered: undefined })
}

/** The sums hold at any moment. A process that has died meanwhile answers nothing, or with an error. */
function ask(world: World, { delivery, loader }: Platform): void {
  const check = ({ room, process }: Slot<{ status(): Promise<unknown> }>, isRight: (answer: unknown) => void) => {
    room
      ?.status()
      .then(isRight)
      .catch((error: unknown) => {
        if (process?.isAlive === true && !isDiskTrouble(error)) world.findings.push(error)
      })
  }
  check(delivery, (all) => {
    // The type of its own status, which `check` has widened.
    for (const one of all as ConnectionStatus[]) assert.ok(addsUp(one), `the books add up: ${JSON.stringify(one)}`)
  })
  check(loader, () => {})
}
