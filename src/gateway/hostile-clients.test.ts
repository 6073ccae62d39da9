/** Slow, half-open and greedy clients: the gateway's memory stays bounded and others are served meanwhile. */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer as createPlainServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Clock } from '../base/clock.ts'
import { createInFlight, readBody, type InFlight } from './read-body.ts'
import { tryGateway } from './testing/try-gateway.ts'

const message = JSON.stringify({ type: 'track', writeKey: 'KEY_1', userId: 'u1', event: 'Tested', messageId: 'm1' })
const MEBIBYTE = 1024 * 1024

function slowClient(port: number, text: string | Buffer): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(text)
  return socket
}

async function rssOf(gateway: ChildProcess): Promise<number> {
  gateway.send('rss')
  const [answer] = (await once(gateway, 'message')) as [{ rssBytes: number }]
  return answer.rssBytes
}

async function millisecondsOfOne(port: number): Promise<number> {
  const start = performance.now()
  const response = await fetch(`http://127.0.0.1:${port}/v1/track`, { method: 'POST', body: message })
  assert.equal(await response.text(), '{"success":true}')
  return performance.now() - start
}

test('with a thousand slow clients memory stays bounded, and others are served as if they were not there', async (t) => {
  const gateway = fork(fileURLToPath(new URL('testing/gateway-process.ts', import.meta.url)))
  const [{ port }] = (await once(gateway, 'message')) as [{ port: number }]
  for (let i = 0; i < 50; i += 1) await millisecondsOfOne(port)
  const before = await rssOf(gateway)
  const head = 'POST /v1/batch HTTP/1.1\r\nHost: x\r\n'
  const gzipped = gzipSync(Buffer.alloc(64 * MEBIBYTE))
  const kinds: (string | Buffer)[] = [
    '',
    `${head}X-Slow: ${'y'.repeat(8_000)}`,
    `${head}Content-Length: 500000\r\n\r\n${' '.repeat(200_000)}`,
    `${head}Transfer-Encoding: chunked\r\n\r\n${'1\r\n \r\n'.repeat(10_000)}`,
    Buffer.concat([
      Buffer.from(`${head}Content-Encoding: gzip\r\nContent-Length: 500000\r\n\r\n`),
      gzipped.subarray(0, 20_000),
    ]),
  ]
  const clients = Array.from({ length: 1_000 }, (_, i) => slowClient(port, kinds[i % kinds.length]!))
  t.after(async () => {
    for (const client of clients) client.destroy()
    gateway.disconnect()
    await once(gateway, 'exit')
  })
  await Promise.all(clients.map((client) => once(client, 'connect')))
  const times: number[] = []
  for (let i = 0; i < 100; i += 1) times.push(await millisecondsOfOne(port))
  times.sort((a, b) => a - b)
  assert.ok(times[98]! < 500, `p99 ${times[98]} ms`)
  const grown = (await rssOf(gateway)) - before
  t.diagnostic(`memory grew by ${Math.round(grown / MEBIBYTE)} MiB, p99 ${Math.round(times[98]!)} ms`)
  // 16 MiB of bodies by the setting, headers of at most 16 KiB for each client, and what sockets and the collector hold.
  assert.ok(grown < 96 * MEBIBYTE, `${Math.round(grown / MEBIBYTE)} MiB more`)
})

test('a bomb is refused at the limit, whatever it would become', async (t) => {
  const { post } = await tryGateway(t)
  const bomb = gzipSync(Buffer.alloc(100 * MEBIBYTE))
  const twice = gzipSync(bomb)
  const rss = process.memoryUsage.rss()
  for (let i = 0; i < 20; i += 1) {
    const { status, json } = await post('/v1/batch', bomb, { 'content-encoding': 'gzip' })
    assert.deepEqual([status, json['code']], [400, 'body_too_large'])
  }
  assert.equal((await post('/v1/batch', twice, { 'content-encoding': 'gzip' })).status, 400)
  assert.ok(process.memoryUsage.rss() - rss < 64 * MEBIBYTE)
})

/** Reads bodies as the gateway does, with a clock that the test moves. */
async function reading(inFlightBytesMax: number) {
  const time = { nowMs: 1_000 }
  const clock: Clock = { now: () => time.nowMs, after: () => ({ timer: undefined }), clear: () => undefined }
  const inFlight = createInFlight()
  const bodies: Promise<PromiseSettledResult<Buffer>>[] = []
  const server = createPlainServer((request, response) => {
    const body = readBody(request, { bytesMax: 524_288, inFlightBytesMax }, inFlight, clock)
    bodies.push(Promise.allSettled([body]).then(([result]) => result))
    void body.catch(() => response.writeHead(503).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return { time, inFlight, bodies, server, port: typeof address === 'object' && address !== null ? address.port : 0 }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
}

function head(bytes: number): string {
  return `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`
}

test('when bodies fill the memory that they may have, the oldest slow one gives way, not the newcomer', async (t) => {
  const { time, inFlight, bodies, server, port } = await reading(200_000)
  const clients: Socket[] = []
  t.after(async () => {
    for (const client of clients) client.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  for (const count of [1, 2]) {
    clients.push(slowClient(port, head(50_000) + 'x'.repeat(40_000)))
    await until(() => inFlight.bytes === count * 40_000)
  }
  time.nowMs += 6_000
  const newcomer = slowClient(port, head(50_000) + 'x'.repeat(40_000))
  clients.push(newcomer)
  await until(() => bodies.length === 3 && inFlight.bytes <= 80_000 && inFlight.coming.size === 2)
  const [first] = await Promise.all(bodies.slice(0, 1))
  assert.equal(first?.status, 'rejected')
  newcomer.write('x'.repeat(10_000))
  const third = await bodies[2]
  assert.equal(third?.status === 'fulfilled' && third.value.byteLength, 50_000)
})

test('when all bodies are young, the one that does not fit is refused', async (t) => {
  const { inFlight, bodies, server, port } = await reading(120_000)
  const clients = [slowClient(port, head(50_000) + 'x'.repeat(40_000))]
  t.after(async () => {
    for (const client of clients) client.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  await until(() => inFlight.bytes === 40_000)
  clients.push(slowClient(port, head(50_000) + 'x'.repeat(40_000)))
  await until(() => bodies.length === 2)
  const second = await bodies[1]
  assert.equal(second?.status === 'rejected' && (second.reason as { code: string }).code, 'unavailable')
  assert.equal(inFlight.bytes, 40_000)
})

test('a client that goes away in the middle leaves nothing behind', async (t) => {
  const { inFlight, bodies, server, port } = await reading(1_000_000)
  t.after(() => new Promise((resolve) => server.close(resolve)))
  const client = slowClient(port, head(50_000) + 'x'.repeat(40_000))
  await until(() => inFlight.bytes === 40_000)
  client.destroy()
  assert.equal((await bodies[0])?.status, 'rejected')
  assert.deepEqual<Partial<InFlight>>(inFlight, { bytes: 0, comingBytes: 0, coming: new Set() })
})

test('a body in pieces of one byte is read whole and costs little more than its bytes', async (t) => {
  const { inFlight, bodies, server, port } = await reading(1_000_000)
  t.after(() => new Promise((resolve) => server.close(resolve)))
  const text = Array.from({ length: 200_000 }, (_, i) => 'abcdefghij'[i % 10]).join('')
  const chunks = [...text].map((letter) => `1\r\n${letter}\r\n`).join('')
  const client = slowClient(port, `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`)
  await until(() => inFlight.bytes === text.length)
  client.write('0\r\n\r\n')
  const result = await bodies[0]
  assert.equal(result?.status === 'fulfilled' && result.value.toString(), text)
  client.destroy()
})

test('a client that sends its whole body before it reads still gets the answer to a body that is too large', async (t) => {
  const { port } = await tryGateway(t)
  const body = Buffer.alloc(16 * MEBIBYTE, ' ')
  const client = connect(port, '127.0.0.1')
  let answer = ''
  client.write(`POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.byteLength}\r\n\r\n`)
  await new Promise((resolve, reject) => {
    client.once('error', reject)
    client.write(body, resolve)
  })
  client.setEncoding('utf8').on('data', (text: string) => (answer += text))
  await once(client, 'end')
  assert.match(answer, /^HTTP\/1\.1 400 /)
  assert.match(answer, /Connection: close/i)
  assert.match(answer, /"code":"body_too_large"/)
})
