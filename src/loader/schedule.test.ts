import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import { parseSchedule } from '../snapshot/index.ts'
import { createBed } from './testing/loader-bed.ts'

const noon = Date.parse('2024-03-01T12:00:00.000Z')

test('an interval runs from the start of one sync to the start of the next; an overdue one is due at once', () => {
  const every = parseSchedule('every 1m')
  assert.equal(every.nextMs(noon, noon + 10_000), noon + 60_000)
  assert.equal(every.nextMs(noon, noon + 90_000), noon + 90_000)
  assert.equal(parseSchedule('every 10s').nextMs(noon, noon), noon + 10_000)
  assert.equal(parseSchedule('every 2h').nextMs(noon, noon), noon + 7_200_000)
})

test('a cron line is read in UTC', () => {
  assert.equal(parseSchedule('30 4 * * *').nextMs(0, noon), Date.parse('2024-03-02T04:30:00.000Z'))
})

test('manual is never due', () => {
  assert.equal(parseSchedule('manual').nextMs(0, noon), undefined)
})

test('what is no schedule is refused with a sentence', () => {
  for (const text of ['', 'every', 'every 5s', 'every 1d', 'hourly', '* * *', '61 * * * *']) {
    assert.throws(() => parseSchedule(text), { code: 'bad_schedule' }, text)
  }
})

/** A clock that the test advances. */
function createTestClock(startMs: number) {
  let nowMs = startMs
  const timers = new Set<{ atMs: number; run: () => void }>()
  const clock: Clock = {
    now: () => nowMs,
    after(ms, run) {
      const timer = { atMs: nowMs + ms, run }
      timers.add(timer)
      return { timer }
    },
    clear({ timer }) {
      timers.delete(timer as never)
    },
  }
  return {
    clock,
    timers,
    advance(ms: number) {
      nowMs += ms
      for (const timer of [...timers].sort((a, b) => a.atMs - b.atMs)) {
        if (timer.atMs > nowMs || !timers.delete(timer)) continue
        timer.run()
      }
    },
  }
}

test('the first sync is at once, then at its times and only when there is something new', async () => {
  const { clock, timers, advance } = createTestClock(noon)
  let notify = (): void => {}
  const bed = await createBed({
    clock,
    warehouse: { schedule: 'every 1m' },
    onAppend: (_, run) => {
      notify = run
      return () => {}
    },
  })
  try {
    const syncs = () => bed.loader.history('local').length
    // A sync ends by way of the disk and other threads; its record says when.
    const until = async (count: number) => {
      while (syncs() < count) await new Promise((resolve) => setImmediate(resolve))
    }
    await bed.send([{ type: 'track', event: 'E', messageId: 'm1', anonymousId: 'a' }])
    bed.loader.start()
    advance(0)
    await until(1)
    assert.deepEqual(bed.loader.history('local')[0]?.rows, { 'web.e': 1, 'web.tracks': 1 })

    await bed.send([{ type: 'track', event: 'E', messageId: 'm2', anonymousId: 'a' }])
    notify()
    advance(59_000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(syncs(), 1)
    advance(1_000)
    await until(2)
    assert.equal(bed.loader.history('local')[0]?.rows['web.tracks'], 1)

    // Nothing new: the only timer left is the one that would close the idle warehouse.
    assert.equal((await bed.loader.status()).warehouses[0]?.nextSyncAt, undefined)
    assert.equal(timers.size, 1)
    advance(3_600_000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(syncs(), 2)
  } finally {
    await bed.end()
  }
})

test('a sync that failed is tried again on its own, later and later', async () => {
  const { clock, advance } = createTestClock(noon)
  let failures = 2
  const bed = await createBed({
    clock,
    warehouse: { schedule: 'every 1h' },
    connect: async (connect) => {
      if (failures-- > 0) throw new Error('away')
      return connect()
    },
  })
  try {
    const until = async (count: number) => {
      while (bed.loader.history('local').length < count) await new Promise((resolve) => setImmediate(resolve))
    }
    await bed.send([{ type: 'track', event: 'E', messageId: 'm1', anonymousId: 'a' }])
    bed.loader.start()
    advance(0)
    await until(1)
    // Full jitter at one half of 5 s, then of 10 s.
    advance(2_500)
    await until(2)
    advance(5_000)
    await until(3)
    assert.deepEqual(
      bed.loader.history('local').map(({ status }) => status),
      ['success', 'failure', 'failure'],
    )
  } finally {
    await bed.end()
  }
})
