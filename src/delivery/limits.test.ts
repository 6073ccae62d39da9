/** What bounds a lane: concurrency, rate, circuit; and the small structures beneath. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createCircuitBreaker, FAILING_MS_TO_OPEN, FAILURES_TO_OPEN } from './circuit-breaker.ts'
import { CONCURRENCY_MAX, CONCURRENCY_START, createConcurrencyLimit } from './concurrency.ts'
import { DueQueue } from './due-queue.ts'
import { Fifo } from './fifo.ts'
import { createRateLimit } from './rate-limit.ts'
import { excerpt } from './redact.ts'
import { Watermark } from './watermark.ts'

test('concurrency grows while it is used up and the destination keeps its pace, up to its maximum', () => {
  const limit = createConcurrencyLimit(undefined)
  assert.equal(limit.limit, CONCURRENCY_START)
  for (let i = 0; i < 1000; i++) limit.succeeded(10, false)
  assert.equal(limit.limit, CONCURRENCY_START, 'idle slots are no reason to have more')
  for (let i = 0; i < 100_000; i++) limit.succeeded(10, true)
  assert.equal(limit.limit, CONCURRENCY_MAX)
})

test('concurrency does not grow into a destination that slows down', () => {
  const limit = createConcurrencyLimit(undefined)
  for (let i = 0; i < 50; i++) limit.succeeded(10, true)
  const before = limit.limit
  for (let i = 0; i < 500; i++) limit.succeeded(500, true)
  assert.ok(limit.limit <= before + 1)
})

test('concurrency halves once for each round of congestion, down to one', () => {
  const limit = createConcurrencyLimit(undefined)
  limit.congested(100, 200)
  limit.congested(150, 210)
  assert.equal(limit.limit, CONCURRENCY_START / 2, 'what was sent before the halving says nothing new')
  for (let at = 300; at < 1000; at += 10) limit.congested(at, at + 5)
  assert.equal(limit.limit, 1)
})

test('a fixed concurrency does not adapt until it is set free', () => {
  const limit = createConcurrencyLimit(4)
  for (let i = 0; i < 100; i++) limit.succeeded(10, true)
  limit.congested(1, 2)
  assert.equal(limit.limit, 4)
  limit.configure(undefined)
  assert.equal(limit.limit, CONCURRENCY_START)
})

test('the rate limit spaces requests and saves nothing up', () => {
  const rate = createRateLimit(10)
  assert.equal(rate.waitMs(1000), 0)
  rate.take(1000)
  assert.ok(rate.waitMs(1000) > 70)
  assert.equal(rate.waitMs(1100), 0)
  const starts: number[] = []
  for (let now = 60_000; now < 62_000; now++) {
    if (rate.waitMs(now) > 0) continue
    rate.take(now)
    starts.push(now)
  }
  assert.ok(starts.length <= 21, `${starts.length} in two seconds after a minute of rest`)
  rate.configure(undefined)
  assert.equal(rate.waitMs(0), 0)
})

test('the circuit opens only after failures that go on, and one probe closes it', () => {
  const circuit = createCircuitBreaker(() => 0.5)
  for (let i = 0; i < FAILURES_TO_OPEN * 2; i++) circuit.failed(1000, undefined)
  assert.equal(circuit.state, 'closed', 'many at once are a restart, not an outage')
  circuit.failed(1000 + FAILING_MS_TO_OPEN, undefined)
  assert.equal(circuit.state, 'open')
  assert.ok(!circuit.allows(1000 + FAILING_MS_TO_OPEN + 100))
  assert.ok(circuit.allows(circuit.probeAtMs))
  circuit.started()
  assert.ok(!circuit.allows(Infinity), 'one probe at a time')
  assert.equal(circuit.succeeded(), true)
  assert.equal(circuit.state, 'closed')
  assert.equal(circuit.succeeded(), false)
})

test('failed probes come further and further apart, up to a minute, or as far as the destination asks', () => {
  const circuit = createCircuitBreaker(() => 1)
  let nowMs = 0
  for (let i = 0; i < FAILURES_TO_OPEN; i++) circuit.failed((nowMs += FAILING_MS_TO_OPEN), undefined)
  const pauses: number[] = []
  for (let i = 0; i < 8; i++) {
    pauses.push(circuit.probeAtMs - nowMs)
    nowMs = circuit.probeAtMs
    circuit.started()
    circuit.failed(nowMs, undefined)
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
  const asked = createCircuitBreaker(() => 0)
  for (let i = 0; i <= FAILURES_TO_OPEN; i++) asked.failed(i * FAILING_MS_TO_OPEN, 30_000)
  assert.equal(asked.probeAtMs, FAILURES_TO_OPEN * FAILING_MS_TO_OPEN - FAILING_MS_TO_OPEN + 30_000)
})

test('the watermark stands at the lowest message that has not finished, in whatever order they finish', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(5000), { maxLength: 200 }), fc.infiniteStream(fc.nat()), (list, random) => {
      const offsets = list.sort((a, b) => a - b)
      const watermark = new Watermark<string>()
      for (const offset of offsets) watermark.take(offset, `m${offset}`)
      const left = [...offsets]
      while (left.length > 0) {
        assert.deepEqual([watermark.low, watermark.size], [left[0], left.length])
        const [offset] = left.splice((random.next().value as number) % left.length, 1)
        assert.equal(watermark.finish(offset!), `m${offset}`)
        assert.equal(watermark.finish(offset!), undefined)
      }
      assert.deepEqual([watermark.low, watermark.size], [undefined, 0])
    }),
  )
})

test('the queue of what is due gives the earliest first and nothing too early', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), (times) => {
      const queue = new DueQueue<number>()
      for (const at of times) queue.push(at, at)
      const popped: number[] = []
      for (let now = 0; now <= 100; now++) {
        for (let item = queue.popDue(now); item !== undefined; item = queue.popDue(now)) {
          assert.equal(item, now)
          popped.push(item)
        }
      }
      assert.deepEqual(
        popped,
        times.toSorted((a, b) => a - b),
      )
    }),
  )
})

test('a queue gives in the order of its getting, however long it runs', () => {
  const fifo = new Fifo<number>()
  let next = 0
  for (let i = 1; i <= 5000; i++) {
    fifo.push(i)
    if (i % 3 !== 0) assert.equal(fifo.shift(), ++next)
  }
  assert.equal(fifo.first, next + 1)
  assert.equal(fifo.drain().length, 5000 - next)
  assert.equal(fifo.shift(), undefined)
})

test('no excerpt holds a secret, in any form it travels in, and none is longer than its bound', () => {
  const secrets = ['s3cr3t/+&', 'x'.repeat(40)]
  const text = `a ${secrets[0]} b ${encodeURIComponent(secrets[0]!)} c ${Buffer.from(secrets[0]!).toString('base64')} ${'y'.repeat(4070)}${secrets[1]}`
  const kept = excerpt(text, { secrets })!
  assert.ok(kept.startsWith('a [secret] b [secret] c [secret]'))
  assert.ok(!kept.includes('xxxx'))
  assert.ok(kept.length <= 4096)
  assert.equal(excerpt('', { secrets }), undefined)
})

test('a probe never waits longer than the longest delay between retries', () => {
  const circuit = createCircuitBreaker(
    () => 1,
    () => 300,
  )
  for (let failure = 0; failure < FAILURES_TO_OPEN; failure++) circuit.failed(failure * FAILING_MS_TO_OPEN, undefined)
  const nowMs = FAILURES_TO_OPEN * FAILING_MS_TO_OPEN
  circuit.failed(nowMs, undefined)
  assert.equal(circuit.state, 'open')
  assert.ok(circuit.probeAtMs - nowMs <= 300)
})
