/** What SDKs send, header by header: captured requests as they were, and the forms of those SDKs of which there is no capture. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { startGateway, type TryGateway } from './testing/try-gateway.ts'

interface Capture {
  method: string
  url: string
  headers: Record<string, string>
  json?: Record<string, unknown>
}

const folder = new URL('../../test/fixtures/sdk-captures/', import.meta.url)
const captures = readdirSync(folder)
  .filter((name) => name.endsWith('.jsonl'))
  .map((name) => ({
    name,
    requests: readFileSync(new URL(name, folder), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Capture),
  }))

const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(`${key}:`).toString('base64')}` })
const track = { type: 'track', userId: 'u1', event: 'Order Completed', properties: { total: 30.5 }, messageId: 'm1' }

/** Body keys after the batch, as the mobile SDKs close their files. */
const fileForm = (key: string) =>
  `{"batch":[${JSON.stringify(track)}],"sentAt":"2026-03-01T09:00:00.000Z","writeKey":"${key}"}`

interface Form {
  sdk: string
  path: string
  headers: OutgoingHttpHeaders
  /** Without the key, where the header has it. */
  body: string | Buffer
  isChunked?: boolean
}

const sentAt = '2026-03-01T09:00:00.000+00:00'
const json = 'application/json; charset=utf-8'
const forms: Form[] = [
  {
    sdk: 'Ruby',
    path: '/v1/import',
    headers: { ...basic('KEY_1'), 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ sentAt, batch: [track] }),
  },
  {
    sdk: 'PHP, with what it writes as escapes',
    path: '/v1/batch',
    headers: { ...basic('KEY_1'), 'content-type': 'application/json', expect: '100-continue' },
    body: `{"batch":[${JSON.stringify({ ...track, properties: { url: 'https://x.io/' } }).replaceAll('/', '\\/')}],"sentAt":"${sentAt}"}`,
  },
  {
    sdk: 'PHP, compressed',
    path: '/v1/batch',
    headers: { ...basic('KEY_1'), 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: gzipSync(JSON.stringify({ batch: [track], sentAt })),
  },
  {
    sdk: 'Java',
    path: '/v1/import/',
    headers: { ...basic('KEY_1'), 'content-type': 'application/json; charset=UTF-8', 'x-retry-count': '1' },
    body: JSON.stringify({
      batch: [track],
      sentAt,
      context: { library: { name: 'j' } },
      sequence: 1,
      writeKey: 'KEY_1',
    }),
  },
  {
    sdk: 'Kotlin',
    path: '/v1/b',
    headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip' },
    body: gzipSync(fileForm('KEY_1')),
    isChunked: true,
  },
  {
    sdk: 'Swift',
    path: '/v1/b',
    headers: { 'content-type': json, 'accept-encoding': 'gzip' },
    body: fileForm('KEY_1'),
  },
  {
    sdk: 'React Native',
    path: '/v1/b',
    headers: { 'content-type': json, 'x-retry-count': '0' },
    body: JSON.stringify({ batch: [track], sentAt, writeKey: 'KEY_1' }),
  },
  {
    sdk: 'C#, without a content type',
    path: '/v1/b',
    headers: { 'content-encoding': 'gzip', accept: 'text/plain', connection: 'close' },
    body: gzipSync(fileForm('KEY_1')),
  },
  { sdk: 'Flutter', path: '/v1/b', headers: { 'content-type': json }, body: fileForm('KEY_1') },
  {
    sdk: 'Rust, one message',
    path: '/v1/track',
    headers: { ...basic('KEY_1'), 'content-type': 'application/json' },
    body: JSON.stringify({ userId: 'u1', event: 'Order Completed', properties: {} }),
  },
  {
    sdk: 'analytics.js classic',
    path: '/v1/t',
    headers: { 'content-type': 'text/plain' },
    body: JSON.stringify({ ...track, writeKey: 'KEY_1' }),
  },
  {
    sdk: 'RudderStack for Node, which calls its JSON a form',
    path: '/v1/batch',
    headers: { ...basic('KEY_1'), 'content-type': 'application/x-www-form-urlencoded', 'content-encoding': 'gzip' },
    body: gzipSync(JSON.stringify({ batch: [{ ...track, channel: 'server' }], timestamp: sentAt, sentAt })),
  },
  {
    sdk: 'RudderStack for the web',
    path: '/v1/track',
    headers: { ...basic('KEY_1'), 'content-type': json, anonymousid: 'YW5vbg==', sentat: sentAt },
    body: JSON.stringify({ ...track, channel: 'web', originalTimestamp: sentAt, integrations: { All: true } }),
  },
]

describe('the door', () => {
  let gateway: TryGateway
  before(async () => {
    // Each capture has a write key of its own; the made-up forms have the first one.
    const keys = ['KEY_1', ...captures.map(({ name }) => `wk_${name.replace('.jsonl', '')}`)]
    gateway = await startGateway({ sources: keys.map((key) => ({ writeKeys: [key] })) })
  })
  after(() => gateway.stop())

  async function send(request: { method: string; path: string; headers: OutgoingHttpHeaders; body?: string | Buffer }) {
    const { method, path, headers, body } = request
    const sent = httpRequest(gateway.url + path, { method, headers, agent: false })
    sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return { status: response.statusCode, headers: response.headers, text: await text(response) }
  }

  for (const [index, { name, requests }] of captures.entries()) {
    test(`every request of ${name} is answered as its SDK needs it, and stored as it came`, async () => {
      for (const { method, url, headers, json } of requests) {
        // The recorder cut long strings, so the length is another one now.
        const { host: _, 'content-length': __, ...kept } = headers
        const body = json === undefined ? undefined : JSON.stringify(json)
        const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
        const answer = await send({ method, path: url, headers: { ...kept, ...length }, ...(body && { body }) })
        assert.equal(answer.status, 200, `${method} ${url}`)
        if (headers['origin'] !== undefined && method !== 'GET')
          assert.equal(answer.headers['access-control-allow-origin'], headers['origin'])
        const asked = headers['access-control-request-headers']
        if (asked !== undefined) {
          const allowed = answer.headers['access-control-allow-headers']?.toLowerCase().split(/, */)
          for (const header of asked.split(',')) assert.ok(allowed?.includes(header), `${header} in ${allowed}`)
        }
        if (method !== 'POST') continue
        assert.equal(answer.text, '{"success":true}')
        const stored = (await gateway.stored()).at(-1)
        assert.deepEqual([stored?.source, stored?.body], [index + 2, json])
      }
    })
  }

  for (const { sdk, path, headers, body, isChunked = false } of forms) {
    test(`${sdk}: taken, and answered exactly 200 {"success":true}`, async () => {
      const before = (await gateway.stored()).length
      const length = isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': Buffer.byteLength(body) }
      const answer = await send({ method: 'POST', path, headers: { ...headers, ...length }, body })
      assert.deepEqual([answer.status, answer.text], [200, '{"success":true}'])
      assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
      const stored = (await gateway.stored()).slice(before)
      assert.deepEqual(
        stored.map(({ source }) => source),
        [1],
      )
    })
  }
})
