/** The edges of HTTP itself: what Node would answer without a body, or not at all. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { tryGateway } from './testing/try-gateway.ts'

const body = '{"writeKey":"KEY_1","userId":"u1","event":"Tested"}'

function head(lines: string[], { target = '/v1/track', host = 'x', length = body.length } = {}): string {
  const names = [...(host === '' ? [] : [`Host: ${host}`]), `Content-Length: ${length}`, ...lines]
  return `POST ${target} HTTP/1.1\r\n${names.join('\r\n')}\r\n\r\n`
}

function open(t: TestContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  return socket
}

/** What comes until the other side closes. */
async function read(socket: Socket): Promise<string> {
  let text = ''
  for await (const part of socket) text += String(part)
  return text
}

function jsonOf(answer: string): Record<string, unknown> {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>
}

test('an expectation that nobody knows is overlooked', async (t) => {
  const { port } = await tryGateway(t)
  const socket = open(t, port)
  socket.write(head(['Expect: the-unexpected', 'Connection: close']) + body)
  assert.match(await read(socket), /^HTTP\/1\.1 200 [^]*\{"success":true\}$/)
})

test('a target with the whole address in it, as proxies write it, is the path in it', async (t) => {
  const { port, stored } = await tryGateway(t)
  for (const target of ['http://x/v1/track', 'HTTPS://x.example:8443/v1/track?y=1', 'http://u@x/v1/track/']) {
    const socket = open(t, port)
    socket.write(head(['Connection: close'], { target }) + body)
    assert.match(await read(socket), /^HTTP\/1\.1 200 /, target)
  }
  assert.equal((await stored()).length, 3)
})

test('a request without a host is told so in JSON; HTTP/1.0 needs none', async (t) => {
  const { port } = await tryGateway(t)
  const socket = open(t, port)
  socket.write(head(['Connection: close'], { host: '' }) + body)
  const answer = await read(socket)
  assert.match(answer, /^HTTP\/1\.1 400 /)
  assert.equal(jsonOf(answer)['code'], 'bad_request')
  const old = open(t, port)
  old.write(head([], { host: '' }).replace('HTTP/1.1', 'HTTP/1.0') + body)
  assert.match(await read(old), /^HTTP\/1\.1 200 /)
})

test('a body that announces more than it may have is refused for good before any of it has come', async (t) => {
  const { port } = await tryGateway(t)
  for (const more of [[], ['Content-Encoding: gzip']]) {
    const socket = open(t, port)
    socket.write(head(more, { length: 10 ** 12 }))
    const [answer] = (await once(socket, 'data')) as [string]
    assert.match(answer, /^HTTP\/1\.1 400 [^]*"code":"body_too_large"/)
    assert.doesNotMatch(answer, /Retry-After/i)
    socket.destroy()
  }
})

test('headers that are too large are answered on a connection that has served before, too', async (t) => {
  const { port } = await tryGateway(t)
  const socket = open(t, port)
  socket.write(head([]) + body)
  await once(socket, 'data')
  socket.write(head([`X-Big: ${'y'.repeat(20_000)}`]) + body)
  const answer = await read(socket)
  assert.match(answer, /^HTTP\/1\.1 431 /)
  assert.equal(jsonOf(answer)['code'], 'bad_request')
})

test('garbage behind a request that is not answered yet ends the connection, and no answer is taken for that of the first', async (t) => {
  const { port, stored } = await tryGateway(t)
  const socket = open(t, port)
  socket.write(`${head([])}${body}GARBAGE\r\n\r\n`)
  // The connection ends: whoever sent this does not know whether the first was stored, and sends it again.
  assert.doesNotMatch(await read(socket), /^HTTP\/1\.1 [45]/)
  assert.ok((await stored()).length <= 1)
})

test('a client that ends in the middle of its body is told so', async (t) => {
  const { port, stored } = await tryGateway(t)
  const socket = open(t, port)
  socket.end(head([]) + body.slice(0, 10))
  assert.match(await read(socket), /^HTTP\/1\.1 400 [^]*"code":"bad_request"/)
  assert.deepEqual(await stored(), [])
})

test('connections beyond the bound are closed, and idle ones make room for the next', async (t) => {
  const { port, post } = await tryGateway(t, { options: { connectionsMax: 3 } })
  const idle = await Promise.all(
    [1, 2, 3].map(async () => {
      const socket = open(t, port)
      socket.write(head([]) + body)
      await once(socket, 'data')
      return socket
    }),
  )
  const closed = Promise.all(idle.map((socket) => once(socket, 'close')))
  const beyond = open(t, port)
  assert.equal(await read(beyond), '')
  await closed
  assert.equal((await post('/v1/track', body)).status, 200)
})

test('a Bearer text that is a write key counts as one, before the body; any other does not', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [{}, {}] })
  const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
  assert.equal((await post('/v1/track', '{"userId":"u1","event":"Tested"}', bearer('KEY_2'))).status, 200)
  assert.equal((await post('/v1/track', body, bearer('KEY_2'))).status, 200)
  assert.equal((await post('/v1/track', body, bearer('of-a-proxy-in-front'))).status, 200)
  assert.deepEqual(
    (await stored()).map(({ source }) => source),
    [2, 2, 1],
  )
})

test('a preflight lets headers through that a page adds by itself, and only names of headers', async (t) => {
  const { url } = await tryGateway(t)
  const allowed = async (asked: string) => {
    const headers = { origin: 'https://shop.example', 'access-control-request-headers': asked }
    const answer = await fetch(`${url}/v1/b`, { method: 'OPTIONS', headers })
    return answer.headers.get('access-control-allow-headers') ?? ''
  }
  assert.match(
    await allowed('authorization,x-of-the-page'),
    /^Authorization, .*X-Retry-Count.*, authorization,x-of-the-page$/,
  )
  for (const asked of ['*', 'a b', 'x;y', '']) assert.doesNotMatch(await allowed(asked), /[*;]|a b/)
})
