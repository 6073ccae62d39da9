import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSchedule } from './chain/schedule.ts'

const seeds = [1, 2, 3, 4, 5]

test('the same seed is the same run, step by step; another seed is another', async () => {
  const results = []
  for (const seed of [...seeds, ...seeds]) results.push(await runSchedule(seed))
  assert.deepEqual(results.slice(0, seeds.length), results.slice(seeds.length))
  assert.equal(new Set(results.map(({ fingerprint }) => fingerprint)).size, seeds.length)
})
