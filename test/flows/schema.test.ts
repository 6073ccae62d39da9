/** Schema discovery, as people use it: what a source sends, by the API, as a file for a spreadsheet, and on the command line. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { EventSchemaAnswer, SchemaAnswer } from '../../src/api/index.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

type Events = Extract<SchemaAnswer, { events: unknown }>
type Traits = Extract<SchemaAnswer, { traits: unknown }>

let platform: Platform
const token = { authorization: 'Bearer ops-token' }

before(async () => {
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
tokens: { ops: { token: ops-token } }
sources:
  shop: { type: http-api, writeKeys: [SHOP_KEY] }
  other: { type: http-api, writeKeys: [OTHER_KEY] }
  guarded:
    type: http-api
    writeKeys: [GUARDED_KEY]
    schema: { blockedEvents: [Debug Ping, Never Sent], blockedTraits: [ssn, address.street], blockedGroupTraits: [] }
`,
  })
})
after(() => platform.dispose())

const ordered = (userId: string, properties: object) => ({ type: 'track', userId, event: 'Order & "Pay"', properties })

const send = (...batch: object[]): Promise<void> => sendWith('SHOP_KEY', batch)

async function sendWith(writeKey: string, batch: object[]): Promise<void> {
  const body = JSON.stringify({ batch, writeKey })
  assert.equal((await fetch(`${platform.url}/v1/batch`, { method: 'POST', body })).status, 200)
}

async function get(path: string, init: RequestInit = {}): Promise<{ status: number; text: string; headers: Headers }> {
  const { status, headers, ...response } = await fetch(`${platform.url}/tributary/v1/sources/${path}`, {
    headers: token,
    ...init,
  }).then(async (answer) => ({ status: answer.status, headers: answer.headers, text: await answer.text() }))
  return { status, headers, text: response.text }
}

async function ask<T>(path: string): Promise<T> {
  const { status, text } = await get(path)
  assert.equal(status, 200, text)
  return JSON.parse(text) as T
}

/** Asks until the events of the source have been seen so many times. */
async function until(total: number, source = 'shop'): Promise<Events> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const answer = await ask<Events>(`${source}/schema`)
    if (answer.events.reduce((sum, event) => sum + event.total, 0) >= total) return answer
    await wait(50)
  }
  throw new Error(`${total} events were not seen`)
}

const counts = ({ events }: Events) =>
  events.map(({ name, allowed, blocked, properties }) => [name, allowed, blocked, properties])

test('what was sent is listed by name, with properties, types and counts, also after the process was killed', async () => {
  await send(
    ordered('u-1', { total: 5, items: [{ sku: 'a', price: 2.5 }], at: '2026-03-01T09:00:00Z' }),
    ordered('u-2', { total: 5.5, items: [], coupon: null }),
    { type: 'page', userId: 'u-1', name: 'Home', properties: { path: '/' } },
    { type: 'screen', userId: 'u-1', name: 'Start' },
    { type: 'identify', userId: 'u-1', traits: { email: 'a@b.example', address: { city: 'Oslo' } } },
    { type: 'group', userId: 'u-1', groupId: 'g-1', traits: { employees: 12 } },
    { type: 'alias', userId: 'u-1', previousId: 'u-0' },
  )
  const list = await until(4)
  const expected = [
    ['Order & "Pay"', 2, 0, 7],
    ['Page Viewed', 1, 0, 1],
    ['Screen Viewed', 1, 0, 0],
  ]
  assert.deepEqual(counts(list), expected)
  assert.deepEqual([list.source, list.type, list.window, list.waiting], ['shop', 'track', '7d', 0])
  assert.deepEqual(list.notListed, { names: 0, messages: 0 })
  assert.ok(list.events.every(({ isBlocked, lastSeen }) => !isBlocked && Date.now() - Date.parse(lastSeen!) < 60_000))

  const name = encodeURIComponent('Order & "Pay"')
  const { event, properties } = await ask<EventSchemaAnswer>(`shop/schema/event?name=${name}&window=24h`)
  assert.equal(event.total, 2)
  assert.deepEqual(
    properties.map((each) => [each.name, each.types.join(), each.allowed]),
    [
      ['at', 'date-time', 1],
      ['coupon', 'null', 1],
      ['items', 'array', 2],
      ['items.$', 'object', 1],
      ['items.$.price', 'number', 1],
      ['items.$.sku', 'string', 1],
      ['total', 'number,integer', 2],
    ],
  )
  const traits = await ask<Traits>('shop/schema?type=identify&window=30d')
  assert.deepEqual(
    traits.traits.map((each) => [each.name, each.types.join(), each.total]),
    [
      ['address', 'object', 1],
      ['address.city', 'string', 1],
      ['email', 'string', 1],
    ],
  )
  assert.deepEqual(counts(await ask<Events>('other/schema')), [])

  process.kill(platform.children().get('control')!, 'SIGKILL')
  await send(ordered('u-3', { total: 1 }))
  for (let attempt = 0; (await get('shop/schema')).status !== 200; attempt += 1) {
    assert.ok(attempt < 200, 'the control process does not come back')
    await wait(50)
  }
  assert.deepEqual(counts(await until(5)), [['Order & "Pay"', 3, 0, 7], ...expected.slice(1)])
})

test('the command line shows the same', async () => {
  const list = (await platform.json('schema', 'shop')) as Events
  assert.deepEqual(counts(list), counts(await ask<Events>('shop/schema')))
  const text = await platform.cli('schema', 'shop', '--event', 'Order & "Pay"', '--window', '24h')
  assert.match(text.stdout, /^Order & "Pay": allowed 3, blocked 0\nproperty .*\n[^]*^items\.\$\.sku .* 1 .* string$/m)
  assert.match((await platform.cli('schema', 'shop', '--type', 'group')).stdout, /^employees .* integer$/m)
  const unknown = await platform.cli('schema', 'shop', '--event', 'Never Sent')
  assert.deepEqual([unknown.code, /has no event "Never Sent"/.test(unknown.stderr)], [1, true])
})

test('the export has a row for each event and property, and no formulas', async () => {
  await send({ type: 'track', userId: 'u-1', event: '=1+1', properties: { 'a,b': 1 } })
  await until(6)
  const { text, headers } = await get('shop/schema.csv?type=track&window=7d')
  assert.match(
    headers.get('content-disposition') ?? '',
    /^attachment; filename="acme-shop-track--\d{4}-\d\d-\d\d--\d\d-\d\d-utc\.csv"$/,
  )
  const lines = text.split('\r\n').map((line) => line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, 'TIME'))
  assert.deepEqual(lines.slice(0, 5), [
    'Event Name,Last Seen At (UTC),Property Name,Allowed,Blocked,Total,Planned',
    "'=1+1,TIME,,1,0,1,",
    '\'=1+1,TIME,"a,b",1,0,1,',
    '"Order & ""Pay""",TIME,,3,0,3,',
    '"Order & ""Pay""",TIME,at,1,0,1,',
  ])
  const traits = await get('shop/schema.csv?type=group')
  assert.match(traits.text, /^Trait Name,.*\r\nemployees,.*,1,0,1,\r\n$/)
})

test('wrong questions are told what is wrong, and strangers nothing', async () => {
  for (const [path, status, code] of [
    ['shop/schema?window=1y', 400, 'bad_request'],
    ['shop/schema?type=alias', 400, 'bad_request'],
    ['shop/schema/event', 400, 'bad_request'],
    ['shop/schema/event?name=Nothing', 404, 'unknown_event'],
    ['nowhere/schema', 404, 'source_not_found'],
  ] as const) {
    const answer = await get(path)
    assert.deepEqual([answer.status, (JSON.parse(answer.text) as { code: string }).code], [status, code], path)
  }
  for (const path of ['shop/schema', 'shop/schema.csv', 'shop/schema/event?name=x'])
    assert.equal((await get(path, { headers: {} })).status, 401)
  const archiving = { method: 'PATCH', headers: token, body: '{"isArchived":true}' }
  const refused = await get('shop/schema/event?name=Page%20Viewed', archiving)
  assert.deepEqual([refused.status, (JSON.parse(refused.text) as { code: string }).code], [409, 'event_not_blocked'])
})

test('what the source blocks is counted as blocked, and can be archived', async () => {
  const traits = { ssn: '1', plan: 'free', address: { street: 'Elm', city: 'Oslo' } }
  await sendWith('GUARDED_KEY', [
    { type: 'identify', userId: 'u-1', traits },
    { type: 'track', userId: 'u-1', event: 'Debug Ping', properties: { ms: 3 } },
    { type: 'track', userId: 'u-1', event: 'Debug Ping', properties: { ms: 4 } },
    { type: 'track', userId: 'u-1', event: 'Bought' },
  ])
  const { events } = await until(3, 'guarded')
  assert.deepEqual(
    events.map(({ name, allowed, blocked, isBlocked }) => [name, allowed, blocked, isBlocked]),
    [
      ['Bought', 1, 0, false],
      ['Debug Ping', 0, 2, true],
      ['Never Sent', 0, 0, true],
    ],
  )
  const ping = await ask<EventSchemaAnswer>('guarded/schema/event?name=Debug%20Ping')
  assert.deepEqual(
    ping.properties.map((each) => [each.name, each.allowed, each.blocked, each.types.join()]),
    [['ms', 0, 2, 'integer']],
  )
  assert.deepEqual(
    (await ask<Traits>('guarded/schema?type=identify')).traits.map((each) => [
      each.name,
      each.allowed,
      each.blocked,
      each.isBlocked,
    ]),
    [
      ['address', 1, 0, false],
      ['address.city', 1, 0, false],
      ['address.street', 0, 1, true],
      ['plan', 1, 0, false],
      ['ssn', 0, 1, true],
    ],
  )
  const archive = (isArchived: boolean) =>
    get('guarded/schema/event?name=Debug%20Ping', {
      method: 'PATCH',
      headers: token,
      body: JSON.stringify({ isArchived }),
    })
  const namesOf = async (query = '') => (await ask<Events>(`guarded/schema${query}`)).events.map(({ name }) => name)
  assert.equal((await archive(true)).status, 200)
  assert.deepEqual(await namesOf(), ['Bought', 'Never Sent'])
  assert.deepEqual(await namesOf('?archived=true'), ['Debug Ping'])
  assert.equal((await archive(false)).status, 200)
  assert.deepEqual(await namesOf(), ['Bought', 'Debug Ping', 'Never Sent'])
})

test('the metrics say how far it is', async () => {
  const page = await (await fetch(`${platform.url}/metrics`)).text()
  const text = page
    .split('\n')
    .filter((line) => line.startsWith('tributary_schema'))
    .join('\n')
  assert.match(text, /^tributary_schema_waiting_messages\{process="control"\} 0$/m)
  assert.match(text, /^tributary_schema_shapes\{process="control"\} [1-9]/m)
})

test('a cleared schema begins again', async () => {
  assert.equal((await get('shop/schema', { method: 'DELETE', headers: token })).status, 200)
  assert.deepEqual(counts(await ask<Events>('shop/schema')), [])
  await send(ordered('u-4', { total: 1 }))
  assert.deepEqual(counts(await until(1)), [['Order & "Pay"', 1, 0, 1]])
  assert.equal((await platform.cli('schema', 'shop', '--clear')).code, 0)
  assert.deepEqual(counts(await ask<Events>('shop/schema')), [])
})
