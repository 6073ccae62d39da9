import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseExactly, type JsonObject } from '../protocol/index.ts'
import { libraryCall } from './library-call.ts'

test('each of the six calls reads as the library has it', () => {
  const cases: [string, JsonObject, string][] = [
    [
      'track',
      { event: 'Order Completed', properties: { revenue: 99.5 } },
      `analytics.track('Order Completed', {\n  revenue: 99.5,\n})`,
    ],
    ['track', { event: 'Ping' }, `analytics.track('Ping')`],
    ['identify', { userId: 'u-1', traits: { plan: 'free' } }, `analytics.identify('u-1', {\n  plan: 'free',\n})`],
    ['identify', { anonymousId: 'a', traits: {} }, 'analytics.identify({})'],
    ['page', { name: 'Home', properties: {} }, `analytics.page('Home', {})`],
    [
      'page',
      { category: 'Docs', properties: { a: [1] } },
      `analytics.page('Docs', undefined, {\n  a: [\n    1,\n  ],\n})`,
    ],
    ['screen', { category: 'Docs', name: 'Start' }, `analytics.screen('Docs', 'Start')`],
    ['group', { groupId: 'g', traits: { seats: null } }, `analytics.group('g', {\n  seats: null,\n})`],
    ['alias', { userId: 'new', previousId: 'old' }, `analytics.alias('new', 'old')`],
  ]
  for (const [type, message, expected] of cases) assert.equal(libraryCall(type, message), expected)
})

test('what is wrong with a message can be seen in its call', () => {
  assert.equal(libraryCall('track', { properties: 'none' }), `analytics.track(undefined, 'none')`)
  assert.equal(libraryCall('purchase', {}), undefined)
  assert.equal(libraryCall(undefined, {}), undefined)
})

test('numbers keep all their digits', () => {
  const message = parseExactly('{"event":"E","properties":{"id":9007199254740993123}}') as JsonObject
  assert.match(libraryCall('track', message) ?? '', /id: 9007199254740993123,/)
})

test('whatever the names and values are, the call is JavaScript that gives the same values', () => {
  const json = fc.jsonValue({ maxDepth: 3 })
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.dictionary(fc.string({ unit: 'binary' }), json),
      (event, properties) => {
        // What arrives has gone through JSON, where there is no -0.
        const sent = JSON.parse(JSON.stringify({ event, properties })) as { event: string; properties: JsonObject }
        const text = libraryCall('track', sent) ?? ''
        const run = new Function('analytics', `return ${text}`) as (analytics: object) => unknown
        assert.deepEqual(run({ track: (...args: unknown[]) => args }), [sent.event, sent.properties])
      },
    ),
  )
  const hostile = JSON.parse(
    `{"event":"');alert(1);('","properties":{"__proto__":{"a":1},"\\u2028":"\\\\"}}`,
  ) as JsonObject
  const run = new Function('analytics', `return ${libraryCall('track', hostile)}`) as (analytics: object) => unknown
  assert.deepEqual(run({ track: (...args: unknown[]) => args }), [hostile['event'], hostile['properties']])
})
