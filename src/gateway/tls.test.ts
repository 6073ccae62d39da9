import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { IncomingMessage } from 'node:http'
import { defaultDeployment } from '../snapshot/index.ts'
import { selfSigned } from '../../test/support/self-signed.ts'
import { tryGateway } from './testing/try-gateway.ts'

const message = JSON.stringify({ type: 'track', writeKey: 'KEY_1', userId: 'u1', event: 'Tested', messageId: 'm1' })

test('with a certificate of its own the gateway speaks TLS to whoever trusts it', async (t) => {
  const tls = selfSigned({ withAddress: true })
  const { port, stored } = await tryGateway(t, { options: { tls } })
  const options = { host: '127.0.0.1', port, path: '/v1/track', method: 'POST', agent: false }
  const request = httpsRequest({ ...options, ca: tls.certificate })
  request.end(message)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  assert.deepEqual([response.statusCode, await text(response)], [200, '{"success":true}'])
  assert.equal((await stored()).length, 1)
  const untrusting = httpsRequest(options)
  untrusting.end(message)
  await assert.rejects(once(untrusting, 'response'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
})

test('plain HTTP to a TLS port ends, and the next client is served', async (t) => {
  const tls = selfSigned({ withAddress: true })
  const { port } = await tryGateway(t, { options: { tls } })
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.end('POST /v1/track HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'close')
  const request = httpsRequest({ host: '127.0.0.1', port, path: '/health/live', ca: tls.certificate, agent: false })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  assert.equal(response.statusCode, 200)
})

test('behind a proxy the client is the right-most address that no trusted proxy has', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [{ isClientSide: true }] })
  const chains = [
    ['203.0.113.9', '203.0.113.9'],
    ['6.6.6.6, 203.0.113.9', '203.0.113.9'],
    ['203.0.113.9, 127.0.0.1, 127.8.9.10', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['not an address', '127.0.0.1'],
    ['', '127.0.0.1'],
  ] as const
  for (const [forwarded] of chains) await post('/v1/track', message, { 'x-forwarded-for': forwarded })
  assert.deepEqual(
    (await stored()).map(({ head }) => head.ip),
    chains.map(([, expected]) => expected),
  )
})

test('a client that is no trusted proxy cannot choose its address', async (t) => {
  const settings = { ingest: { ...defaultDeployment.ingest, trustedProxies: ['10.0.0.0/8'] } }
  const { post, stored } = await tryGateway(t, { settings, sources: [{ isClientSide: true }] })
  await post('/v1/track', message, { 'x-forwarded-for': '203.0.113.9' })
  assert.equal((await stored())[0]?.head.ip, '127.0.0.1')
})
