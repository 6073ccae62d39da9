import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultDelivery } from '../snapshot/index.ts'
import { planRetry } from './retry-policy.ts'

const HOUR = 3_600_000
const first = { step: 0, firstAttemptAtMs: 1_000_000 }

function plan(
  state = first,
  failure: { code: string; afterMs?: number } = { code: '500' },
  nowMs = 1_000_000,
  random = () => 1,
) {
  return planRetry(state, failure, defaultDelivery, nowMs, random)
}

test('the ceiling doubles from five seconds to an hour, and the wait is anything below it', () => {
  const ceilings = Array.from({ length: 12 }, (_, step) => {
    const next = plan({ ...first, step })
    return next.kind === 'retry' ? next.nextTryAtMs - 1_000_000 : NaN
  })
  assert.deepEqual(ceilings.slice(0, 4), [5_000, 10_000, 20_000, 40_000])
  assert.deepEqual(ceilings.slice(10), [HOUR, HOUR])
  assert.deepEqual(
    plan(first, { code: '500' }, 1_000_000, () => 0),
    { kind: 'retry', nextTryAtMs: 1_000_000, step: 1 },
  )
})

test('with the defaults there are at least thirty tries in the window', () => {
  let state = first
  let nowMs = first.firstAttemptAtMs
  let tries = 1
  for (;;) {
    const next = plan(state, { code: '500' }, nowMs, () => 1)
    if (next.kind === 'exhausted') break
    tries++
    nowMs = next.nextTryAtMs
    state = { ...state, step: next.step }
  }
  assert.ok(tries >= 30, `${tries} tries even when each wait is as long as it can be`)
  assert.equal(nowMs, first.firstAttemptAtMs + 24 * HOUR, 'the last try is made at the end of the window')
})

test('Retry-After is a floor, honoured up to the end of the window', () => {
  assert.deepEqual(plan(first, { code: '503', afterMs: 60_000 }), { kind: 'retry', nextTryAtMs: 1_060_000, step: 1 })
  const late = plan(first, { code: '503', afterMs: 48 * HOUR })
  assert.equal(late.kind === 'retry' && late.nextTryAtMs, 1_000_000 + 24 * HOUR)
})

test('a 429 that says when uses no backoff step; one that does not does', () => {
  assert.deepEqual(plan({ ...first, step: 3 }, { code: '429', afterMs: 2_000 }), {
    kind: 'retry',
    nextTryAtMs: 1_002_000,
    step: 3,
  })
  assert.equal((plan({ ...first, step: 3 }, { code: '429' }) as { step: number }).step, 4)
})
