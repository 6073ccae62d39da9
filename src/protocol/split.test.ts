import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBody } from './parse-body.ts'
import { checkShape, countMessages, splitBody, writeKeyOf, type Item, type SplitOptions } from './split.ts'

const track = { type: 'track', userId: 'u', event: 'E' }

function split(body: unknown, options: Partial<SplitOptions> = {}): Item[] {
  return splitBody(parseBody(Buffer.from(JSON.stringify(body))), {
    route: 'batch',
    messageBytesMax: 32_768,
    ...options,
  })
}

const codes = (items: Item[]): (string | undefined)[] => items.map((item) => item.code)

/** A track call whose compact JSON has exactly the given number of bytes. */
function trackOfBytes(bytes: number, rest: object = {}): object {
  const empty = { ...track, ...rest, properties: { text: '' } }
  const missing = bytes - Buffer.byteLength(JSON.stringify(empty))
  return { ...empty, properties: { text: 'x'.repeat(missing) } }
}

/** An object with the given levels of nesting. */
function nested(levels: number): object {
  return JSON.parse('{"a":'.repeat(levels - 1) + '{}' + '}'.repeat(levels - 1)) as object
}

test('a single call is one item of the route, whatever type it says', () => {
  assert.deepEqual(split({ ...track, type: 'page' }, { route: 'track' }), [
    { value: { ...track, type: 'page' }, call: 'track' },
  ])
})

test('a batch is one item for each message, in order, all with what the batch says', () => {
  const body = {
    batch: [track, { ...track, event: 'F' }],
    context: { a: 1 },
    integrations: { All: false },
    sentAt: 't',
    messageId: 'x',
  }
  const defaults = { context: { a: 1 }, integrations: { All: false }, sentAt: 't' }
  assert.deepEqual(split(body), [
    { value: track, defaults },
    { value: { ...track, event: 'F' }, defaults },
  ])
})

test('context and integrations of a batch that are not objects say nothing', () => {
  assert.deepEqual(split({ batch: [track], context: [1], integrations: 'all' }), [{ value: track, defaults: {} }])
})

test('an empty batch is one rejected item', () => {
  assert.deepEqual(codes(split({ batch: [] })), ['empty_batch'])
})

test('items of a batch that are not objects are rejected alone', () => {
  const items = [track, null, 1, 'x', true, [track], track]
  assert.deepEqual(codes(split({ batch: items })), [undefined, ...Array<string>(5).fill('bad_request'), undefined])
})

test('the surplus of a batch that is too long is rejected', () => {
  const batch = [track, track, null, null]
  assert.deepEqual(codes(split({ batch }, { batchMessagesMax: 3 })), [
    undefined,
    undefined,
    'bad_request',
    'batch_too_long',
  ])
})

test('the verdict of the door falls on every message', () => {
  const verdict = 'source_disabled'
  assert.deepEqual(codes(split({ batch: [track, null] }, { verdict })), [verdict, verdict])
  assert.deepEqual(codes(split({ batch: [] }, { verdict })), [verdict])
  assert.deepEqual(codes(split(track, { verdict, route: 'track' })), [verdict])
})

test('a message of the limit passes and one byte more does not, by itself, without its write key or what the batch adds', () => {
  const context = { text: 'y'.repeat(20_000) }
  const body = {
    batch: [trackOfBytes(32_768), trackOfBytes(32_769), { ...trackOfBytes(32_768), writeKey: 'k'.repeat(100) }, track],
    context,
  }
  assert.deepEqual(codes(split(body)), [undefined, 'message_too_large', undefined, undefined])
  assert.deepEqual(codes(split(trackOfBytes(32_769), { route: 'track' })), ['message_too_large'])
  assert.deepEqual(codes(split({ ...trackOfBytes(32_768), writeKey: 'k' }, { route: 'track' })), [undefined])
})

test('the size of a message is that of its UTF-8, not of the blanks or escapes that it came with', () => {
  const pretty = Buffer.from(
    JSON.stringify({ batch: [trackOfBytes(32_000), trackOfBytes(2_000)] }, null, 8) + ' '.repeat(40_000),
  )
  assert.deepEqual(codes(splitBody(parseBody(pretty), { route: 'batch', messageBytesMax: 32_768 })), [
    undefined,
    undefined,
  ])
  const wide = (count: number): object => ({ ...track, properties: { text: 'é'.repeat(count) } })
  assert.deepEqual(codes(split({ batch: [wide(16_000), wide(16_400)] })), [undefined, 'message_too_large'])
})

test('what a batch adds to every message has the limit of one message', () => {
  const big = { text: 'y'.repeat(33_000) }
  assert.deepEqual(codes(split({ batch: [track, track], context: big })), ['message_too_large', 'message_too_large'])
  assert.deepEqual(codes(split({ batch: [track], integrations: big })), ['message_too_large'])
})

test('a message of 100 levels passes and one of 101 does not, its neighbours unharmed', () => {
  // The message itself is the first level.
  const ofLevels = (levels: number): object => ({ ...track, properties: nested(levels - 1) })
  assert.deepEqual(codes(split({ batch: [ofLevels(100), ofLevels(101), ofLevels(5_000), track] })), [
    undefined,
    'too_deep',
    'too_deep',
    undefined,
  ])
  assert.deepEqual(codes(split(ofLevels(100), { route: 'track' })), [undefined])
  assert.deepEqual(codes(split(ofLevels(101), { route: 'track' })), ['too_deep'])
  assert.deepEqual(codes(split({ batch: [track], context: nested(99) })), [undefined])
  assert.deepEqual(codes(split({ batch: [track], context: nested(100) })), ['too_deep'])
})

test('a body that is not an object, or a batch that is not an array, is refused', () => {
  const sizes = { bodyBytes: 10, messageBytesMax: 32_768 }
  const refused = { code: 'bad_request', status: 400 }
  for (const body of [null, 1, 'x', true, []]) {
    assert.throws(() => checkShape(body, 'track', sizes), refused)
    assert.throws(() => checkShape(body, 'batch', sizes), refused)
  }
  for (const body of [{}, track, { batch: null }, { batch: {} }, { batch: 'x' }]) {
    assert.throws(() => checkShape(body, 'batch', sizes), refused)
    assert.throws(() => split(body), refused)
    checkShape(body, 'track', sizes)
  }
})

test('a single call over the limit is refused with the words that clients know', () => {
  const check = (body: object, route: 'track' | 'batch'): void =>
    checkShape(body, route, { bodyBytes: Buffer.byteLength(JSON.stringify(body)), messageBytesMax: 32_768 })
  const refused = { code: 'message_too_large', status: 400, message: 'Exceed payload limit' }
  assert.throws(() => check(trackOfBytes(32_769), 'track'), refused)
  check(trackOfBytes(32_768), 'track')
  check({ ...trackOfBytes(32_768), writeKey: 'k'.repeat(99) }, 'track')
  check({ batch: [trackOfBytes(32_769)] }, 'batch')
  // Too deep as well: the pipeline rejects it, and nothing recurses into it here.
  check(JSON.parse(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`) as object, 'track')
})

test('a body counts for its messages, at least for one', () => {
  assert.equal(countMessages(track, 'track'), 1)
  assert.equal(countMessages({ batch: [track, track] }, 'track'), 1)
  assert.equal(countMessages({ batch: [track, null, 1] }, 'batch'), 3)
  assert.equal(countMessages({ batch: [] }, 'batch'), 1)
})

test("the write key of a body is its own, else the first message's", () => {
  assert.equal(writeKeyOf({ writeKey: 'a', batch: [{ writeKey: 'b' }] }), 'a')
  assert.equal(writeKeyOf({ writeKey: '', batch: [{ writeKey: 'b' }, { writeKey: 'c' }] }), 'b')
  for (const body of [
    {},
    { writeKey: 1 },
    { batch: [] },
    { batch: [null] },
    { batch: [{}, { writeKey: 'c' }] },
    { batch: { 0: { writeKey: 'd' } } },
  ]) {
    assert.equal(writeKeyOf(body), undefined)
  }
})
