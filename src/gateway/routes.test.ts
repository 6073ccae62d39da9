/** Paths, methods and answers that real clients depend on (contract: ingest.md §1 to §5, sdk-wire.md §7). */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { json } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { calls } from '../protocol/index.ts'
import { routeOf } from './routes.ts'
import { startGateway, type TryGateway } from './testing/try-gateway.ts'

const message = { type: 'track', userId: 'u1', event: 'Tested', writeKey: 'KEY_1', messageId: 'm1' }

test('every path is served with and without /v1, and with slashes too many', () => {
  for (const call of calls) {
    for (const name of [call, call[0]]) {
      for (const path of [`/v1/${name}`, `/${name}`, `//v1/${name}`]) {
        assert.deepEqual([routeOf(path), routeOf(`${path}/`)], [call, call], path)
      }
    }
  }
  for (const name of ['batch', 'import', 'b']) {
    for (const path of [`/v1/${name}`, `/${name}/`, `//v1/${name}`]) assert.equal(routeOf(path), 'batch')
  }
  for (const path of ['/v1/', '/', '/v1/v1/track', '/v2/track', '/v1/track/x', '/v1/TRACK', '/v1/constructor']) {
    assert.equal(routeOf(path), undefined, path)
  }
})

describe('the running gateway', () => {
  let gateway: TryGateway
  before(async () => {
    gateway = await startGateway()
  })
  after(() => gateway.stop())

  for (const path of ['/b', '/batch/', '//v1/batch']) {
    test(`POST ${path} takes a batch`, async () => {
      assert.equal((await gateway.post(path, { batch: [message] })).text, '{"success":true}')
    })
  }

  test('the route wins over the type in the body', async () => {
    await gateway.post('/v1/identify', message)
    assert.equal((await gateway.stored()).at(-1)?.head.route, 'identify')
  })

  test('metrics of libraries are swallowed with and without /v1, whatever they hold', async () => {
    for (const path of ['/v1/m', '/v1/m/', '/m']) {
      for (const body of ['{"series":[]}', 'nonsense', '']) {
        const { status, text } = await gateway.post(path, body)
        assert.deepEqual([status, text], [200, '{"success":true}'])
      }
    }
  })

  for (const path of ['/v1/track', '/v1/batch/', '/v1/m', '/b', '/v1/anything']) {
    test(`a preflight of ${path} is answered without a write key`, async () => {
      const headers = { origin: 'https://shop.example', 'access-control-request-private-network': 'true' }
      const response = await fetch(gateway.url + path, { method: 'OPTIONS', headers })
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('access-control-allow-origin'), 'https://shop.example')
      assert.equal(response.headers.get('access-control-allow-private-network'), 'true')
    })
  }

  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE']) {
    test(`${method} of a tracking path is 405 and names POST`, async () => {
      const request = httpRequest(`${gateway.url}/v1/track`, { method, agent: false })
      request.end()
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      assert.deepEqual([response.statusCode, response.headers.allow], [405, 'POST'])
      if (method === 'HEAD') response.resume()
      else assert.equal(((await json(response)) as { code: string }).code, 'method_not_allowed')
    })
  }

  test('no POST is answered with a redirect, and every error is a JSON object with code and message', async () => {
    const cases: [string, unknown, Record<string, string>, number][] = [
      ['/v1/nothing', {}, {}, 404],
      ['/v1/projects', {}, {}, 404],
      ['/v1/track', 'null', {}, 400],
      ['/v1/track', message, { authorization: 'Basic bm9ib2R5Og==' }, 401],
      ['/v1/track', message, { 'content-encoding': 'br' }, 400],
      ['/v1/batch', { batch: {} }, {}, 400],
    ]
    for (const [path, body, headers, expected] of cases) {
      const answer = await gateway.post(path, body, { ...headers, origin: 'https://shop.example' })
      assert.equal(answer.status, expected, path)
      assert.equal(answer.json['success'], false)
      for (const name of ['code', 'message', 'error']) assert.equal(typeof answer.json[name], 'string')
      assert.equal(answer.headers.get('access-control-allow-origin'), 'https://shop.example')
      assert.equal(answer.headers.get('access-control-expose-headers'), 'Retry-After')
    }
  })

  test('a client that waits for 100 Continue gets it, and then its 200', async () => {
    const request = httpRequest(`${gateway.url}/v1/track`, {
      method: 'POST',
      headers: { expect: '100-continue' },
      agent: false,
    })
    request.flushHeaders()
    await once(request, 'continue')
    request.end(JSON.stringify(message))
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.deepEqual([response.statusCode, await json(response)], [200, { success: true }])
  })

  test('requests that were sent at once over one connection are answered in their order', async () => {
    const socket = connect(gateway.port, '127.0.0.1')
    const post = (path: string, body: string, close = '') =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\n${close}Content-Length: ${body.length}\r\n\r\n${body}`
    const good = JSON.stringify(message)
    socket.write(post('/v1/track', good) + post('/v1/track', '{') + post('/v1/track', good, 'Connection: close\r\n'))
    let answers = ''
    for await (const chunk of socket) answers += String(chunk)
    assert.deepEqual(
      [...answers.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status),
      ['200', '400', '200'],
    )
  })
})
