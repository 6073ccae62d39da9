import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { eventKinds } from '../journal/index.ts'
import { readMessage } from './read-message.ts'
import { createShapeHasher } from './shape-hash.ts'

const hasher = createShapeHasher(42)

function hash(kind: number, body: object): number {
  const number = hasher.of(Buffer.from(JSON.stringify(body)), 1, kind)
  assert.ok(number !== undefined && Number.isSafeInteger(number))
  return number
}

const name = fc.constantFrom('a', 'b', 'é', '"', '\\', '', '$', 'a.b', '__proto__', 'event', 'properties')
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('x', '2026-03-01T09:00:00.000Z', '2026-03-01', '{"a":[1', 'a\\"b', true, null, 'null'),
    fc.constantFrom(1, 1.5, -0.25, 1e21, 1e-7, 12345678901234567890.5, 9007199254740993, 0),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(name, tie('any'), { maxKeys: 3 }),
  ),
})).any
const message = fc.record(
  {
    event: fc.constantFrom('A', 'B', 'A"}', '😀'),
    properties: fc.oneof(fc.dictionary(name, value, { maxKeys: 3 }), value),
    traits: fc.dictionary(name, value, { maxKeys: 3 }),
    context: fc.oneof(
      value,
      fc.record({ ip: value, protocols: fc.record({ omitted: fc.array(name, { maxLength: 2 }), sourceId: value }) }),
    ),
    other: value,
  },
  { requiredKeys: ['event'] },
)
const frame = fc.oneof(
  fc.record({ kind: fc.constantFrom(1, 2, 3, 4, 5, 6), body: message }),
  fc.record({
    kind: fc.constant(eventKinds.dropped),
    body: fc.record({
      code: fc.constantFrom('event_setting', 'JOURNAL_CORRUPT'),
      type: fc.constantFrom('track', 'page', 'identify'),
      message: message.chain((inner) =>
        fc.constantFrom('track', 'page', 'group').map((type) => ({ type, ...inner }) as object),
      ),
    }),
  }),
)

const read = ({ kind, body }: { kind: number; body: object }): unknown => {
  const seen = readMessage({ kind, body: Buffer.from(JSON.stringify(body)) })
  return seen && { ...seen, properties: [...seen.properties].sort(), omitted: [...seen.omitted].sort() }
}

test('messages with the same number say the same about the schema', () => {
  const seen = new Map<number, unknown>()
  fc.assert(
    fc.property(frame, (each) => {
      const number = hash(each.kind, each.body)
      const said = read(each)
      if (seen.has(number)) assert.deepEqual(said, seen.get(number))
      seen.set(number, said)
    }),
    { numRuns: 20_000 },
  )
  assert.ok(seen.size > 1_000 && seen.size < 19_000, `${seen.size} numbers`)
})

test('values, the order of names and the number of items of a list make no difference', () => {
  const first = { event: 'A', properties: { a: 1, b: ['x', 'y'], c: { d: 2.5, e: '2026-03-01T09:00:00Z' } } }
  const second = { properties: { c: { e: '2027-01-01T00:00:00Z', d: 0.1 }, b: ['z'], a: 77 }, event: 'A', userId: 'u' }
  assert.equal(hash(2, first), hash(2, second))
})

test('what is different in source, hour, kind, event, name, nesting or type has different numbers', () => {
  const bodies: [number, object][] = [
    [2, { event: 'A', properties: { a: 1 } }],
    [3, { event: 'A', properties: { a: 1 } }],
    [2, { event: 'B', properties: { a: 1 } }],
    [2, { event: 'A', traits: { a: 1 } }],
    [2, { event: 'A', properties: { b: 1 } }],
    [2, { event: 'A', properties: { a: 1.5 } }],
    [2, { event: 'A', properties: { a: '1' } }],
    [2, { event: 'A', properties: { a: [1] } }],
    [2, { event: 'A', properties: { a: [[1]] } }],
    [2, { event: 'A', properties: { a: {} } }],
    [2, { event: 'A', properties: { a: { a: 1 } } }],
    [2, { event: 'A', properties: { a: 1, b: 1 } }],
    [2, { event: 'A', properties: { a: 1 }, context: { protocols: { omitted: ['b'] } } }],
    [2, { event: 'A', properties: { a: 1 }, context: { protocols: { omitted: ['c'] } } }],
  ]
  const body = Buffer.from(JSON.stringify(bodies[0]![1]))
  const numbers = [...bodies.map(([kind, each]) => hash(kind, each)), hasher.of(body, 2, 2), hasher.of(body, 1, 258)]
  assert.equal(new Set(numbers).size, numbers.length)
})

test('what is cut off or is no compact JSON has no number, and ends', () => {
  const whole = JSON.stringify({
    event: 'A',
    properties: { a: [1, { b: 'x\\"' }], c: null },
    context: { protocols: {} },
  })
  for (let length = 0; length < whole.length; length += 1)
    assert.equal(hasher.of(Buffer.from(whole.slice(0, length)), 1, 2), undefined, whole.slice(0, length))
  assert.notEqual(hasher.of(Buffer.from(whole), 1, 2), undefined)
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:\\a1') }), (text) => {
      hasher.of(Buffer.from(text), 1, 2)
    }),
    { numRuns: 5_000 },
  )
})

test('nesting as deep as a message can be is read to the bound', () => {
  const depth = 15_000
  const text = `{"event":"A","properties":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`
  assert.notEqual(hasher.of(Buffer.from(text), 1, 2), undefined)
  const seen = readMessage({ kind: 2, body: Buffer.from(text) })
  assert.equal(seen?.properties.size, 16)
})
