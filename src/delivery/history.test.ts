import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { fakeVendor } from '../../test/support/fake-vendor.ts'
import { historySchema, openHistory } from './history.ts'
import { openStage } from './testing/stage.ts'

const MINUTE_MS = 60_000

function open() {
  const db = new DatabaseSync(':memory:')
  db.exec(historySchema)
  return openHistory(db)
}

test('counts of a minute and of its hour add up over several writes', () => {
  const history = open()
  history.tally(1, 5 * MINUTE_MS, { state: 'delivered', code: '', count: 3, latencyMs: 10 })
  history.write()
  history.tally(1, 5 * MINUTE_MS + 1, { state: 'delivered', code: '', count: 4, latencyMs: 10 })
  history.tally(1, 6 * MINUTE_MS, { state: 'discarded', code: '400', count: 1 })
  history.tally(2, 5 * MINUTE_MS, { state: 'delivered', code: '', count: 100 })
  history.write()
  const minutes = history.read(1, 60, 0, 60 * MINUTE_MS).buckets
  assert.deepEqual(
    minutes.map(({ startMs, counts }) => [startMs / MINUTE_MS, counts.delivered, counts.discarded]),
    [
      [5, { '': 7 }, {}],
      [6, {}, { 400: 1 }],
    ],
  )
  const hours = history.read(1, 3600, 0, 60 * MINUTE_MS).buckets
  assert.deepEqual([hours.length, hours[0]?.counts.delivered, hours[0]?.counts.discarded], [1, { '': 7 }, { 400: 1 }])
  assert.deepEqual(history.read(1, 60, 0, 5 * MINUTE_MS).buckets, [])
})

test('percentiles of latency are at most a fifth above the true ones', () => {
  const history = open()
  for (let ms = 1; ms <= 1000; ms++) history.tally(1, 0, { state: 'delivered', code: '', count: 1, latencyMs: ms })
  history.write()
  const { latencyMs } = history.read(1, 60, 0, MINUTE_MS)
  for (const [found, truth] of [
    [latencyMs!.p50, 500],
    [latencyMs!.p95, 950],
    [latencyMs!.p99, 990],
  ] as const)
    assert.ok(found >= truth && found <= truth * 1.2, `${found} for ${truth}`)
  assert.equal(history.read(2, 60, 0, MINUTE_MS).latencyMs, undefined)
})

test('minutes are kept for a day and hours for a fortnight', () => {
  const history = open()
  const day = 24 * 60 * MINUTE_MS
  history.tally(1, 0, { state: 'delivered', code: '', count: 1, latencyMs: 1 })
  history.write()
  history.expire(2 * day)
  assert.equal(history.read(1, 60, 0, day).buckets.length, 0)
  assert.equal(history.read(1, 3600, 0, day).buckets.length, 1)
  history.expire(16 * day)
  assert.equal(history.read(1, 3600, 0, day).buckets.length, 0)
})

test('the history of a connection is as exact as its accounting, across a kill', async (t) => {
  const vendor = await fakeVendor()
  t.after(() => vendor.close())
  let requests = 0
  vendor.answerWith(() => ((requests += 1) % 7 === 0 ? 400 : requests % 5 === 0 ? 503 : 200))
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(200)
  await stage.until(({ delivered }) => delivered >= 60)
  await stage.crash()
  await stage.start()
  await stage.emit(100)
  const status = await stage.until(({ received, waiting }) => received === 300 && waiting === 0)
  await stage.stop()
  await stage.start()
  const { buckets, latencyMs } = stage.delivery.history(1, 60, 0, Date.now() + MINUTE_MS)
  const total = (state: 'delivered' | 'discarded') =>
    buckets.reduce((sum, { counts }) => sum + Object.values(counts[state]).reduce((a, b) => a + b, 0), 0)
  assert.deepEqual(
    [total('delivered'), total('discarded')],
    [status.delivered, Object.values(status.discarded).reduce((a, b) => a + b, 0)],
  )
  assert.ok(buckets.some(({ counts }) => (counts.retried['503'] ?? 0) > 0 || (counts.retried[''] ?? 0) > 0))
  assert.ok(latencyMs !== undefined && latencyMs.p50 >= 0)
})
