import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDeadlines } from './deadlines.ts'
import { testClock } from './testing/raw-server.ts'

test('a deadline is never early and at most two ticks late', () => {
  const time = fc.integer({ min: 0, max: 500 })
  fc.assert(
    fc.property(fc.array(fc.record({ startMs: time, timeoutMs: time }), { maxLength: 30 }), (requests) => {
      const clock = testClock()
      const deadlines = createDeadlines(clock)
      const lateMs: number[] = []
      for (const { startMs, timeoutMs } of requests) {
        clock.after(startMs, () => {
          const dueTick = deadlines.tickAfter(timeoutMs)
          deadlines.add({ dueTick, expire: () => void lateMs.push(clock.now() - startMs - timeoutMs) })
        })
      }
      clock.advance(2000)
      assert.equal(lateMs.length, requests.length)
      for (const ms of lateMs) assert.ok(ms >= 0 && ms <= 50, `${ms} ms late`)
    }),
  )
})

test('what ended in time does not expire, and without requests no timer runs', () => {
  const clock = testClock()
  let timers = 0
  const deadlines = createDeadlines({ ...clock, after: (ms, run) => (timers++, clock.after(ms, run)) })
  const deadline = { dueTick: deadlines.tickAfter(100), expire: () => assert.fail('it was removed') }
  deadlines.add(deadline)
  deadlines.remove(deadline)
  clock.advance(10_000)
  assert.equal(timers, 1)
})
