import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call, JsonObject } from './message.ts'
import { normaliseMessage, type Arrival, type Normalised, type NormalisedCall } from './normalise.ts'
import { parseBody } from './parse-body.ts'
import { splitBody, type Route } from './split.ts'

const receivedAt = '2026-03-01T09:00:05.000Z'
const arrival: Arrival = { receivedAtMs: Date.parse(receivedAt), newMessageId: () => 'api-made' }

/** Body as JSON text or value, through parsing and splitting, to its results. */
function results(body: unknown, route: Route, extra: Partial<Arrival> = {}): Normalised[] {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const items = splitBody(parseBody(Buffer.from(text)), { route, messageBytesMax: 32_768 })
  return items.map((item) => normaliseMessage(item, { ...arrival, ...extra }))
}

const result = (body: unknown, route: Route = 'track', extra: Partial<Arrival> = {}): Normalised =>
  results(body, route, extra)[0]!

function call(
  body: unknown,
  route: Route = 'track',
  extra: Partial<Arrival> = {},
): NormalisedCall & { stored: JsonObject } {
  const outcome = result(body, route, extra)
  assert.equal(outcome.kind, 'call', JSON.stringify(outcome))
  return { ...(outcome as NormalisedCall), stored: JSON.parse((outcome as NormalisedCall).json) as JsonObject }
}

function code(body: unknown, route: Route = 'track', extra: Partial<Arrival> = {}): string {
  const outcome = result(body, route, extra)
  return outcome.kind === 'rejected' ? outcome.code : 'call'
}

const track = { userId: 'u', event: 'E' }

test('the minimal message takes the form of the contract, field by field', () => {
  assert.equal(
    call({ type: 'track', userId: 'u-81', event: 'Lesson Started', properties: { lesson: 4 } }).json,
    '{"type":"track","userId":"u-81","anonymousId":null,"event":"Lesson Started","properties":{"lesson":4},' +
      '"context":{},"integrations":{},"messageId":"api-made","timestamp":"2026-03-01T09:00:05.000Z",' +
      '"originalTimestamp":"2026-03-01T09:00:05.000Z","receivedAt":"2026-03-01T09:00:05.000Z","version":2}',
  )
})

test('each problem of the contract has its code', () => {
  const consent = (context: unknown): object => ({ userId: 'u', event: 'Segment Consent Preference Updated', context })
  const cases: [Route, object, string][] = [
    ['track', { event: 'E' }, 'no_user_anon_id'],
    ['identify', {}, 'no_user_anon_id'],
    ['page', {}, 'no_user_anon_id'],
    ['screen', {}, 'no_user_anon_id'],
    ['group', { groupId: 'g' }, 'no_user_anon_id'],
    ['group', { userId: 'u' }, 'id_required'],
    ['group', { anonymousId: 'a', groupId: '' }, 'id_required'],
    ['alias', { userId: 'u' }, 'id_required'],
    ['alias', { previousId: 'p' }, 'id_required'],
    ['alias', { previousId: 'p', anonymousId: 'a' }, 'id_required'],
    ['alias', {}, 'id_required'],
    ['track', { event: 'E', userId: true }, 'id_not_string'],
    ['track', { event: 'E', userId: {} }, 'id_not_string'],
    ['track', { event: 'E', userId: [] }, 'id_not_string'],
    ['track', { event: 'E', userId: 'u', anonymousId: false }, 'id_not_string'],
    ['group', { userId: 'u', groupId: ['g'] }, 'id_not_string'],
    ['alias', { userId: 'u', previousId: {} }, 'id_not_string'],
    ['batch', { batch: [track] }, 'bad_request'],
    ['batch', { batch: [{ ...track, type: 'Track' }] }, 'bad_request'],
    ['batch', { batch: [{ ...track, type: 'delete' }] }, 'bad_request'],
    ['batch', { batch: [{ ...track, type: null }] }, 'bad_request'],
    ['batch', { batch: [{ ...track, type: ['track'] }] }, 'bad_request'],
    ['batch', { batch: ['track'] }, 'bad_request'],
    ['batch', { batch: [] }, 'empty_batch'],
    ['track', { ...track, messageId: 'm'.repeat(101) }, 'message_id_too_long'],
    ['track', { userId: 'u' }, 'event_not_defined'],
    ['track', { userId: 'u', event: '' }, 'event_not_defined'],
    ['track', { userId: 'u', event: null }, 'event_not_defined'],
    ['track', { userId: 'u', event: 5 }, 'event_not_string'],
    ['track', { userId: 'u', event: { name: 'E' } }, 'event_not_string'],
    ['track', { ...track, properties: 'x' }, 'properties_not_object'],
    ['track', { ...track, properties: [1] }, 'properties_not_object'],
    ['track', { ...track, properties: false }, 'properties_not_object'],
    ['page', { userId: 'u', properties: 0 }, 'properties_not_object'],
    ['screen', { userId: 'u', properties: 'x' }, 'properties_not_object'],
    ['identify', { userId: 'u', traits: 'x' }, 'traits_not_object'],
    ['group', { userId: 'u', groupId: 'g', traits: [1] }, 'traits_not_object'],
    ['page', { userId: 'u', name: 5 }, 'name_not_string'],
    ['screen', { userId: 'u', name: {} }, 'name_not_string'],
    ['page', { userId: 'u', category: ['c'] }, 'category_not_string'],
    ['track', consent(undefined), 'consent_categorypreferences_should_exist'],
    ['track', consent({ consent: {} }), 'consent_categorypreferences_should_exist'],
    ['track', consent({ consent: 'yes' }), 'consent_categorypreferences_should_exist'],
    ['track', consent({ consent: { categoryPreferences: null } }), 'consent_categorypreferences_should_exist'],
    [
      'track',
      consent({ consent: { categoryPreferences: [true] } }),
      'consent_categorypreferences_fields_should_be_object',
    ],
    [
      'track',
      consent({ consent: { categoryPreferences: 'all' } }),
      'consent_categorypreferences_fields_should_be_object',
    ],
    [
      'track',
      consent({ consent: { categoryPreferences: { Ads: 'true' } } }),
      'consent_categorypreferences_fields_should_be_bool',
    ],
    [
      'track',
      consent({ consent: { categoryPreferences: { Ads: null } } }),
      'consent_categorypreferences_fields_should_be_bool',
    ],
    ['track', consent({ consent: { categoryPreferences: {}, version: '2' } }), 'consent_version_should_be_number'],
    [
      'track',
      consent({ consent: { categoryPreferences: {} }, device: { advertisingId: 7 } }),
      'device_advertisingid_should_be_string',
    ],
  ]
  for (const [route, body, expected] of cases)
    assert.equal(code(body, route), expected, `${route} ${JSON.stringify(body)}`)
})

test('what is unusual but allowed is taken', () => {
  const cases: [Route, object][] = [
    ['identify', { anonymousId: 'a', traits: { email: 'x@example.com' } }],
    ['identify', { userId: 'u', traits: null }],
    ['identify', { userId: 'u', traits: [] }],
    ['identify', { userId: 'u', properties: 'of no concern to identify' }],
    ['group', { anonymousId: 'a', groupId: 'g' }],
    ['alias', { userId: 'u', previousId: 'p' }],
    ['page', { userId: 'u' }],
    ['page', { userId: 'u', name: null, category: '' }],
    ['track', { ...track, properties: [] }],
    ['track', { ...track, groupId: {}, traits: 5, name: 7 }],
    ['track', { ...track, context: 'x', integrations: [1] }],
    ['track', { ...track, messageId: 'm'.repeat(100) }],
    ['track', { userId: 'u', event: ' ' }],
    ['track', { userId: 'u', event: 'Other Event', context: { consent: { categoryPreferences: 'x' } } }],
    [
      'track',
      {
        userId: 'u',
        event: 'Segment Consent Preference Updated',
        context: { consent: { categoryPreferences: { A: true }, version: 2 } },
      },
    ],
    ['batch', { batch: [{ ...track, type: 'track' }] }],
  ]
  for (const [route, body] of cases) assert.equal(code(body, route), 'call', `${route} ${JSON.stringify(body)}`)
})

test('a rejected message keeps its id, its call and its payload, but not its write key', () => {
  const body = { messageId: 'm1', userId: 'u', writeKey: 'wk', properties: { a: 1 } }
  assert.deepEqual(result(body), {
    kind: 'rejected',
    code: 'event_not_defined',
    messageId: 'm1',
    type: 'track',
    payload: { messageId: 'm1', userId: 'u', properties: { a: 1 } },
  })
  assert.deepEqual(result({ batch: [7] }, 'batch'), { kind: 'rejected', code: 'bad_request', payload: 7 })
  assert.deepEqual(result({ batch: [], messageId: 'of the batch' }, 'batch'), {
    kind: 'rejected',
    code: 'empty_batch',
    payload: [],
  })
  const idOf = (messageId: string) => (result({ ...track, messageId }) as { messageId?: string }).messageId
  assert.equal(idOf('m'.repeat(101)), 'm'.repeat(101), 'what is too long can be traced')
  assert.equal(idOf('m'.repeat(1_001)), undefined)
})

test('one bad message of a batch leaves the others as they are', () => {
  const good = { ...track, type: 'track' }
  const kinds = results({ batch: [good, { type: 'track' }, null, good] }, 'batch').map(({ kind }) => kind)
  assert.deepEqual(kinds, ['call', 'rejected', 'rejected', 'call'])
})

test('numbers become ids with the digits that were sent; null and empty are absent', () => {
  const idsOf = (text: string): unknown[] => {
    const { stored } = call(`{"event":"E",${text}}`)
    return [stored['userId'], stored['anonymousId'], stored['messageId']]
  }
  assert.deepEqual(idsOf('"userId":12345'), ['12345', null, 'api-made'])
  assert.deepEqual(idsOf('"userId":9007199254740993'), ['9007199254740993', null, 'api-made'])
  assert.deepEqual(idsOf('"userId":123456789012345678901234567890,"messageId":98765432109876543210'), [
    '123456789012345678901234567890',
    null,
    '98765432109876543210',
  ])
  assert.deepEqual(idsOf('"userId":0,"anonymousId":-1.5,"messageId":7'), ['0', '-1.5', '7'])
  assert.deepEqual(idsOf('"userId":"","anonymousId":"a","messageId":""'), [null, 'a', 'api-made'])
  assert.deepEqual(idsOf('"userId":null,"anonymousId":"a","messageId":{}'), [null, 'a', 'api-made'])
  assert.equal(code({ userId: '', anonymousId: null, event: 'E' }), 'no_user_anon_id')
  assert.equal(call({ userId: 7, groupId: 8 }, 'group').message.groupId, '8')
  assert.equal(call({ userId: 7, previousId: 8 }, 'alias').message.previousId, '8')
})

test('without coercion numbers and empty ids are not ids, as at Segment', () => {
  const strict = { idCoercion: false } as const
  assert.equal(code({ ...track, userId: 5 }, 'track', strict), 'id_not_string')
  assert.equal(code({ ...track, anonymousId: '' }, 'track', strict), 'id_not_string')
  assert.equal(code('{"event":"E","userId":9007199254740993}', 'track', strict), 'id_not_string')
  assert.equal(code({ ...track, anonymousId: null }, 'track', strict), 'call')
  assert.equal(call({ ...track, messageId: 5 }, 'track', strict).message.messageId, '5')
})

test('times are corrected by the skew between sending and receiving', () => {
  const times = (body: object, receivedAtMs: number = arrival.receivedAtMs): unknown[] => {
    const { message } = call({ ...track, ...body }, 'track', { receivedAtMs })
    return [message.timestamp, message.originalTimestamp, message.sentAt, message.receivedAt]
  }
  const slow = { timestamp: '2026-03-01T08:50:00Z', sentAt: '2026-03-01T08:50:05Z' }
  const cases: [string, object, unknown[]][] = [
    [
      'the worked example',
      slow,
      ['2026-03-01T09:00:00.000Z', '2026-03-01T08:50:00.000Z', '2026-03-01T08:50:05.000Z', receivedAt],
    ],
    [
      'no sentAt',
      { timestamp: '2020-01-01' },
      ['2020-01-01T00:00:00.000Z', '2020-01-01T00:00:00.000Z', undefined, receivedAt],
    ],
    ['no client time', {}, [receivedAt, receivedAt, undefined, receivedAt]],
    ['only sentAt', { sentAt: slow.sentAt }, [receivedAt, receivedAt, '2026-03-01T08:50:05.000Z', receivedAt]],
    [
      'sent before it was called: later than received',
      { timestamp: '2026-03-01T08:50:05Z', sentAt: '2026-03-01T08:50:00Z' },
      ['2026-03-01T09:00:10.000Z', '2026-03-01T08:50:05.000Z', '2026-03-01T08:50:00.000Z', receivedAt],
    ],
    [
      'timestamp wins over originalTimestamp',
      { timestamp: '2026-01-02', originalTimestamp: '2026-01-01' },
      ['2026-01-02T00:00:00.000Z', '2026-01-02T00:00:00.000Z', undefined, receivedAt],
    ],
    [
      'originalTimestamp alone is the client time',
      { originalTimestamp: slow.timestamp, sentAt: slow.sentAt },
      ['2026-03-01T09:00:00.000Z', '2026-03-01T08:50:00.000Z', '2026-03-01T08:50:05.000Z', receivedAt],
    ],
    [
      'unparseable times are absent',
      { timestamp: 'noon', sentAt: 'later', originalTimestamp: 5 },
      [receivedAt, receivedAt, undefined, receivedAt],
    ],
    [
      'a number is no time',
      { timestamp: 1_772_355_600_000, sentAt: null },
      [receivedAt, receivedAt, undefined, receivedAt],
    ],
    ['receivedAt is ours', { receivedAt: '2001-01-01T00:00:00Z' }, [receivedAt, receivedAt, undefined, receivedAt]],
    [
      'nanoseconds are cut',
      { timestamp: '2026-03-01T08:50:00.123456789Z' },
      ['2026-03-01T08:50:00.123Z', '2026-03-01T08:50:00.123Z', undefined, receivedAt],
    ],
    [
      'a correction out of the calendar is none',
      { timestamp: '0001-01-01T00:00:00Z', sentAt: '9999-01-01T00:00:00Z' },
      ['0001-01-01T00:00:00.000Z', '0001-01-01T00:00:00.000Z', '9999-01-01T00:00:00.000Z', receivedAt],
    ],
  ]
  for (const [name, body, expected] of cases) assert.deepEqual(times(body), expected, name)
})

test("a batch's sentAt is that of every message without a usable one of its own", () => {
  const at = (sentAt?: string): object => ({
    ...track,
    type: 'track',
    timestamp: '2026-03-01T08:50:00Z',
    ...(sentAt && { sentAt }),
  })
  const batch = [at(), at('2026-03-01T08:50:01Z'), at('never')]
  const all = results({ batch, sentAt: '2026-03-01T08:50:05Z', timestamp: '2001-01-01T00:00:00Z' }, 'batch')
  assert.deepEqual(
    all.map((one) => one.kind === 'call' && one.message.timestamp),
    ['2026-03-01T09:00:00.000Z', '2026-03-01T09:00:04.000Z', '2026-03-01T09:00:00.000Z'],
  )
})

test('context and integrations of a batch lie under those of its messages', () => {
  const one = {
    ...track,
    type: 'track',
    context: { library: { name: 'mine' }, tags: [1], os: null },
    integrations: { Vero: true },
  }
  const body = {
    batch: [one, { ...track, type: 'track' }, { ...track, type: 'track', context: null, integrations: 'odd' }],
    context: {
      library: { name: 'theirs', version: '1' },
      tags: [2, 3],
      os: { name: 'iOS' },
      device: { type: 'phone' },
    },
    integrations: { Vero: false, All: false },
    messageId: 'of the batch',
  }
  const [first, second, third] = results(body, 'batch') as [NormalisedCall, NormalisedCall, NormalisedCall]
  assert.deepEqual(first.message.context, {
    library: { name: 'mine', version: '1' },
    tags: [1],
    os: null,
    device: { type: 'phone' },
  })
  assert.deepEqual(first.message.integrations, { Vero: true, All: false })
  for (const { message } of [second, third]) {
    assert.deepEqual([message.context, message.integrations], [body.context, body.integrations])
    assert.equal(message.messageId, 'api-made')
  }
})

test('the client address fills an absent ip, and only the user agent of a client fills an absent userAgent', () => {
  const door = { ip: '203.0.113.77', userAgent: 'Browser/1' }
  const contextOf = (context: unknown, extra: Partial<Arrival>): unknown =>
    call({ ...track, context }, 'track', extra).message.context
  assert.deepEqual(contextOf(undefined, door), door)
  assert.deepEqual(contextOf({ ip: '0.0.0.0', userAgent: null }, door), { ip: '0.0.0.0', userAgent: null })
  assert.deepEqual(contextOf({ ip: '', a: 1 }, door), { ip: '', a: 1, userAgent: 'Browser/1' })
  assert.deepEqual(contextOf({}, {}), {})
  assert.deepEqual(contextOf({ direct: true }, { directIp: '203.0.113.77' }), { direct: true, ip: '203.0.113.77' })
  assert.deepEqual(contextOf({ direct: 'true' }, { directIp: '203.0.113.77' }), { direct: 'true' })
})

test("a source's switch masks or drops sent and filled addresses", () => {
  const ipOf = (context: object, extra: Partial<Arrival>): unknown =>
    call({ ...track, context }, 'track', extra).stored['context']
  assert.deepEqual(ipOf({}, { ip: '203.0.113.77', ipMode: 'mask' }), { ip: '203.0.113.0' })
  assert.deepEqual(ipOf({ ip: '198.51.100.9' }, { ipMode: 'mask' }), { ip: '198.51.100.0' })
  assert.deepEqual(ipOf({ ip: 'somewhere', a: 1 }, { ipMode: 'mask' }), { a: 1 })
  assert.deepEqual(ipOf({ ip: '198.51.100.9', a: 1 }, { ip: '203.0.113.77', ipMode: 'drop' }), { a: 1 })
  assert.deepEqual(ipOf({ a: 1 }, { ip: '203.0.113.77', ipMode: 'drop' }), { a: 1 })
})

test('filling the context of one message does not reach the next message of the batch', () => {
  const batch = [
    { ...track, type: 'track', context: { direct: true } },
    { ...track, type: 'track' },
  ]
  const [first, second] = results({ batch, context: { app: { name: 'Shop' } } }, 'batch', {
    directIp: '203.0.113.77',
  }) as NormalisedCall[]
  assert.deepEqual(first!.message.context, { app: { name: 'Shop' }, direct: true, ip: '203.0.113.77' })
  assert.deepEqual(second!.message.context, { app: { name: 'Shop' } })
})

test('null and empty properties and traits become {}, what is absent stays absent', () => {
  assert.deepEqual(call({ ...track, properties: null }).message.properties, {})
  assert.deepEqual(call({ ...track, properties: [] }).message.properties, {})
  assert.deepEqual(call({ userId: 'u', traits: [] }, 'identify').message.traits, {})
  assert.equal('properties' in call(track).message, false)
  assert.deepEqual(call({ ...track, properties: { list: [], none: null } }).message.properties, {
    list: [],
    none: null,
  })
})

test('null and empty names of pages are absent, those of other calls are unknown fields', () => {
  const page = call({ userId: 'u', name: null, category: '' }, 'page').message
  assert.deepEqual(['name' in page, 'category' in page], [false, false])
  assert.deepEqual(call({ userId: 'u', name: 'N', category: 'C' }, 'screen').message.name, 'N')
  assert.equal(call({ ...track, name: null }).stored['name'], null)
})

test('unknown fields are kept, and those that are ours to set or to keep secret are not', () => {
  const sent = {
    ...track,
    channel: 'server',
    _metadata: { nodeVersion: '26' },
    sequence: 5,
    nothing: null,
    writeKey: 'wk',
    projectId: 'p',
    sourceId: 's',
    version: '1.1',
  }
  const { stored } = call(sent)
  assert.deepEqual(
    [stored['channel'], stored['_metadata'], stored['sequence'], stored['nothing']],
    ['server', { nodeVersion: '26' }, 5, null],
  )
  for (const key of ['writeKey', 'projectId', 'sourceId']) assert.equal(key in stored, false, key)
  assert.equal(stored['version'], 2)
})

test('numbers, NUL bytes, lone surrogates and hostile keys come out as they went in', () => {
  const properties =
    '{"n":12345678901234567890,"x":1e400,"nul":"a\\u0000b","lone":"\\ud800","__proto__":{"polluted":true},"constructor":{"prototype":1},"a.b":1,"$c":2}'
  const { json } = call(`{"userId":"u","event":"E","__proto__":{"polluted":true},"properties":${properties}}`)
  assert.equal(json.includes(`"properties":${properties}`), true, json)
  assert.equal(json.includes('"version":2,"__proto__":{"polluted":true}}'), true, json)
  assert.equal(({} as JsonObject)['polluted'], undefined)
})

test('merging does not let a message or a batch reach a prototype', () => {
  const text =
    '{"context":{"__proto__":{"a":1,"polluted":true},"constructor":{"prototype":{"polluted":true}}},' +
    '"batch":[{"type":"track","userId":"u","event":"E","context":{"__proto__":{"b":2},"constructor":{"x":1}}}]}'
  const { json, message } = call(text, 'batch')
  assert.equal(
    json.includes(
      '"context":{"__proto__":{"a":1,"polluted":true,"b":2},"constructor":{"prototype":{"polluted":true},"x":1}}',
    ),
    true,
    json,
  )
  assert.equal(Object.getPrototypeOf(message.context), Object.prototype)
  assert.equal(({} as JsonObject)['polluted'], undefined)
})

test('flags say what a reader must look at', () => {
  const flags = (extra: object): boolean[] => {
    const { hasIntegrations, hasBundled, hasConsent } = call({ ...track, ...extra })
    return [hasIntegrations, hasBundled, hasConsent]
  }
  assert.deepEqual(flags({}), [false, false, false])
  assert.deepEqual(
    flags({ integrations: {}, _metadata: { bundled: [], bundledIds: [] }, context: { consent: null } }),
    [false, false, false],
  )
  assert.deepEqual(flags({ integrations: { All: true } }), [false, false, false])
  assert.deepEqual(flags({ integrations: { All: false } }), [true, false, false])
  assert.deepEqual(flags({ integrations: { All: true, X: false } }), [true, false, false])
  assert.deepEqual(flags({ integrations: { X: true } }), [true, false, false])
  assert.deepEqual(flags({ _metadata: { bundled: ['X'] } }), [false, true, false])
  assert.deepEqual(flags({ _metadata: { bundledIds: ['1'] } }), [false, true, false])
  assert.deepEqual(flags({ context: { consent: {} } }), [false, false, true])
})

test('the route says which call a message is', () => {
  for (const route of ['identify', 'page', 'screen'] as Call[])
    assert.equal(call({ ...track, type: 'track' }, route).message.type, route)
})
