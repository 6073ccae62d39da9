import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMessageId } from './ids.ts'

test('a made message id is a UUIDv7 of the given time', () => {
  const id = createMessageId(Date.parse('2026-03-01T09:00:00.120Z'), () => 0.999999999999)
  assert.match(id, /^api-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(Number.parseInt(id.slice(4, 17).replace('-', ''), 16), Date.parse('2026-03-01T09:00:00.120Z'))
  assert.equal(
    createMessageId(0, () => 0),
    'api-00000000-0000-7000-8000-000000000000',
  )
})

test('made message ids sort by time and differ within a millisecond', () => {
  let seed = 1
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const ids = Array.from({ length: 1000 }, (_, i) => createMessageId(1_772_355_600_000 + Math.floor(i / 10), random))
  assert.equal(new Set(ids).size, 1000)
  assert.ok(ids[0]! < ids[10]! && ids[10]! < ids[990]!)
})
