import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { SourceSnapshot } from '../snapshot/index.ts'
import { tryGateway } from './testing/try-gateway.ts'

const hook = (fields: Record<string, unknown> = {}, more: Partial<SourceSnapshot> = {}): Partial<SourceSnapshot> => ({
  slug: 'billing',
  id: 'src_billing',
  type: 'webhook',
  webhook: { fields },
  ...more,
})
const withToken = hook(
  {},
  { webhook: { fields: {}, tokenHash: createHash('sha256').update('let-me-in').digest('hex') } },
)

test('any JSON object becomes the properties of a track call of somebody new', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [hook()] })
  const body = '{"z":1,"id":90071992547409931,"a":{"b":[null]}}'
  for (const path of ['/v1/webhooks/billing', '/v1/webhooks/billing/', '/v1/webhooks/src_billing']) {
    assert.equal((await post(path, body)).text, '{"success":true}')
  }
  const frames = await stored()
  assert.equal(new Set(frames.map((frame) => frame.body['anonymousId'])).size, 3)
  for (const { source, head, text } of frames) {
    assert.deepEqual([source, head.route], [1, 'track'])
    assert.ok(text.startsWith(`{"type":"track","event":"Webhook Received","properties":${body},"anonymousId":"`), text)
  }
})

test('JSON that is no object stands in properties.value', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [hook()] })
  for (const body of ['[1,2]', '"text"', 'null', '90071992547409931']) await post('/v1/webhooks/billing', body)
  assert.deepEqual(
    (await stored()).map(({ text }) => /"properties":(\{.*?\}),"anon/.exec(text)?.[1]),
    ['{"value":[1,2]}', '{"value":"text"}', '{"value":null}', '{"value":90071992547409931}'],
  )
})

test('fields are mapped from the body, the headers and the query', async (t) => {
  const fields = {
    event: { '@template': 'Billing {{headers.x-hook-event}}' },
    userId: { '@path': '$.body.customer.id' },
    messageId: { '@path': '$.headers.x-hook-delivery' },
    timestamp: { '@path': '$.body.at' },
    properties: { amount: { '@path': '$.body.amount' }, shop: { '@path': '$.query.shop' } },
  }
  const { post, stored } = await tryGateway(t, { sources: [hook(fields)] })
  const body = { customer: { id: 'c-1' }, at: '2026-03-01T09:00:05.000Z', amount: 12.5, secret: 'x' }
  const headers = { 'x-hook-event': 'paid', 'x-hook-delivery': 'd-1', authorization: 'Basic Zm9v' }
  await post('/v1/webhooks/billing?shop=north', body, headers)
  assert.deepEqual((await stored())[0]?.body, {
    type: 'track',
    event: 'Billing paid',
    properties: { amount: 12.5, shop: 'north' },
    userId: 'c-1',
    messageId: 'd-1',
    timestamp: '2026-03-01T09:00:05.000Z',
  })
})

test('headers that identify the caller cannot be mapped', async (t) => {
  const fields = { properties: { '@path': '$.headers' } }
  const { post, stored } = await tryGateway(t, { sources: [hook(fields)] })
  await post(
    '/v1/webhooks/billing',
    {},
    { authorization: 'Bearer secret', cookie: 'a=secret', 'x-write-key': 'secret' },
  )
  assert.ok(!(await stored())[0]?.text.includes('secret'))
})

test('a form becomes an object of its fields; JSON that calls itself a form stays JSON', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [hook()] })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  await post('/v1/webhooks/billing', 'a=1&b=x+y&a=2&__proto__=z', form)
  await post('/v1/webhooks/billing', ' {"a":1}', form)
  assert.deepEqual(
    (await stored()).map(({ text }) => /"properties":(\{.*?\})/.exec(text)?.[1]),
    ['{"a":["1","2"],"b":"x y","__proto__":"z"}', '{"a":1}'],
  )
})

test('gzip is undone; a body that is neither JSON nor a form is 400, one that is too large 413', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [hook()] })
  assert.equal((await post('/v1/webhooks/billing', gzipSync('{"a":1}'), { 'content-encoding': 'gzip' })).status, 200)
  for (const body of ['', 'hello', '<xml/>']) {
    const { status, json } = await post('/v1/webhooks/billing', body, { 'content-type': 'text/xml' })
    assert.deepEqual([status, json['code']], [400, 'bad_request'])
  }
  const { status, json } = await post('/v1/webhooks/billing', `"${'x'.repeat(524_288)}"`)
  assert.deepEqual([status, json['code']], [413, 'request_too_large'])
  assert.equal((await stored()).length, 1)
})

test('a token comes as ?b= or as a Bearer token, and is stored nowhere', async (t) => {
  const fields = { properties: { '@path': '$.query' } }
  const source = { ...withToken, webhook: { ...withToken.webhook!, fields } }
  const { post, stored } = await tryGateway(t, { sources: [source] })
  for (const [path, headers] of [
    ['/v1/webhooks/billing', {}],
    ['/v1/webhooks/billing?b=wrong', {}],
    ['/v1/webhooks/billing', { authorization: 'Bearer wrong' }],
    ['/v1/webhooks/billing?b=let-me-in', { authorization: 'Bearer wrong' }],
  ] as const) {
    const { status, json } = await post(path, {}, headers)
    assert.deepEqual([status, json['code']], [401, 'unauthorized'])
  }
  assert.equal((await post('/v1/webhooks/billing?b=let-me-in&c=1', {})).status, 200)
  assert.equal((await post('/v1/webhooks/billing', {}, { authorization: 'Bearer let-me-in' })).status, 200)
  const frames = await stored()
  assert.equal(frames.length, 2)
  assert.deepEqual(frames[0]?.body['properties'], { c: '1' })
})

test('only sources of type webhook have one: other slugs are 404, other methods 405, pages stay outside', async (t) => {
  const { post, url } = await tryGateway(t, { sources: [{ slug: 'api' }, hook()] })
  for (const name of ['api', 'nothing', 'src_1', '__proto__', '%62illing', 'KEY_1']) {
    const { status, json } = await post(`/v1/webhooks/${name}`, {})
    assert.deepEqual([status, json['code']], [404, 'not_found'], name)
  }
  assert.equal((await fetch(`${url}/v1/webhooks/billing`)).status, 405)
  assert.equal((await fetch(`${url}/v1/webhooks/billing`, { method: 'OPTIONS' })).status, 405)
  const { headers } = await post('/v1/webhooks/billing', {}, { origin: 'https://evil.example' })
  assert.notEqual(headers.get('access-control-allow-origin'), 'https://evil.example')
  assert.equal(headers.get('access-control-allow-credentials'), null)
})

test('a slug that two workspaces have is 404 with a hint; the ids still work', async (t) => {
  const workspaces = [1, 2].map((number) => ({ number, id: `ws_${number}`, slug: `w${number}`, name: 'W' }))
  const sources = [hook({}, { id: 'src_a' }), hook({}, { id: 'src_b', workspace: 2 })]
  const { post, stored } = await tryGateway(t, { workspaces, sources })
  const { status, json } = await post('/v1/webhooks/billing', {})
  assert.equal(status, 404)
  assert.match(String(json['hint']), /id of the source/)
  assert.equal((await post('/v1/webhooks/src_b', {})).status, 200)
  assert.equal((await stored())[0]?.source, 2)
})

test('a field that cannot be resolved is left out, and the request is kept', async (t) => {
  const fields = {
    event: { '@path': '$.body.none' },
    userId: { '@json': { value: { '@path': '$.body.a' }, mode: 'decode' } },
  }
  const { post, stored } = await tryGateway(t, { sources: [hook(fields)] })
  assert.equal((await post('/v1/webhooks/billing', { a: '{broken' })).status, 200)
  const { body } = (await stored())[0]!
  assert.deepEqual([Object.hasOwn(body, 'event'), body['properties']], [false, { a: '{broken' }])
})

test('a disabled webhook source keeps what comes as rejected; a strict one says what is wrong; a limited one answers 429', async (t) => {
  const { post, stored } = await tryGateway(t, {
    sources: [
      hook({}, { slug: 'off', id: 'src_off', isEnabled: false }),
      hook({ event: { '@path': '$.body.name' } }, { slug: 'strict', id: 'src_strict', isStrict: true }),
      hook({}, { slug: 'slow', id: 'src_slow', eventsPerSecond: 0.01 }),
    ],
  })
  assert.equal((await post('/v1/webhooks/off', {})).status, 200)
  const strict = await post('/v1/webhooks/strict', {})
  assert.deepEqual([strict.status, strict.json['code']], [400, 'invalid_message'])
  assert.equal((await post('/v1/webhooks/strict', { name: 'Fine' })).status, 200)
  assert.equal((await post('/v1/webhooks/slow', {})).status, 200)
  assert.equal((await post('/v1/webhooks/slow', {})).status, 429)
  assert.deepEqual(
    (await stored()).map(({ source, head }) => [source, head.verdict]),
    [
      [1, 'source_disabled'],
      [2, undefined],
      [3, undefined],
    ],
  )
})
