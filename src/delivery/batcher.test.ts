import assert from 'node:assert/strict'
import { test } from 'node:test'
import webhook from '../../connectors/destinations/webhook/index.ts'
import type { JsonObject } from '../protocol/index.ts'
import { createBatcher } from './batcher.ts'
import type { PendingLeg } from './owed.ts'
import { createManualClock } from './testing/manual-clock.ts'

const action = webhook.actions['send']!

function legOf(offset: number, payload: JsonObject, more: Partial<PendingLeg> = {}, json = '{}'): PendingLeg {
  const mapping = {
    id: 'm',
    action,
    kinds: undefined,
    matches: () => true,
    payloadOf: () => ({ ok: true as const, payload }),
  }
  const owed = { partition: 0, offset, receivedAtMs: 0, json, legCount: 1, order: undefined }
  return { owed, mapping, payload, attempt: 0, step: 0, firstAttemptAtMs: 0, isWaiting: false, ...more }
}

function open() {
  const clock = createManualClock()
  const batches: number[][] = []
  const batcher = createBatcher(clock, (legs) => batches.push(legs.map(({ owed }) => owed.offset)))
  return { clock, batches, batcher }
}

test('without batching each message goes alone, at once', () => {
  const { batches, batcher } = open()
  batcher.add(legOf(1, {}), {}, 1000)
  batcher.add(legOf(2, { batch_size: 1 }), {}, 1000)
  assert.deepEqual([batches, batcher.size], [[[1], [2]], 0])
})

test('a batch goes when it is full or has waited long enough', () => {
  const { clock, batches, batcher } = open()
  for (let offset = 0; offset < 5; offset++) batcher.add(legOf(offset, { batch_size: 3 }), {}, 1000)
  assert.deepEqual([batches, batcher.size], [[[0, 1, 2]], 2])
  clock.advance(999)
  assert.equal(batches.length, 1)
  clock.advance(1)
  assert.deepEqual(batches, [
    [0, 1, 2],
    [3, 4],
  ])
})

test('what may not share a request does not: other keys of the action, repeats', () => {
  const { clock, batches, batcher } = open()
  batcher.add(legOf(1, { batch_size: 9, url: 'https://a.example' }), {}, 10)
  batcher.add(legOf(2, { batch_size: 9, url: 'https://b.example' }), {}, 10)
  batcher.add(legOf(3, { batch_size: 9, url: 'https://a.example' }, { isWaiting: true }), {}, 10)
  batcher.add(legOf(4, { batch_size: 9, url: 'https://a.example' }), {}, 10)
  clock.advance(10)
  assert.deepEqual(batches, [[1, 4], [2], [3]])
})

test('a batch is closed before it grows beyond 4 MB', () => {
  const { batches, batcher } = open()
  for (let offset = 0; offset < 5; offset++)
    batcher.add(legOf(offset, { batch_size: 100 }, {}, 'x'.repeat(1_500_000)), {}, 10)
  assert.deepEqual(batches, [
    [0, 1],
    [2, 3],
  ])
})

test('what is taken back does not go out', () => {
  const { clock, batches, batcher } = open()
  batcher.add(legOf(1, { batch_size: 9 }), {}, 10)
  assert.equal(batcher.drain().length, 1)
  clock.advance(100)
  assert.deepEqual([batches, batcher.size], [[], 0])
})
