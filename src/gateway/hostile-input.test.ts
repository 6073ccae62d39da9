/** Bad input of every sort gets a clear answer and harms nothing: the committed corpus, and what fast-check makes up. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { basename } from 'node:path'
import { json as readJson } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { startGateway, type TryGateway } from './testing/try-gateway.ts'

const folder = fileURLToPath(new URL('../../test/fixtures/fuzz/', import.meta.url))
const corpus = globSync(`${folder}*.json`).map((path) => ({ name: basename(path), body: readFileSync(path) }))
const doors = ['/v1/track', '/v1/identify', '/v1/batch', '/v1/webhooks/hook', '/v1/m']
const message = { type: 'track', userId: 'u1', event: 'Tested', writeKey: 'KEY_1', messageId: 'm1' }

let gateway: TryGateway
before(async () => {
  const fields = { event: { '@path': '$.body.event' }, properties: { '@path': '$.body' } }
  gateway = await startGateway({ sources: [{}, { slug: 'hook', type: 'webhook', webhook: { fields } }] })
})
after(() => gateway.stop())

/** The verbose answer runs each message through the pipeline's own functions too. */
const headers = { 'x-write-key': 'KEY_1', 'x-tributary-verbose': 'true' }

async function assertClearAnswer(path: string, body: Buffer | string, more: Record<string, string> = {}) {
  const { status, json } = await gateway.post(path, body, { ...headers, ...more })
  assert.ok([200, 400, 401, 413].includes(status), `${status} ${JSON.stringify(json)}`)
  assert.equal(json['success'], status === 200)
  if (status !== 200) assert.deepEqual([typeof json['code'], typeof json['message']], ['string', 'string'])
  assert.notEqual(json['code'], 'internal')
}

async function assertUnharmed() {
  assert.equal((await gateway.post('/v1/track', message)).text, '{"success":true}')
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
}

for (const { name, body } of corpus) {
  test(`${name} gets a clear answer at every door and harms nothing`, async () => {
    for (const door of doors) {
      await assertClearAnswer(door, body)
      await assertClearAnswer(door, gzipSync(body), { 'content-encoding': 'gzip' })
    }
    await assertUnharmed()
  })
}

test('of a key that stands twice the last one counts, at the door as behind it', async () => {
  const body = corpus.find(({ name }) => name === 'duplicate-keys.json')!.body
  assert.equal((await gateway.post('/v1/track', body)).status, 200)
  const { status } = await gateway.post('/v1/track', '{"writeKey":"KEY_1","userId":"u","event":"x","writeKey":"WRONG"}')
  assert.equal(status, 401)
})

const json = fc.json({ maxDepth: 5 })
const calls = fc.record(
  {
    type: fc.oneof(
      fc.constantFrom('track', 'identify', 'page', 'group', 'alias', 'screen', '__proto__'),
      fc.jsonValue(),
    ),
    userId: fc.jsonValue(),
    anonymousId: fc.jsonValue(),
    event: fc.jsonValue(),
    properties: fc.jsonValue(),
    traits: fc.jsonValue(),
    context: fc.jsonValue(),
    integrations: fc.jsonValue(),
    timestamp: fc.jsonValue(),
    messageId: fc.jsonValue(),
    groupId: fc.jsonValue(),
    previousId: fc.jsonValue(),
    writeKey: fc.jsonValue(),
  },
  { requiredKeys: [] },
)
const batches = fc.record({
  batch: fc.oneof(fc.array(fc.oneof(calls, fc.jsonValue()), { maxLength: 5 }), fc.jsonValue()),
  context: fc.jsonValue(),
  integrations: fc.jsonValue(),
  sentAt: fc.jsonValue(),
})
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))

test('any JSON and any bytes get a clear answer at every door', async () => {
  const bodies = fc.oneof(
    json.map((text) => Buffer.from(text)),
    calls.map((call) => Buffer.from(JSON.stringify(call))),
    batches.map((batch) => Buffer.from(JSON.stringify(batch))),
    bytes,
  )
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...doors), bodies, (door, body) => assertClearAnswer(door, body)),
    { numRuns: 250 },
  )
  await assertUnharmed()
})

test('gzip that is cut, changed or followed by more gets a clear answer', async () => {
  const gzip = gzipSync(JSON.stringify({ ...message, properties: { fill: 'abc'.repeat(500) } }))
  const damage = fc.record({ at: fc.nat(gzip.length - 1), bits: fc.integer({ min: 1, max: 255 }), cut: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(damage, bytes, async ({ at, bits, cut }, more) => {
      const changed = Buffer.from(gzip)
      changed[at]! ^= bits
      const body = cut ? gzip.subarray(0, at) : Buffer.concat([changed, more])
      await assertClearAnswer('/v1/track', body, { 'content-encoding': 'gzip' })
    }),
    { numRuns: 150 },
  )
  await assertUnharmed()
})

test('any value of the headers that the gateway reads gets a clear answer', async () => {
  // fetch refuses to send some of these.
  const letters = fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f)
  const value = fc.string({ unit: letters.map((code) => String.fromCharCode(code)) })
  const names = ['authorization', 'x-write-key', 'content-type', 'x-forwarded-for', 'x-retry-count', 'content-encoding']
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.constantFrom('', 'Basic ', 'Bearer '),
      value,
      async (name, scheme, text) => {
        const sent = { [name]: scheme + text }
        const request = httpRequest(`${gateway.url}/v1/track`, { method: 'POST', headers: sent, agent: false })
        request.end(JSON.stringify(message))
        const [response] = (await once(request, 'response')) as [IncomingMessage]
        assert.ok([200, 400, 401].includes(response.statusCode ?? 0), String(response.statusCode))
        assert.equal(((await readJson(response)) as { success: boolean }).success, response.statusCode === 200)
      },
    ),
    { numRuns: 150 },
  )
  await assertUnharmed()
})

test('whatever bytes a connection brings, it ends or is answered, and the next one is served', async () => {
  const lines = fc.array(
    fc.oneof(
      fc.constantFrom(
        'POST /v1/track HTTP/1.1',
        'GET /v1/pixel/track?data=%ff HTTP/1.1',
        'POST //v1//track HTTP/9.9',
        'Host: x',
        'Content-Length: 5',
        'Content-Length: -1',
        'Content-Length: 99999999999999999999',
        'Transfer-Encoding: chunked',
        'Transfer-Encoding: gzip, chunked',
        'Expect: nonsense',
        'Upgrade: websocket',
        'Connection: upgrade',
        'CONNECT x:1 HTTP/1.1',
        '',
        'ffffffffffffffff',
        '{}',
      ),
      fc.string(),
    ),
    { maxLength: 8 },
  )
  await fc.assert(
    fc.asyncProperty(lines, async (text) => {
      const socket = connect(gateway.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(`${text.join('\r\n')}\r\n\r\n`, 'latin1')
      for await (const chunk of socket) assert.ok(chunk)
    }),
    { numRuns: 100 },
  )
  await assertUnharmed()
})
