/** Laws that hold for whatever a client sends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { calls, type JsonObject } from './message.ts'
import { normaliseMessage, type Arrival, type Normalised } from './normalise.ts'
import { parseBody } from './parse-body.ts'
import { splitBody, type Route } from './split.ts'

const arrival: Arrival = { receivedAtMs: 1_772_355_605_000, newMessageId: () => 'api-made' }

function results(text: string, route: Route, extra: Partial<Arrival> = {}): Normalised[] {
  const items = splitBody(parseBody(Buffer.from(text)), { route, messageBytesMax: 2_000, batchMessagesMax: 8 })
  return items.map((item) => normaliseMessage(item, { ...arrival, ...extra }))
}

/** Values that are often almost right, so that many messages get far. */
const mostly = <T, U>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<U>): fc.Arbitrary<T | U> =>
  fc.oneof({ weight: 19, arbitrary: usual }, { weight: 1, arbitrary: odd })
const oddValue = fc.oneof(fc.constantFrom<unknown>('', null, 5, true), fc.jsonValue({ maxDepth: 2 }))
const id = mostly(fc.string({ minLength: 1, maxLength: 40 }), oddValue)
const time = fc.oneof(
  fc.constantFrom<unknown>('2026-03-01T09:00:00Z', '2015-2-02T00:00:00.1+02:00', 'noon', 5),
  fc.string(),
)
const hostileKey = fc.constantFrom('__proto__', 'constructor', 'toString', 'a', 'b', '')
const object = mostly(fc.dictionary(hostileKey, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }), oddValue)
const message = fc.record(
  {
    type: mostly(fc.constantFrom<unknown>(...calls), oddValue),
    userId: id,
    anonymousId: id,
    groupId: id,
    previousId: id,
    messageId: id,
    event: id,
    name: id,
    category: id,
    properties: object,
    traits: object,
    context: object,
    integrations: object,
    _metadata: object,
    writeKey: id,
    timestamp: time,
    originalTimestamp: time,
    sentAt: time,
    receivedAt: time,
    version: id,
    unknown: fc.jsonValue(),
  },
  { requiredKeys: ['type', 'userId', 'event'] },
)
const body = fc.record(
  {
    batch: fc.array(mostly(message, oddValue)),
    context: object,
    integrations: object,
    sentAt: time,
  },
  { requiredKeys: ['batch'] },
)
const door = fc.record(
  {
    ip: fc.ipV4(),
    userAgent: fc.string(),
    ipMode: fc.constantFrom<'mask' | 'drop'>('mask', 'drop'),
    idCoercion: fc.constant<false>(false),
  },
  { requiredKeys: [] },
)

test('every item has one result, whatever it is', () => {
  fc.assert(
    fc.property(body, door, (sent, extra) => {
      const all = results(JSON.stringify(sent), 'batch', extra)
      assert.equal(all.length, Math.max(1, sent.batch.length))
      for (const one of all) assert.equal(one.kind === 'call' || typeof one.code === 'string', true)
    }),
  )
})

test('any JSON value is refused or has one result on every route', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom<Route>(...calls, 'batch'), (value, route) => {
      const isFit =
        typeof value === 'object' &&
        value !== null &&
        !Array.isArray(value) &&
        (route !== 'batch' || Array.isArray(value['batch']))
      if (isFit) assert.ok(results(JSON.stringify(value), route).length >= 1)
      else assert.throws(() => results(JSON.stringify(value), route), { code: 'bad_request' })
    }),
  )
})

test('a stored message is a fixed point: sent again it comes out the same', () => {
  fc.assert(
    fc.property(message, door, (sent, extra) => {
      const [first] = results(JSON.stringify({ batch: [sent] }), 'batch', extra)
      if (first?.kind !== 'call') return
      // The correction of times is for once, so the copy comes without the time of sending, as for an import.
      const { sentAt: _, originalTimestamp: __, ...stored } = JSON.parse(first.json) as JsonObject
      const [again] = results(JSON.stringify({ batch: [stored] }), 'batch', extra)
      assert.ok(again?.kind === 'call' || again?.code === 'message_too_large')
      if (again.kind !== 'call') return
      const { originalTimestamp: ___, ...repeated } = JSON.parse(again.json) as JsonObject
      assert.deepEqual(repeated, stored)
    }),
  )
})

test('a stored message has what every reader relies on', () => {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
  fc.assert(
    fc.property(body, door, (sent, extra) => {
      for (const one of results(JSON.stringify(sent), 'batch', extra)) {
        if (one.kind !== 'call') continue
        const stored = JSON.parse(one.json) as JsonObject
        for (const key of ['timestamp', 'originalTimestamp', 'receivedAt']) assert.match(String(stored[key]), isTime)
        for (const key of ['context', 'integrations'])
          assert.equal(Object.prototype.toString.call(stored[key]), '[object Object]')
        assert.equal(typeof stored['messageId'] === 'string' && stored['messageId'] !== '', true)
        assert.equal(typeof stored['userId'] === 'string' || typeof stored['anonymousId'] === 'string', true)
        assert.equal('writeKey' in stored, false)
        assert.equal(stored['version'], 2)
      }
    }),
  )
})

test('nothing that is sent reaches the prototype of objects', () => {
  const before = Object.getOwnPropertyNames(Object.prototype).join()
  fc.assert(
    fc.property(body, (sent) => {
      results(JSON.stringify(sent), 'batch')
      assert.equal(Object.getOwnPropertyNames(Object.prototype).join(), before)
    }),
  )
})

test('large whole numbers survive anywhere in a message', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), (number) => {
      const text = `{"userId":"u","event":"E","properties":{"a":[${number}]},"context":{"b":{"c":${number}}},"extra":${number}}`
      const [one] = results(text, 'track')
      assert.ok(one?.kind === 'call')
      assert.equal(one.json.split(String(number)).length - 1 >= 3, true, one.json)
    }),
  )
})
