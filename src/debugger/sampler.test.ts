import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSampler } from './sampler.ts'

const startMs = Date.UTC(2026, 2, 1, 12)
const limits = { perSource: 50, overall: 500, bytes: 1_000_000 }

/** How many of `count` messages, evenly spread over `ms`, are kept. */
function keptOf(
  sampler: ReturnType<typeof createSampler>,
  options: { source?: number; fromMs?: number; count: number; ms: number },
): number {
  const { source = 1, fromMs = startMs, count, ms } = options
  let kept = 0
  for (let i = 0; i < count; i++) if (sampler.admits(source, 0, i + 1, Math.floor(fromMs + (i * ms) / count))) kept += 1
  return kept
}

test('up to the rate everything is kept, also all of a second at once', () => {
  assert.equal(keptOf(createSampler(limits), { count: 500, ms: 10_000 }), 500)
  assert.equal(keptOf(createSampler(limits), { count: 50, ms: 1 }), 50)
})

test('above the rate as many are kept as the rate says, spread over the whole time', () => {
  const sampler = createSampler(limits)
  const kept = [0, 1, 2, 3].map((second) =>
    keptOf(sampler, { fromMs: startMs + second * 1000, count: 10_000, ms: 1000 }),
  )
  assert.ok(kept[0]! >= 99 && kept[0]! <= 100, `a second's worth is in the bucket at first: ${kept[0]}`)
  for (const count of kept.slice(1)) assert.ok(count >= 49 && count <= 51, String(count))
})

test('a source that floods takes nothing of the sample of another', () => {
  const sampler = createSampler(limits)
  let kept = 0
  for (let i = 0; i < 10_000; i++) {
    sampler.admits(1, 0, i, startMs + i)
    if (i % 100 === 0 && sampler.admits(2, 0, i, startMs + i)) kept += 1
  }
  assert.equal(kept, 100)
})

test('many sources share the overall limit, and each is told its share', () => {
  const sampler = createSampler(limits)
  const kept = new Map<number, number>()
  for (let ms = 0; ms < 20_000; ms += 10) {
    for (let source = 1; source <= 100; source++) {
      const isKept = sampler.admits(source, 0, ms, startMs + ms)
      if (ms >= 10_000 && isKept) kept.set(source, (kept.get(source) ?? 0) + 1)
    }
  }
  assert.equal(sampler.perSecond(), 5)
  assert.equal(kept.size, 100)
  const total = [...kept.values()].reduce((sum, count) => sum + count, 0)
  assert.ok(total <= 5_010 && total >= 4_900, String(total))
})

test('a large message is kept and those after it pay for it', () => {
  const sampler = createSampler(limits)
  assert.ok(sampler.admits(1, 0, 1, startMs))
  sampler.charge(3_000_000)
  assert.ok(!sampler.admits(1, 0, 2, startMs + 1_900))
  assert.ok(sampler.admits(1, 0, 3, startMs + 2_100))
})

test('a clock that was set back by an hour does not stop the sampling for an hour', () => {
  const sampler = createSampler(limits)
  keptOf(sampler, { count: 1_000, ms: 1_000 })
  const earlierMs = startMs - 3_600_000
  assert.ok(keptOf(sampler, { fromMs: earlierMs, count: 1_000, ms: 2_000 }) >= 99)
})

test('messages that come in another order by some milliseconds give no extra room', () => {
  const sampler = createSampler(limits)
  let kept = 0
  for (let i = 0; i < 10_000; i++) if (sampler.admits(1, 0, i, startMs + i / 10 - (i % 2) * 500)) kept += 1
  assert.ok(kept <= 101, String(kept))
})
