import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SendOptions } from '../../../src/kit/index.ts'
import { send } from './send.ts'

/** What a request would have been. */
function recorder() {
  const sent: ({ url: string } & SendOptions)[] = []
  const request = async (url: string, options: SendOptions) => {
    sent.push({ url, ...options })
    return { status: 200, headers: {}, body: '' }
  }
  return { sent, request }
}

const settings = { url: 'https://hook.example.org/', sharedSecret: 'secret' }

test('a whole message keeps its bytes: order, digits, escapes and space', async () => {
  const { sent, request } = recorder()
  const json = '{"b":1, "a":12345678901234567890.10,"c":"\\u00e9"}'
  await send.perform(request, { payload: {}, settings, messagesJson: [json] })
  await send.performBatch?.(request, { payload: [{}, {}], settings, messagesJson: [json, '{}'] })
  assert.deepEqual(
    sent.map(({ body }) => body),
    [json, `[${json},{}]`],
  )
})

test('batching is off until it is asked for, 1,000 when it is, 4,000 at most', () => {
  const sizes: [Record<string, unknown>, number][] = [
    [{}, 1],
    [{ batch_size: 0 }, 1],
    [{ batch_size: 1 }, 1],
    [{ batch_size: -5 }, 1],
    [{ batch_size: 2 }, 2],
    [{ batch_size: 100, enable_batching: false }, 100],
    [{ batch_size: 9999 }, 4000],
    [{ enable_batching: false }, 1],
    [{ enable_batching: true }, 1000],
    [{ enable_batching: true, batch_size: 0 }, 1000],
    [{ enable_batching: true, batch_size: 1 }, 1000],
    [{ enable_batching: true, batch_size: 50 }, 50],
  ]
  for (const [payload, size] of sizes) assert.equal(send.batchSizeMax?.(payload), size, JSON.stringify(payload))
})

test('messages share a batch when URL, method and headers are the same', () => {
  const key = (payload: Record<string, unknown>) => send.batchKey?.(payload, settings)
  const payload = { url: 'https://a.example/', method: 'POST', headers: { a: '1' } }
  assert.equal(key(payload), key({ ...payload, data: { other: true } }))
  for (const other of [{ url: 'https://b.example/' }, { method: 'PUT' }, { headers: { a: '2' } }, { headers: {} }]) {
    assert.notEqual(key(payload), key({ ...payload, ...other }))
  }
})

test('data that came to nothing is not sent as null', async () => {
  const { sent, request } = recorder()
  const payload = { data: null }
  await assert.rejects(send.perform(request, { payload, settings, messagesJson: ['{}'] }), { name: 'BadPayload' })
  assert.equal(sent.length, 0)
})

test('a URL that cannot be read is a fault of the settings, and is not repeated', async () => {
  const { request } = recorder()
  const payload = { url: 'secret-token' }
  await assert.rejects(send.perform(request, { payload, settings, messagesJson: ['{}'] }), (error: Error) => {
    assert.equal(error.name, 'BadSettings')
    assert.doesNotMatch(error.message, /secret-token/)
    return true
  })
})

test('our signature cannot be overwritten, except where we make none', async () => {
  const { sent, request } = recorder()
  const payload = { headers: { 'x-signature': 'forged' } }
  await send.perform(request, { payload, settings, messagesJson: ['{}'] })
  await send.perform(request, { payload, settings: { url: settings.url }, messagesJson: ['{}'] })
  assert.match(sent[0]?.headers?.['X-Signature'] ?? '', /^[0-9a-f]{40}$/)
  assert.equal(sent[0]?.headers?.['x-signature'], undefined)
  assert.equal(sent[1]?.headers?.['x-signature'], 'forged')
})
