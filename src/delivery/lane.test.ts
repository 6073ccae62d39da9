import assert from 'node:assert/strict'
import { test } from 'node:test'
import webhook from '../../connectors/destinations/webhook/index.ts'
import { ResponseError, type SendResponse } from '../kit/index.ts'
import { defaultDelivery, type DeliverySettings } from '../snapshot/index.ts'
import { FAILING_MS_TO_OPEN, FAILURES_TO_OPEN } from './circuit-breaker.ts'
import { createLane, type Lane } from './lane.ts'
import type { OutcomeGroup } from './outcome-frame.ts'
import type { PendingLeg } from './owed.ts'
import { compilePlan } from './plan.ts'
import { createManualClock } from './testing/manual-clock.ts'

interface Sent {
  offset: number
  answer(status: number): Promise<void>
}

/** A lane whose destination answers when the test says so, and whose journal commits when the test says so. */
function open({
  retryRoom = () => 10_000,
  ...delivery
}: Partial<DeliverySettings> & { retryRoom?: () => number } = {}) {
  const clock = createManualClock()
  const sent: Sent[] = []
  const groups: OutcomeGroup[] = []
  const commits: (() => void)[] = []
  const events: string[] = []
  const plan = compilePlan({
    destination: {
      number: 1,
      id: 'dst_1',
      workspace: 1,
      source: 1,
      slug: 'hook',
      name: 'Hook',
      type: 'webhook',
      isEnabled: true,
      settings: {},
      filters: [],
      delivery,
      start: {},
    },
    definition: webhook,
    settings: { url: 'https://example.org/' },
    delivery: defaultDelivery,
    random: () => 0.5,
  })
  const lane: Lane = createLane({
    clock,
    random: () => 0.5,
    plan,
    makeRequest:
      () =>
      (_, { body }) =>
        new Promise<SendResponse>((resolve, reject) => {
          sent.push({
            offset: Number(body),
            async answer(status) {
              if (status === 200) resolve({ status, headers: {}, body: '' })
              else reject(new ResponseError(status, {}, ''))
              await settle()
            },
          })
        }),
    append(list, whenDurable) {
      groups.push(...list)
      commits.push(whenDurable)
    },
    retryRoom,
    onRecovered: () => events.push('recovered'),
    onPaused: () => events.push('paused'),
    onAttempt: () => {},
  })
  const mapping = plan.mappings[0]!
  const offer = (offset: number, isWaiting = false) => {
    const owed = { partition: 0, offset, receivedAtMs: 0, json: String(offset), legCount: 1, order: undefined }
    const leg: PendingLeg = { owed, mapping, payload: {}, attempt: 0, step: 0, firstAttemptAtMs: 0, isWaiting }
    lane.offer(leg)
  }
  return { clock, lane, sent, groups, offer, events, commit: () => commits.splice(0).forEach((run) => run()) }
}

/** Lets promises run that are ready. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('a slot is free only when its outcome is durable', async () => {
  const { lane, sent, offer, commit } = open({ concurrency: 2 })
  for (const offset of [1, 2, 3]) offer(offset)
  assert.deepEqual([sent.length, lane.inFlight, lane.queued], [2, 2, 1])
  await sent[0]!.answer(200)
  assert.deepEqual([sent.length, lane.inFlight], [2, 2])
  commit()
  assert.deepEqual([sent.length, lane.inFlight, lane.queued], [3, 2, 0])
})

test('new messages and repeats take turns', async () => {
  const { sent, offer, commit } = open({ concurrency: 1 })
  for (const offset of [1, 2, 3]) offer(offset)
  for (const offset of [11, 12]) offer(offset, true)
  for (let i = 0; i < 5; i++) {
    await sent[i]!.answer(200)
    commit()
  }
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    [1, 11, 2, 12, 3],
  )
})

test('without a place in the retry store no first attempt is made, repeats go on', async () => {
  let room = 0
  const { lane, sent, offer } = open({ retryRoom: () => room })
  offer(1)
  offer(2)
  offer(11, true)
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    [11],
  )
  room = 2
  lane.pump()
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    [11, 1],
    'what is in flight may come to need a place itself',
  )
})

test('an outage pauses attempts; a probe that succeeds ends the pause', async () => {
  const { clock, lane, sent, offer, commit, events } = open({ concurrency: 1 })
  for (let offset = 0; offset < 100; offset++) offer(offset)
  let answered = 0
  const answerAll = async (status: number) => {
    while (answered < sent.length) {
      await sent[answered++]!.answer(status)
      commit()
      clock.advance(FAILING_MS_TO_OPEN / FAILURES_TO_OPEN + 1)
      if (lane.circuit !== 'closed') break
    }
  }
  await answerAll(503)
  assert.equal(lane.circuit, 'open')
  const before = sent.length
  assert.ok(before <= FAILURES_TO_OPEN + 2)
  clock.advance(2_000)
  assert.equal(sent.length, before + 1, 'one probe')
  await sent.at(-1)!.answer(503)
  commit()
  clock.advance(500)
  assert.deepEqual([lane.circuit, sent.length], ['open', before + 1])
  clock.advance(4_000)
  await sent.at(-1)!.answer(200)
  assert.equal(lane.circuit, 'closed')
  commit()
  assert.equal(sent.length, before + 3)
  assert.deepEqual(events, ['paused', 'paused', 'recovered'])
})

test('a lane that closes starts nothing more and waits for what is in flight', async () => {
  const { lane, sent, offer, commit, groups } = open({ concurrency: 1 })
  offer(1)
  offer(2)
  let isClosed = false
  const closing = lane.close().then(() => (isClosed = true))
  await settle()
  assert.equal(isClosed, false)
  await sent[0]!.answer(200)
  commit()
  await closing
  assert.deepEqual([sent.length, groups.length], [1, 1])
})

test('an attempt that never ends is given up', async () => {
  const { clock, sent, offer, groups } = open()
  offer(1)
  assert.equal(sent.length, 1)
  clock.advance(60_000)
  await settle()
  assert.deepEqual([groups[0]?.state, groups[0]?.code], ['waiting', 'ETIMEDOUT'])
})
