import assert from 'node:assert/strict'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { fakeVendor, type FakeVendor } from '../../test/support/fake-vendor.ts'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { ResponseError, type SendResponse } from '../kit/index.ts'
import { createEgress, type Egress, type EgressParts } from './egress.ts'
import { SendFailed } from './errors.ts'
import { forbiddenAddresses, forbiddenForms, forbiddenNames } from './testing/forbidden-urls.ts'
import { rawServer, testClock, type RawServer } from './testing/raw-server.ts'
import { selfSigned, type TestCertificate } from '../../test/support/self-signed.ts'

const loopback = { allow: ['127.0.0.1/32'] }

/** An egress that ends with the test. */
function open(t: TestContext, parts: Partial<EgressParts> = {}): Egress {
  const settings = { allow: loopback.allow }
  const egress = createEgress({
    policy: () => settings,
    clock: systemClock,
    log: silentLogger,
    version: '1.2.3',
    ...parts,
  })
  t.after(() => egress.close())
  return egress
}

async function vendorOf(t: TestContext): Promise<FakeVendor> {
  const vendor = await fakeVendor()
  t.after(() => vendor.close())
  return vendor
}

async function rawOf(t: TestContext, answer: (socket: Socket, text: string) => void): Promise<RawServer> {
  const raw = await rawServer(answer)
  t.after(() => raw.close())
  return raw
}

function post(egress: Egress, url: string, options: { body?: string; timeoutMs?: number; lane?: string } = {}) {
  return egress.send(url, { method: 'POST', body: '{}', timeoutMs: 5000, ...options })
}

/** Resolves when the server has the request. */
function arrival(): Promise<Socket> & { arrived: (socket: Socket) => void } {
  const { promise, resolve } = Promise.withResolvers<Socket>()
  return Object.assign(promise, { arrived: resolve })
}

test('a request arrives as it was given, with our user agent', async (t) => {
  const vendor = await vendorOf(t)
  const egress = open(t)
  vendor.answerWith({ status: 202, headers: { 'x-request-id': 'r1' }, body: 'thanks' })
  const response = await egress.send(`${vendor.url}?a=1&b=%20#part`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json', 'X-Custom': 'yes' },
    body: '{"type":"track","name":"Äpfel"}',
    timeoutMs: 1000,
  })
  assert.deepEqual([response.status, response.headers['x-request-id'], response.body], [202, 'r1', 'thanks'])
  const [request] = vendor.requests
  assert.deepEqual([request?.method, request?.path], ['PUT', '/hook?a=1&b=%20'])
  assert.equal(request?.body, '{"type":"track","name":"Äpfel"}')
  assert.equal(request?.headers['user-agent'], 'Tributary/1.2.3 (compatible; Segment.io/1.0)')
  assert.equal(request?.headers['content-type'], 'application/json')
  assert.equal(request?.headers['accept-encoding'], 'identity')
})

test('a connector may name itself, but not touch the headers of the connection', async (t) => {
  const vendor = await vendorOf(t)
  const headers = {
    'User-Agent': 'Own/1',
    Host: 'internal.example',
    'Content-Length': '999',
    'Transfer-Encoding': 'chunked',
    Connection: 'upgrade',
    'Accept-Encoding': 'gzip',
    Expect: '100-continue',
    'X-Tributary-Original-Url': 'forged',
  }
  await open(t).send(vendor.url, { method: 'POST', headers, body: 'four', timeoutMs: 1000 })
  const sent = vendor.requests[0]?.headers
  assert.equal(sent?.['user-agent'], 'Own/1')
  assert.equal(sent?.host, `127.0.0.1:${vendor.port}`)
  assert.equal(sent?.['content-length'], '4')
  assert.equal(sent?.['accept-encoding'], 'identity')
  for (const name of ['transfer-encoding', 'expect', 'x-tributary-original-url']) assert.equal(sent?.[name], undefined)
})

test('a header that would smuggle a second one is refused before anything is sent', async (t) => {
  const raw = await rawOf(t, () => {})
  const headers = { 'X-A': 'a\r\nX-B: b' }
  await assert.rejects(open(t).send(raw.url, { method: 'POST', headers, timeoutMs: 1000 }), { code: 'INVALID_REQUEST' })
  assert.equal(raw.received, '')
})

test('requests one after another share their connections', async (t) => {
  const raw = await rawOf(t, (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  const egress = open(t)
  for (let i = 0; i < 20; i++) assert.equal((await post(egress, raw.url)).body, 'ok')
  // An answer is handed over a moment before undici counts its connection as free.
  assert.ok(raw.connections <= 2, `${raw.connections} connections`)
})

// --- where it may go ---

test(`nothing is connected to for ${forbiddenAddresses.length + forbiddenNames.length + forbiddenForms.length} forbidden URLs`, async (t) => {
  const raw = await rawOf(t, (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
  let sockets = 0
  const onSocket = () => void (sockets += 1)
  diagnostics.subscribe('net.client.socket', onSocket)
  t.after(() => diagnostics.unsubscribe('net.client.socket', onSocket))
  const settings = { allow: [] }
  // Whatever the name, the attacker's name server points it at us.
  const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
  const egress = open(t, { policy: () => settings, lookup })
  const attempt = async (url: string) => {
    await assert.rejects(post(egress, url.replace('PORT', String(raw.port))), { code: 'EGRESS_DENIED' }, url)
  }
  for (const url of [...forbiddenAddresses, ...forbiddenForms]) await attempt(url)
  assert.equal(sockets, 0, 'a socket was made')
  for (const url of forbiddenNames) await attempt(url)
  assert.equal(raw.connections, 0)
})

test('the operator can allow an address, by whatever name or spelling it is reached', async (t) => {
  const vendor = await vendorOf(t)
  const egress = open(t)
  const hosts = ['127.0.0.1', 'localhost', 'LOCALHOST.', 'a.localhost', '127.1', '0x7f000001', '[::ffff:127.0.0.1]']
  for (const host of hosts) assert.equal((await post(egress, `http://${host}:${vendor.port}/`)).status, 200, host)
  await assert.rejects(post(egress, `http://127.0.0.2:${vendor.port}/`), { code: 'EGRESS_DENIED' })
})

test('names of this machine are not asked of a name server', async (t) => {
  const vendor = await vendorOf(t)
  const egress = open(t, { lookup: () => Promise.reject(new Error('asked')) })
  assert.equal((await post(egress, `http://localhost:${vendor.port}/`)).status, 200)
})

test('a name with a permitted and a refused address goes to the permitted one', async (t) => {
  const vendor = await vendorOf(t)
  const lookup = async () => [
    { address: '10.0.0.1', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ]
  assert.equal((await post(open(t, { lookup }), `http://two.example:${vendor.port}/`)).status, 200)
})

test('a name that points elsewhere the next time is checked at each connection', async (t) => {
  const raw = await rawOf(t, (socket) => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'))
  const answers = ['127.0.0.1', '127.0.0.2']
  const lookup = async () => [{ address: answers.shift() ?? '127.0.0.3', family: 4 }]
  const egress = open(t, { lookup })
  const url = `http://rebind.example:${raw.port}/`
  assert.equal((await post(egress, url)).status, 200)
  for (let i = 0; i < 3; i++) await assert.rejects(post(egress, url), { code: 'EGRESS_DENIED' })
  assert.equal(raw.connections, 1)
})

test('the sentence of a refusal tells the host and the reason, not the path or the query', async (t) => {
  const egress = open(t, { lookup: async () => [{ address: '169.254.169.254', family: 4 }] })
  await assert.rejects(post(egress, 'http://hook.example/secret-path?key=secret'), (error: Error) => {
    assert.match(error.message, /hook\.example is at 169\.254\.169\.254/)
    assert.match(error.message, /metadata service/)
    assert.doesNotMatch(error.message, /secret/)
    return true
  })
})

test('rules that change hold for the next request, also where a connection is open', async (t) => {
  const vendor = await vendorOf(t)
  let settings = { allow: ['127.0.0.0/8'] }
  const egress = open(t, { policy: () => settings })
  await post(egress, vendor.url)
  settings = { allow: ['127.0.0.0/8'] }
  await post(egress, vendor.url)
  settings = { allow: [] }
  await assert.rejects(post(egress, vendor.url), { code: 'EGRESS_DENIED' })
  assert.equal(vendor.requests.length, 2)
})

// --- redirects ---

for (const status of [307, 308]) {
  test(`a ${status} to the same host is followed with the same method, headers and body`, async (t) => {
    const vendor = await vendorOf(t)
    vendor.answerWith(({ path }) => (path === '/hook' ? { status, headers: { location: '/next?x=1' } } : 200))
    const headers = { 'X-Signature': 'abc' }
    await open(t).send(vendor.url, { method: 'PATCH', headers, body: 'b', timeoutMs: 1000 })
    const seen = vendor.requests.map((r) => [r.method, r.path, r.headers['x-signature'], r.body])
    assert.deepEqual(seen, [
      ['PATCH', '/hook', 'abc', 'b'],
      ['PATCH', '/next?x=1', 'abc', 'b'],
    ])
  })
}

test('three hops are followed and a fourth is not', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(({ path }) => {
    const hop = Number(path.slice(1)) || 0
    return hop === 3 ? 200 : { status: 307, headers: { location: `/${hop + 1}` } }
  })
  const egress = open(t)
  assert.equal((await post(egress, `http://127.0.0.1:${vendor.port}/0`)).status, 200)
  await assert.rejects(post(egress, `http://127.0.0.1:${vendor.port}/-1`), { name: 'ResponseError', status: 307 })
  assert.equal(vendor.requests.length, 8)
})

test('other redirects, and those to another host or nowhere, are not followed', async (t) => {
  const vendor = await vendorOf(t)
  const other = await vendorOf(t)
  const egress = open(t)
  const answers: [number, string | undefined][] = [
    ...[301, 302, 303, 300, 304].map((status): [number, string] => [status, '/next']),
    [307, undefined],
    [307, 'http://[::1'],
    [307, other.url],
    [308, `http://localhost:${vendor.port}/`],
    [308, 'http://169.254.169.254/latest/meta-data/'],
    [308, 'file:///etc/passwd'],
    [308, `http://user:password@127.0.0.1:${other.port}/`],
  ]
  for (const [status, location] of answers) {
    vendor.answerWith({ status, headers: location === undefined ? {} : { location } })
    await assert.rejects(post(egress, vendor.url), { name: 'ResponseError', status })
  }
  assert.equal(vendor.requests.length, answers.length)
  assert.equal(other.requests.length, 0)
})

test('a redirect with credentials in its URL is refused', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith({ status: 307, headers: { location: `http://user:password@127.0.0.1:${vendor.port}/` } })
  await assert.rejects(post(open(t), vendor.url), { code: 'EGRESS_DENIED' })
  assert.equal(vendor.requests.length, 1)
})

// --- answers ---

test('an answer outside 2xx is an error with its status, headers and at most 16 KiB of its body', async (t) => {
  const vendor = await vendorOf(t)
  const egress = open(t)
  for (const status of [400, 401, 404, 429, 500, 503]) {
    vendor.answerWith({ status, headers: { 'retry-after': '7' }, body: 'x'.repeat(200_000) })
    await assert.rejects(post(egress, vendor.url), (error: unknown) => {
      assert.ok(error instanceof ResponseError)
      assert.deepEqual([error.status, error.headers['retry-after'], error.body], [status, '7', 'x'.repeat(16_384)])
      return true
    })
  }
})

test('what the request kept secret does not come back in the error', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(({ headers }) => ({ status: 401, body: `bad ${headers.authorization}, ${headers['x-api-key']}` }))
  const headers = { Authorization: 'Bearer s3cret-token', 'X-Api-Key': 'k3y-of-ours' }
  await assert.rejects(open(t).send(vendor.url, { method: 'POST', headers, timeoutMs: 1000 }), {
    body: 'bad [removed], [removed]',
  })
})

test('an endless answer is read up to its limit, and its status stands', async (t) => {
  const raw = await rawOf(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n')
    const pour = () => void (!socket.destroyed && socket.write('y'.repeat(65_536), pour))
    pour()
  })
  const response = await post(open(t), raw.url)
  assert.deepEqual([response.status, response.body.length, response.isCut], [200, 1024 * 1024, true])
})

test('an endless failure is read up to the same limit', async (t) => {
  const raw = await rawOf(t, (socket) => {
    socket.write('HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n')
    const pour = () => void (!socket.destroyed && socket.write(`10000\r\n${'y'.repeat(65_536)}\r\n`, pour))
    pour()
  })
  await assert.rejects(post(open(t), raw.url), { status: 400, body: 'y'.repeat(16_384) })
})

test('a whole answer of exactly the limit is not cut', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith({ status: 200, body: 'z'.repeat(1000) })
  const send = (bytesMax: number) => open(t).send(vendor.url, { method: 'GET', timeoutMs: 1000, bytesMax })
  assert.deepEqual((await send(1000)).isCut, undefined)
  assert.deepEqual((await send(999)).isCut, true)
})

test('a compressed answer, which nobody asked for, is not inflated', async (t) => {
  const raw = await rawOf(t, (socket) => {
    const bomb = gzipSync('0'.repeat(10_000_000))
    socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`)
    socket.write(bomb)
  })
  const response = await post(open(t), raw.url)
  assert.deepEqual([response.status, response.body], [200, ''])
})

test('a 2xx whose connection breaks inside the body is an answer, so that nothing is sent twice', async (t) => {
  const raw = await rawOf(t, (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart'))
  assert.deepEqual(await post(open(t), raw.url), {
    status: 200,
    headers: { 'content-length': '100' },
    body: 'part',
    isCut: true,
  })
})

test('interim answers are passed over', async (t) => {
  const raw = await rawOf(t, (socket) =>
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n'),
  )
  assert.deepEqual(await post(open(t), raw.url), { status: 204, headers: {}, body: '' })
})

const broken: Record<string, string> = {
  'no HTTP at all': 'SSH-2.0-OpenSSH_9.9\r\n',
  'two lengths that disagree': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  'headers without end': `HTTP/1.1 200 OK\r\nX-Long: ${'h'.repeat(40_000)}\r\n\r\n`,
  'an upgrade nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  nothing: '',
}
for (const [what, answer] of Object.entries(broken)) {
  test(`an answer of ${what} is a broken connection`, async (t) => {
    const raw = await rawOf(t, (socket) => socket.end(answer))
    await assert.rejects(post(open(t), raw.url), { name: 'SendFailed', code: 'ECONNRESET' })
  })
}

test('failures carry the code of the system', async (t) => {
  const vendor = await fakeVendor()
  vendor.answerWith('reset')
  const egress = open(t)
  await assert.rejects(post(egress, vendor.url), { code: 'ECONNRESET' })
  await vendor.close()
  await assert.rejects(post(egress, vendor.url), { code: 'ECONNREFUSED', message: /127\.0\.0\.1/ })
  for (const code of ['ENOTFOUND', 'EAI_AGAIN']) {
    const lookup = () => Promise.reject(Object.assign(new Error('resolver'), { code }))
    await assert.rejects(post(open(t, { lookup }), 'http://gone.example/'), { code })
  }
  await assert.rejects(post(open(t, { lookup: async () => [] }), 'http://empty.example/'), { code: 'ENOTFOUND' })
})

test('whatever bytes come back, a request ends as an answer, a failure with a code, or a time-out', async (t) => {
  let bytes = Buffer.alloc(0)
  const raw = await rawOf(t, (socket) => socket.end(bytes))
  const egress = open(t)
  const line = fc.constantFrom(
    ...['HTTP/1.1 200 OK', 'HTTP/1.1 307 X', 'HTTP/1.0 500', 'HTTP/1.1 100 Continue', 'HTTP/1.1 99', 'HTTP/9.9 200 OK'],
    ...[
      'Content-Length: 3',
      'Content-Length: -1',
      'Transfer-Encoding: chunked',
      'Location: /',
      'Location: \\',
      '3',
      'abc',
    ],
    ...[
      'Connection: close',
      'Content-Encoding: br',
      'Trailer: x',
      '__proto__: x',
      'a:',
      ': b',
      '\0',
      '0',
      '',
      'fffffffffffff',
    ],
  )
  const answer = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    fc.array(line, { maxLength: 12 }).map((lines) => Buffer.from(lines.join('\r\n'))),
  )
  await fc.assert(
    fc.asyncProperty(answer, async (given) => {
      bytes = given
      try {
        assert.ok((await post(egress, raw.url)).status >= 200)
      } catch (error) {
        assert.ok(
          error instanceof ResponseError || (error instanceof SendFailed && error.code === 'ECONNRESET'),
          String(error),
        )
      }
    }),
    { numRuns: 300 },
  )
})

// --- time ---

test('a server that never answers is given up after the time-out and not before', async (t) => {
  const clock = testClock()
  const request = arrival()
  const raw = await rawOf(t, (socket) => request.arrived(socket))
  const sending = post(open(t, { clock }), raw.url, { timeoutMs: 5000 })
  let isOver = false
  sending.catch(() => (isOver = true))
  const socket = await request
  clock.advance(4999)
  await new Promise(setImmediate)
  assert.equal(isOver, false)
  clock.advance(52)
  await assert.rejects(sending, { name: 'SendFailed', code: 'ETIMEDOUT' })
  await once(socket, 'close')
})

test('headers that drip do not hold the request beyond its time', async (t) => {
  const clock = testClock()
  const request = arrival()
  const raw = await rawOf(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX-')
    request.arrived(socket)
  })
  const sending = post(open(t, { clock }), raw.url)
  const socket = await request
  socket.write('Slow: a')
  clock.advance(6000)
  await assert.rejects(sending, { code: 'ETIMEDOUT' })
})

for (const status of [200, 404]) {
  test(`a body that drips after a ${status} is cut when the time is over, and its status stands`, async (t) => {
    const clock = testClock()
    const raw = await rawOf(t, (socket) => void socket.write(`HTTP/1.1 ${status} X\r\nContent-Length: 9\r\n\r\nab`))
    const egress = open(t, { clock })
    const sending: Promise<SendResponse | ResponseError> = post(egress, raw.url).catch((error) => error)
    let answer: SendResponse | ResponseError | undefined
    void sending.then((value) => (answer = value))
    // The status has arrived when the time is over, however long that takes the machine.
    const seen = diagnostics.channel('undici:request:headers')
    await new Promise<void>((resolve) => {
      const onHeaders = () => (seen.unsubscribe(onHeaders), setImmediate(resolve))
      seen.subscribe(onHeaders)
    })
    assert.equal(answer, undefined)
    clock.advance(6000)
    const { status: given, body } = await sending
    assert.deepEqual([given, body], [status, 'ab'])
  })
}

test('a name server that never answers is a time-out', async (t) => {
  const clock = testClock()
  const sending = post(open(t, { clock, lookup: () => new Promise(() => {}) }), 'http://slow.example/')
  clock.advance(6000)
  await assert.rejects(sending, { code: 'ETIMEDOUT' })
})

test('what ran out of time while it waited for a connection is never sent', async (t) => {
  const clock = testClock()
  const request = arrival()
  const raw = await rawOf(t, (socket) => request.arrived(socket))
  const egress = open(t, { clock, limits: { connectionsMax: 1 } })
  const first = post(egress, raw.url, { body: 'first', timeoutMs: 9000 })
  const second = post(egress, raw.url, { body: 'second', timeoutMs: 1000 })
  const socket = await request
  clock.advance(2000)
  await assert.rejects(second, { code: 'ETIMEDOUT' })
  socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  assert.equal((await first).status, 200)
  await egress.close()
  assert.doesNotMatch(raw.received, /second/)
})

test('the time-out covers all redirects together', async (t) => {
  const clock = testClock()
  let hops = 0
  const request = arrival()
  const raw = await rawOf(t, (socket) => {
    hops += 1
    if (hops === 3) return request.arrived(socket)
    clock.advance(2000)
    socket.write('HTTP/1.1 307 X\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n')
  })
  const sending = post(open(t, { clock }), raw.url, { timeoutMs: 5000 })
  await request
  clock.advance(1100)
  await assert.rejects(sending, { code: 'ETIMEDOUT' })
})

// --- neighbours, the sink, certificates, the end ---

test('a lane that hangs keeps none of another lane waiting', async (t) => {
  const clock = testClock()
  const request = arrival()
  const raw = await rawOf(t, (socket, text) => {
    if (text.includes('hang')) request.arrived(socket)
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const egress = open(t, { clock, limits: { connectionsMax: 1 } })
  const hanging = post(egress, raw.url, { body: 'hang', lane: 'a' })
  await request
  assert.equal((await post(egress, raw.url, { lane: 'b' })).status, 200)
  clock.advance(6000)
  await assert.rejects(hanging, { code: 'ETIMEDOUT' })
})

test('the number of pools is bounded and requests to the oldest still end', async (t) => {
  const vendor = await vendorOf(t)
  const egress = open(t, { limits: { poolsMax: 3 } })
  const lanes = Array.from({ length: 20 }, (_, i) => `lane ${i}`)
  const responses = await Promise.all(lanes.map((lane) => post(egress, vendor.url, { lane })))
  assert.ok(responses.every(({ status }) => status === 200))
  assert.deepEqual(egress.stats(), { inFlight: 0, pools: 3 })
})

test('with a sink nothing leaves: each request goes there unchanged and says where it was meant to go', async (t) => {
  const sink = await vendorOf(t)
  const vendor = await vendorOf(t)
  const settings = { allow: [], sink: `http://127.0.0.1:${sink.port}/ignored?also` }
  const lookup = () => Promise.reject(new Error('a name was looked up'))
  const egress = open(t, { policy: () => settings, lookup })
  const urls = ['https://hook.example/a/b?c=1', 'http://169.254.169.254/latest', vendor.url]
  for (const url of urls) {
    await egress.send(url, { method: 'PUT', headers: { 'X-Signature': 'abc' }, body: '[1]', timeoutMs: 1000 })
  }
  const seen = sink.requests.map(({ path, headers }) => [path, headers['x-tributary-original-url']])
  assert.deepEqual(seen, [
    ['/a/b?c=1', urls[0]],
    ['/latest', urls[1]],
    ['/hook', urls[2]],
  ])
  for (const { method, headers, body } of sink.requests) {
    assert.deepEqual([method, headers['x-signature'], body], ['PUT', 'abc', '[1]'])
  }
  assert.equal(vendor.requests.length, 0)
})

test('a redirect of the sink stays in the sink', async (t) => {
  const sink = await vendorOf(t)
  const settings = { allow: [], sink: sink.url }
  sink.answerWith(({ path }) => (path === '/a' ? { status: 307, headers: { location: '/b' } } : 200))
  assert.equal((await post(open(t, { policy: () => settings }), 'https://hook.example/a')).status, 200)
  const originals = sink.requests.map(({ headers }) => headers['x-tributary-original-url'])
  assert.deepEqual(originals, ['https://hook.example/a', 'https://hook.example/b'])
})

test('a sink that is no URL lets nothing out', async (t) => {
  const vendor = await vendorOf(t)
  const settings = { allow: loopback.allow, sink: 'nowhere' }
  await assert.rejects(post(open(t, { policy: () => settings }), vendor.url), {
    code: 'EGRESS_DENIED',
    message: /sink/,
  })
  assert.equal(vendor.requests.length, 0)
})

test('a certificate that is self-signed, expired or for another host is refused and no request is made', async (t) => {
  const serve = async ({ key, certificate }: TestCertificate) => {
    const server = createServer({ key, cert: certificate }, (request, response) => {
      requests += 1
      request.resume()
      response.end('ok')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }
  let requests = 0
  const certificate = selfSigned()
  const port = await serve(certificate)
  await assert.rejects(post(open(t), `https://localhost:${port}/`), {
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    message: /self-signed; nothing was sent/,
  })
  const trusting = open(t, { ca: certificate.certificate })
  await assert.rejects(post(trusting, `https://127.0.0.1:${port}/`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  const expired = selfSigned({ notAfter: new Date('2021-01-01') })
  const expiredUrl = `https://localhost:${await serve(expired)}/`
  await assert.rejects(post(open(t, { ca: expired.certificate }), expiredUrl), { code: 'CERT_HAS_EXPIRED' })
  assert.equal(requests, 0)
  assert.equal((await post(trusting, `https://localhost:${port}/`)).body, 'ok')
})

test('closing does not wait for a connection that nobody waits for any more, also under old rules', async (t) => {
  const clock = testClock()
  let settings = { allow: ['127.0.0.1/32'] }
  const egress = open(t, {
    clock,
    policy: () => settings,
    lookup: () => new Promise(() => {}),
    limits: { poolsMax: 1 },
  })
  const sending = ['a', 'b'].map((lane) => post(egress, 'http://slow.example/', { lane }))
  settings = { allow: [] }
  sending.push(post(egress, 'http://slow.example/'))
  clock.advance(6000)
  for (const each of await Promise.allSettled(sending)) assert.equal(each.status, 'rejected')
  await egress.close()
  assert.equal(egress.stats().inFlight, 0)
})

test('closing waits for what is in flight and takes nothing new', async (t) => {
  const request = arrival()
  const raw = await rawOf(t, (socket) => request.arrived(socket))
  const egress = open(t)
  const sending = post(egress, raw.url)
  const socket = await request
  const closing = egress.close()
  await assert.rejects(post(egress, raw.url), { code: 'ECONNABORTED' })
  assert.equal(egress.stats().inFlight, 1)
  socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  assert.equal((await sending).status, 200)
  await closing
})
