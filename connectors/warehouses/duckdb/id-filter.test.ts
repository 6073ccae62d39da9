import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '../../../src/base/seeded-random.ts'
import { IdFilter } from './id-filter.ts'

test('an id that was added is never called new, and of others next to none is called old', () => {
  const random = createRandom(7)
  const hash = (): [number, number] => [random.integer(2 ** 32), random.integer(2 ** 32)]
  const filter = new IdFilter(50_000, 1024 * 1024)
  const added = Array.from({ length: 50_000 }, hash)
  for (const [high, low] of added) filter.add(high, low)
  assert.ok(added.every(([high, low]) => filter.mayHave(high, low)))
  assert.ok(filter.count > 49_990 && filter.count <= 50_000)
  let falseAlarms = 0
  for (let i = 0; i < 200_000; i += 1) if (filter.mayHave(...hash())) falseAlarms += 1
  assert.ok(falseAlarms <= 5, `${falseAlarms} of 200,000`)
})

test('a filter keeps to its memory: with more ids it gives more false alarms, never a wrong "new"', () => {
  const random = createRandom(8)
  const filter = new IdFilter(1_000_000, 64 * 1024)
  const added = Array.from({ length: 50_000 }, () => [random.integer(2 ** 32), random.integer(2 ** 32)] as const)
  for (const [high, low] of added) filter.add(high, low)
  assert.ok(added.every(([high, low]) => filter.mayHave(high, low)))
})
