import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../base/clock.ts'
import { createRateLimiter } from './rate-limit.ts'
import type { KnownSource } from './source-directory.ts'
import { snapshotOf } from './testing/try-gateway.ts'

const LIMIT = 100

function stage(sourceCount: number, limits: { workspace?: number; source?: number }) {
  const time = { nowMs: 1_000_000 }
  const clock: Clock = { now: () => time.nowMs, after: () => ({ timer: undefined }), clear: () => undefined }
  const { sources, workspaces } = snapshotOf({
    sources: Array.from({ length: sourceCount }, () =>
      limits.source === undefined ? {} : { eventsPerSecond: limits.source },
    ),
    workspaces: [
      {
        ...{ number: 1, id: 'ws_1', slug: 'acme', name: 'Acme' },
        ...(limits.workspace === undefined ? {} : { eventsPerSecond: limits.workspace }),
      },
    ],
  })
  const known = sources.map((source): KnownSource => ({ source, workspace: workspaces[0]! }))
  const limiter = createRateLimiter(clock)
  return { time, limiter, take: (index: number, messages = 1) => limiter.take(known[index]!, messages) === undefined }
}

/** Lets each source ask so many times a second, evenly, and counts what passed and what was refused. */
function run(rates: number[], seconds: number, limits = { workspace: LIMIT }) {
  const { time, take } = stage(rates.length, limits)
  const passed = rates.map(() => 0)
  const refused = rates.map(() => 0)
  const owed = rates.map(() => 0)
  for (let ms = 0; ms < seconds * 1000; ms += 5) {
    time.nowMs += 5
    for (const [i, rate] of rates.entries()) {
      for (owed[i]! += rate * 0.005; owed[i]! >= 1; owed[i]! -= 1) {
        if (take(i)) passed[i]! += 1
        else refused[i]! += 1
      }
    }
  }
  return { passed, refused }
}

test('a source that floods does not take the share of one that sends less than its share', () => {
  const { passed, refused } = run([40, 5_000], 30)
  // The flood may have had the whole limit up to the moment when the other one came.
  assert.ok(refused[0]! <= 2, `${refused[0]} refused`)
  assert.ok(passed[1]! >= 30 * 55, `what is left over goes to the other: ${passed[1]}`)
})

test('sources that all flood get equal shares', () => {
  const { passed } = run([1_000, 2_000, 4_000, 500], 30)
  for (const count of passed) assert.ok(Math.abs(count - 30 * 25) <= 60, String(passed))
})

test('a source that is alone may use the whole limit, and again after others have gone silent', () => {
  const { time, take } = stage(2, { workspace: LIMIT })
  for (let i = 0; i < LIMIT; i += 1) assert.ok(take(0))
  assert.ok(!take(0))
  time.nowMs += 1_000
  assert.ok(take(1))
  time.nowMs += 20_000
  for (let i = 0; i < LIMIT; i += 1) assert.ok(take(0), `message ${i}`)
})

test('a source that comes while another one floods is let in within a second', () => {
  const { time, take } = stage(2, { workspace: 10 })
  while (take(0));
  take(1)
  for (let ms = 0; ms < 1_000; ms += 10) {
    time.nowMs += 10
    take(0)
  }
  assert.ok(take(1))
})

test('a batch larger than a second passes, and its debt is its own', () => {
  const { time, take } = stage(2, { workspace: LIMIT })
  assert.ok(take(0, 5_000))
  assert.ok(!take(1), 'the second is used up')
  time.nowMs += 1_000
  assert.ok(take(1), 'the other does not pay for it')
  assert.ok(!take(0))
})

test('what the workspace refuses costs the source nothing', () => {
  const { time, take } = stage(1, { workspace: 1, source: 3 })
  assert.ok(take(0))
  for (let i = 0; i < 100; i += 1) assert.ok(!take(0))
  time.nowMs += 1_000
  assert.ok(take(0))
})

test('a limit below one message a second lets one pass now and then', () => {
  const { passed } = run([10], 100, { workspace: 0.1 })
  assert.ok(passed[0]! >= 10 && passed[0]! <= 11, String(passed))
})

test('many sources share a small limit, and none of them is kept out', () => {
  const { passed } = run(Array<number>(50).fill(20), 30, { workspace: 10 })
  assert.ok(Math.min(...passed) >= 4, String(passed))
})

test('whatever sources send, a workspace never gets more than its limit and two bursts', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }), (rates) => {
      const seconds = 4
      const total = run(rates, seconds).passed.reduce((sum, count) => sum + count, 0)
      assert.ok(total <= LIMIT * (seconds + 2), `${total} of ${rates.join(', ')}`)
      const asked = rates.reduce((sum, rate) => sum + rate, 0) * seconds
      assert.ok(total >= Math.min(LIMIT * seconds, asked) * 0.85 - 10, `${total} of ${rates.join(', ')}`)
    }),
    { numRuns: 40 },
  )
})
