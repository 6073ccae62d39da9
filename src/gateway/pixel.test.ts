import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { calls } from '../protocol/index.ts'
import { readPixelQuery } from './pixel.ts'
import { tryGateway } from './testing/try-gateway.ts'

const message = { writeKey: 'KEY_1', userId: 'u-81', event: 'Email Opened', properties: { subject: 'Week ≥ 9 ???>>>' } }
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

async function getPixel(url: string, init: RequestInit = {}) {
  const response = await fetch(url, init)
  const bytes = Buffer.from(await response.arrayBuffer())
  assert.deepEqual(
    [response.status, response.headers.get('content-type'), response.headers.get('cache-control')],
    [200, 'image/gif', 'no-store'],
  )
  if (init.method !== 'HEAD') assert.equal(bytes.subarray(0, 6).toString(), 'GIF89a')
}

test('each call has a pixel, and the message is stored as if it had been posted', async (t) => {
  const { url, stored } = await tryGateway(t)
  for (const call of calls) await getPixel(`${url}/v1/pixel/${call}?data=${base64url(message)}`)
  assert.deepEqual(
    (await stored()).map(({ source, head, body }) => [source, head.route, body]),
    calls.map((call) => [1, call, message]),
  )
})

test('both alphabets of base64 are read, escaped or not, with and without padding', async (t) => {
  const { url, stored } = await tryGateway(t)
  const standard = Buffer.from(JSON.stringify(message)).toString('base64')
  assert.match(standard, /\+.*\/|\/.*\+/, 'the message must be one whose base64 has both signs')
  const forms = [standard, encodeURIComponent(standard), standard.replace(/=+$/, ''), base64url(message)]
  for (const data of forms) await getPixel(`${url}/v1/pixel/track/?data=${data}`)
  assert.deepEqual(
    (await stored()).map(({ body }) => body),
    forms.map(() => message),
  )
})

test('dotted parameters make nested objects of strings', async (t) => {
  const { url, stored } = await tryGateway(t)
  const query =
    'writeKey=KEY_1&userId=u1&event=Email%20Opened&properties.subject=Hello+you&properties.a.b=1&__proto__.x=1'
  await getPixel(`${url}/v1/pixel/track?${query}`)
  assert.equal(
    (await stored())[0]?.text,
    '{"writeKey":"KEY_1","userId":"u1","event":"Email Opened","properties":{"subject":"Hello you","a":{"b":"1"}},"__proto__":{"x":"1"}}',
  )
  assert.equal(({} as { x?: string }).x, undefined)
})

test('what cannot be taken is an image too, counted by its code and not stored', async (t) => {
  const limited = { slug: 'limited', writeKeys: ['LIMITED'], eventsPerSecond: 0.001 }
  const { url, stored, refused } = await tryGateway(t, { sources: [limited] })
  await getPixel(`${url}/v1/pixel/track?data=${base64url({ ...message, writeKey: 'LIMITED' })}`)
  const refusedOnes = [
    '/v1/pixel/track',
    '/v1/pixel/track?data=%%%',
    '/v1/pixel/track?data=bm90IGpzb24',
    '/v1/pixel/track?data=',
    '/v1/pixel/track?userId=u1&event=x',
    `/v1/pixel/track?data=${base64url(message)}`,
    `/v1/pixel/track?${'a.'.repeat(200)}=1`,
    '/v1/pixel/delete?userId=u1',
    '/v1/pixel/',
    `/v1/pixel/track?data=${base64url({ ...message, writeKey: 'LIMITED' })}`,
  ]
  for (const path of refusedOnes) await getPixel(url + path)
  assert.equal((await stored()).length, 1)
  assert.deepEqual(await refused(), { bad_request: 4, unknown_source: 3, not_found: 2, too_many_requests: 1 })
})

test('a link checker that asks with HEAD has not seen the image; a POST is 405', async (t) => {
  const { url, stored, post } = await tryGateway(t)
  await getPixel(`${url}/v1/pixel/track?data=${base64url(message)}`, { method: 'HEAD' })
  assert.equal((await post('/v1/pixel/track', message)).status, 405)
  assert.deepEqual(await stored(), [])
})

test('any query gives JSON text or a refusal', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), queries()), (query) => {
      try {
        readPixelQuery(`/v1/pixel/track?${query}`)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'bad_request')
      }
    }),
  )
})

test('any JSON comes through base64 byte by byte', () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'grapheme' }), (text) => {
      const bytes = Buffer.from(text)
      for (const data of [bytes.toString('base64url'), encodeURIComponent(bytes.toString('base64'))]) {
        assert.deepEqual(readPixelQuery(`/v1/pixel/track?data=${data}`), bytes)
      }
    }),
  )
})

function queries() {
  const names = fc.array(fc.constantFrom('a', 'b', '', '__proto__', 'constructor', 'toString'), { maxLength: 5 })
  return fc
    .array(fc.tuple(names, fc.string()), { maxLength: 6 })
    .map((pairs) => new URLSearchParams(pairs.map(([path, value]) => [path.join('.'), value])).toString())
}
