/**
 * The oracle: reads the three topics whole when everything has come to rest, and says from them alone what must be true of the
 * vendor, the warehouse and every count.
 */
import assert from 'node:assert/strict'
import { decodeOutcome, type OutcomeState } from '../../../src/delivery/outcome-frame.ts'
import { eachOffset } from '../../../src/delivery/offset-runs.ts'
import type { ConnectionStatus } from '../../../src/delivery/index.ts'
import {
  decodeReceived,
  eventFlags,
  eventKinds,
  isCall,
  type Decision,
  type Frame,
  type Gap,
  type Journal,
  type Topic,
} from '../../../src/journal/index.ts'
import type { ConnectionStatus as WarehouseConnectionStatus } from '../../../src/loader/index.ts'
import { forwardedId, type PipelineStatus } from '../../../src/pipeline/index.ts'
import type { VendorRequest } from './vendor.ts'
import { sendingOf } from './clients.ts'
import { blockable, connectionOf, schemaOf, sources, urlOf } from './configuration.ts'
import type { World } from './world.ts'

/** What the processes said of themselves at the end. */
export interface Statements {
  /** Messages accepted, by source. */
  totals: Record<number, number>
  pipeline: PipelineStatus
  delivery: ConnectionStatus[]
  warehouse: WarehouseConnectionStatus[]
}

export interface Topics {
  /** By partition: those of the gateways, then that of forwarded events. */
  received: Frame[][]
  events: Frame[]
  outcomes: Frame[]
}

/** Reads all that was ever written. Segments that left the journal must have been put back. */
export async function readTopics(world: World, journal: Journal): Promise<Topics> {
  const read = async (topic: Topic, partition: number): Promise<Frame[]> => {
    const items = await readAll(journal, topic, partition)
    world.witness.check(topic, partition, items)
    // `check` has seen that there are no gaps.
    return items as Frame[]
  }
  const received: Frame[][] = []
  for (let i = 0; i <= world.configuration.gatewayCount; i += 1) received.push(await read('received', i))
  return { received, events: await read('events', 0), outcomes: await read('outcomes', 0) }
}

async function readAll(journal: Journal, topic: Topic, partition: number): Promise<(Frame | Gap)[]> {
  const reader = await journal.openReader(topic, partition, 0)
  const all: (Frame | Gap)[] = []
  for (let items = await reader.read(1e6); items.length > 0; items = await reader.read(1e6)) all.push(...items)
  await reader.close()
  return all
}

export function checkEverything(world: World, topics: Topics, statements: Statements): void {
  checkSendings(world, topics)
  checkEvents(topics)
  checkForwarded(world, topics)
  checkSources(topics, statements)
  const ends = endsOf(topics)
  checkDestinations(topics, statements, ends)
  checkVendor(world, topics, ends)
  checkWarehouse(world, topics, statements)
}

/** What was acknowledged is in `received` once; of the rest each sending is there once or not at all. */
function checkSendings({ clients, configuration }: World, { received }: Topics): void {
  const times = new Map<number, number>()
  for (const frame of received.slice(0, configuration.gatewayCount).flat()) {
    const number = sendingOf(decodeReceived(frame.body).head)
    times.set(number, (times.get(number) ?? 0) + 1)
  }
  for (const { number, answer } of clients.sendings) {
    const count = times.get(number) ?? 0
    if (answer === 'acknowledged')
      assert.equal(count, 1, `sending ${number} was acknowledged and is there ${count} times`)
    else if (answer === 'refused') assert.equal(count, 0, `sending ${number} was refused and is there`)
    else assert.ok(count <= 1, `sending ${number} is there ${count} times`)
  }
}

/** Each message of `received` gives exactly one frame, in order; an id is accepted once. */
function checkEvents({ received, events }: Topics): void {
  const next = received.map(() => ({ offset: 0, index: 0 }))
  const decided = new Map<string, { accepted: number; times: number }>()
  for (const { offset, kind, inputPartition, inputOffset, index, body } of events) {
    const input = next[inputPartition]!
    const request = received[inputPartition]![input.offset]
    const found = { offset: inputOffset, index }
    assert.deepEqual(found, input, `the message that event ${offset} decides about`)
    if (index + 1 === request?.index) next[inputPartition] = { offset: inputOffset + 1, index: 0 }
    else input.index += 1
    if (kind === eventKinds.rejected) continue
    const { messageId } = JSON.parse(body.toString()) as Decision
    assert.ok(messageId !== undefined, `event ${offset} has an id`)
    const one = decided.get(messageId) ?? { accepted: 0, times: 0 }
    decided.set(messageId, one)
    one.times += 1
    // A blocked event takes its id too.
    if (kind !== eventKinds.duplicate) one.accepted += 1
    assert.equal(one.accepted, 1, `${messageId} is accepted once (event ${offset}, copy ${one.times})`)
  }
  received.forEach((requests, partition) =>
    assert.deepEqual(next[partition], { offset: requests.length, index: 0 }, 'every message is decided'),
  )
}

/** What a schema blocks is what it can block; each event that is to go on is in the other source once, whatever that one blocks. */
function checkForwarded({ configuration }: World, { received, events }: Topics): void {
  const partition = configuration.gatewayCount
  const blocked = events.filter(({ kind }) => kind === eventKinds.dropped)
  for (const { body } of blocked) {
    const { message } = JSON.parse(body.toString()) as { message: { event: string } }
    assert.equal(message.event, blockable.event)
  }
  const going = blocked.filter(({ flags }) => (flags & eventFlags.forwarding) !== 0)
  const gone = received[partition]!.map(({ source, inputOffset, body }) => {
    const { messageId } = JSON.parse(decodeReceived(body).body.toString()) as { messageId: string }
    return { source, inputOffset, messageId }
  })
  const expected = going.map(({ offset, body }) => {
    const { forwarding, messageId } = JSON.parse(body.toString()) as Required<Decision>
    return { source: forwarding.source, inputOffset: offset, messageId: forwardedId(messageId) }
  })
  assert.deepEqual(gone, expected, 'each blocked event that goes on is forwarded once')
  const arrived = events.filter(({ inputPartition }) => inputPartition === partition)
  assert.ok(
    arrived.every(({ kind }) => isCall(kind)),
    'what was forwarded is not blocked again',
  )
  for (const { offset, kind, body } of events) {
    if (kind !== eventKinds.identify) continue
    const { traits, context } = JSON.parse(body.toString()) as Identify
    const isOmitted = context.protocols?.omitted.includes(blockable.trait) === true
    assert.ok(!(isOmitted && blockable.trait in traits), `event ${offset} has not what it says was omitted`)
  }
}

interface Identify {
  traits: object
  context: { protocols?: { omitted: string[] } }
}

/** The counts of each source are those of its frames. */
function checkSources({ received, events }: Topics, { totals, pipeline }: Statements): void {
  for (const source of sources) {
    const sent = received.flat().filter((frame) => frame.source === source)
    const accepted = sent.reduce((sum, { index }) => sum + index, 0)
    const frames = events.filter((frame) => frame.source === source)
    assert.equal(totals[source] ?? 0, accepted, `source ${source}: received`)
    assert.equal(frames.length, accepted, `source ${source}: one event frame for each message`)
    assert.equal(frames.at(-1)?.sourceTotal ?? 0, accepted, `source ${source}: the running total`)
    assert.deepEqual(
      pipeline.sources[source] ?? { processed: 0, duplicate: 0, rejected: {}, dropped: {} },
      {
        processed: frames.filter(({ kind }) => isCall(kind)).length,
        duplicate: frames.filter(({ kind }) => kind === eventKinds.duplicate).length,
        ...decisionsOf(frames),
      },
      `source ${source}: the accounting`,
    )
  }
}

function decisionsOf(frames: Frame[]): Record<'rejected' | 'dropped', Record<string, number>> {
  const codes = { rejected: {} as Record<string, number>, dropped: {} as Record<string, number> }
  for (const { kind, body } of frames) {
    const of = kind === eventKinds.rejected ? codes.rejected : kind === eventKinds.dropped ? codes.dropped : undefined
    if (of === undefined) continue
    const { code } = JSON.parse(body.toString()) as Decision
    of[code] = (of[code] ?? 0) + 1
  }
  return codes
}

/** What `outcomes` says of one message at one connection. */
interface End {
  /** By mapping; '' when the message was dropped before a mapping was chosen. */
  legs: Map<string, { state: OutcomeState; code: string | undefined; atMs: number }>
  legCount: number
}

type Ends = Map<string, End>

/** Folds `outcomes` anew, and sees that nothing is said of a mapping after its end. */
function endsOf({ outcomes }: Topics): Ends {
  const ends: Ends = new Map()
  for (const frame of outcomes) {
    const outcome = decodeOutcome(frame)
    if (outcome?.kind === 'connection') assert.fail(`a connection says ${JSON.stringify(outcome.body)}`)
    for (const { partition, offsets, state, mapping = '', code, legs = 1 } of outcome?.body.groups ?? []) {
      assert.equal(partition, 0)
      eachOffset(offsets, (offset) => {
        const place = `${frame.source} ${offset}`
        const end = ends.get(place) ?? { legs: new Map(), legCount: legs }
        ends.set(place, end)
        const before = end.legs.get(mapping)
        const isOver = before !== undefined && before.state !== 'waiting'
        assert.ok(!isOver, `outcome ${frame.offset}: ${place} ${mapping} is ${state} after it was ${before?.state}`)
        end.legs.set(mapping, { state, code, atMs: outcome?.timeMs ?? 0 })
      })
    }
  }
  return ends
}

/** Each call has an end at its connection, and the counts say so. */
function checkDestinations({ events }: Topics, { delivery }: Statements, ends: Ends): void {
  for (const source of sources) {
    const connection = connectionOf(source)
    const frames = events.filter((frame) => frame.source === source)
    const counts = { delivered: 0, discarded: {} as Record<string, number>, dropped: {} as Record<string, number> }
    for (const { offset, kind } of frames) {
      if (!isCall(kind)) continue
      const end = ends.get(`${connection} ${offset}`)
      assert.ok(end !== undefined, `event ${offset} has an outcome at connection ${connection}`)
      const { state, code = '' } = stateOf(end, offset)
      if (state === 'delivered') counts.delivered += 1
      else if (state === 'discarded') counts.discarded[code] = (counts.discarded[code] ?? 0) + 1
      else counts.dropped[code] = (counts.dropped[code] ?? 0) + 1
    }
    const { rejected, dropped } = decisionsOf(frames)
    const { event_setting: blocked, ...lost } = dropped
    assert.deepEqual(lost, {}, 'nothing is lost on the way to a destination')
    if (blocked !== undefined) counts.dropped['event_setting'] = blocked
    const status = delivery.find((one) => one.connection === connection)
    const found = status && {
      received: status.received,
      rejected: status.rejected,
      duplicate: status.duplicate,
      delivered: status.delivered,
      discarded: status.discarded,
      dropped: status.dropped,
      waiting: status.waiting,
    }
    const duplicate = frames.filter(({ kind }) => kind === eventKinds.duplicate).length
    const expected = { received: frames.length, rejected, duplicate, ...counts, waiting: 0 }
    assert.deepEqual(found, expected, `connection ${connection}: the accounting`)
  }
}

/** Discarded if a mapping failed, under the code of the one that failed first, else delivered if one was, else dropped. */
function stateOf({ legs, legCount }: End, offset: number): { state: OutcomeState; code: string | undefined } {
  // What failed at the same moment goes by the mapping's id.
  const all = [...legs]
    .sort(([a, first], [b, second]) => first.atMs - second.atMs || (a < b ? -1 : 1))
    .map(([, leg]) => leg)
  assert.equal(all.length, legCount, `event ${offset} has an outcome for each of its mappings`)
  assert.ok(!all.some(({ state }) => state === 'waiting'), `event ${offset} has come to an end`)
  return all.find(({ state }) => state === 'discarded') ?? all.find(({ state }) => state === 'delivered') ?? all[0]!
}

/** Every delivery was taken; a message came again only after a failure, or after a crash that found it under way. */
function checkVendor(world: World, { events }: Topics, ends: Ends): void {
  const { configuration, vendor } = world
  const offsets = new Map(
    events
      .filter(({ kind }) => isCall(kind))
      .map(({ offset, body }) => [(JSON.parse(body.toString()) as Decision).messageId!, offset]),
  )
  const byLeg = new Map<string, VendorRequest[]>()
  for (const request of vendor.requests) {
    for (const { messageId } of request.messages) {
      assert.ok(offsets.has(messageId), `the vendor got ${messageId}, which is in events`)
      const leg = `${request.url} ${messageId}`
      byLeg.set(leg, [...(byLeg.get(leg) ?? []), request])
    }
  }
  for (const [place, { legs }] of ends) {
    const [connection = 0, offset = 0] = place.split(' ').map(Number)
    for (const [mapping, { state }] of legs) {
      if (state !== 'delivered') continue
      const { messageId } = JSON.parse(events[offset]!.body.toString()) as Decision
      const requests = byLeg.get(`${urlOf(connection, mapping)} ${messageId}`) ?? []
      assert.ok(
        requests.some(({ isTaken }) => isTaken),
        `${messageId} is delivered by ${mapping} and the vendor took it`,
      )
    }
  }
  checkRepeats(byLeg, configuration.concurrency)
  if (configuration.isOrdered) checkOrder(world, offsets)
}

/** Requests repeated in a later life without a failure in their own were under way at the crash: a slot each, at most. */
function checkRepeats(byLeg: ReadonlyMap<string, VendorRequest[]>, concurrency: number): void {
  const cutOff = new Map<string, Set<VendorRequest>>()
  for (const [leg, requests] of byLeg) {
    for (const [index, request] of requests.slice(0, -1).entries()) {
      const { connection, life, answer } = request
      if (answer === 'again') continue
      assert.ok(requests[index + 1]!.life > life, `${leg} was sent again while its sender lived`)
      const place = `${connection} ${life}`
      cutOff.set(place, (cutOff.get(place) ?? new Set()).add(request))
    }
  }
  for (const [place, requests] of cutOff)
    assert.ok(requests.size <= concurrency, `${requests.size} requests of ${place} were sent again after one crash`)
}

/** The first time that the vendor takes each message of a user is in the order of the messages. */
function checkOrder({ vendor }: World, offsets: ReadonlyMap<string, number>): void {
  const newest = new Map<string, number>()
  const taken = new Set<string>()
  for (const { url, messages, isTaken } of vendor.requests) {
    if (!isTaken) continue
    for (const { messageId, userId } of messages) {
      if (taken.has(`${url} ${messageId}`)) continue
      taken.add(`${url} ${messageId}`)
      const offset = offsets.get(messageId)!
      const before = newest.get(`${url} ${userId}`) ?? -1
      assert.ok(offset > before, `${messageId} of ${userId} came after a later one (${offset} after ${before})`)
      newest.set(`${url} ${userId}`, offset)
    }
  }
}

/** Each call is one row; what was offered twice had an uncertain load before; the counts are those of the frames. */
function checkWarehouse({ warehouse }: World, { events }: Topics, statements: Statements): void {
  for (const source of sources) {
    const frames = events.filter((frame) => frame.source === source)
    for (const [call, table] of [
      ['track', 'tracks'],
      ['identify', 'identifies'],
    ] as const) {
      const ids = frames
        .filter(({ kind }) => kind === eventKinds[call])
        .map(({ body }) => (JSON.parse(body.toString()) as Decision).messageId!)
      const rows = warehouse.rowsOf(schemaOf(source), table)
      for (const id of ids) assert.equal(rows.get(id) ?? 0, 1, `${id} is one row of ${table}`)
      assert.equal(rows.size, ids.length, `${schemaOf(source)}.${table} has no other rows`)
    }
    const { rejected, dropped } = decisionsOf(frames)
    const status = statements.warehouse.find((one) => one.source === `source-${source}`)
    const found = status && {
      received: status.received,
      rejected: status.rejected,
      duplicate: status.duplicate,
      dropped: status.dropped,
      delivered: status.delivered,
      discarded: status.discarded,
      waiting: status.waiting,
    }
    const expected = {
      received: frames.length,
      rejected,
      duplicate: frames.filter(({ kind }) => kind === eventKinds.duplicate).length,
      dropped,
      delivered: frames.filter(({ kind }) => isCall(kind)).length,
      discarded: {},
      waiting: 0,
    }
    assert.deepEqual(found, expected, `source ${source} at the warehouse: the accounting`)
  }
  for (const [row, { count, unsureCount }] of warehouse.offered)
    assert.ok(count <= 1 + unsureCount, `${row} was offered ${count} times, ${unsureCount} of them without an answer`)
}
