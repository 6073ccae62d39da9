import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tryGateway } from './testing/try-gateway.ts'

const good = { type: 'track', writeKey: 'KEY_1', userId: 'u1', event: 'Tested', messageId: 'm1' }
const nameless = { type: 'track', writeKey: 'KEY_1', userId: 'u1', messageId: 'm2' }
const strict = { isStrict: true as const }

test('a strict source is told what is wrong with a single call, which is not taken', async (t) => {
  const { post, stored, refused } = await tryGateway(t, { sources: [strict] })
  const { status, json } = await post('/v1/track', nameless)
  assert.equal(status, 400)
  assert.deepEqual(json, {
    success: false,
    code: 'invalid_message',
    message: 'The message is not valid: event_not_defined.',
    error: 'The message is not valid: event_not_defined.',
    results: [{ index: 0, messageId: 'm2', status: 'rejected', code: 'event_not_defined' }],
  })
  assert.deepEqual(await stored(), [])
  assert.deepEqual(await refused(), { invalid_message: 1 })
})

test('a batch of a strict source is taken, and the answer lists each message', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [strict] })
  const { status, json } = await post('/v1/batch', { batch: [good, nameless] })
  assert.deepEqual([status, json['success']], [200, true])
  assert.deepEqual(json['results'], [
    { index: 0, messageId: 'm1', status: 'accepted' },
    { index: 1, messageId: 'm2', status: 'rejected', code: 'event_not_defined' },
  ])
  assert.equal((await stored()).length, 1)
  assert.equal((await post('/v1/track', good)).status, 200)
})

test('a source that is not strict answers 200 and nothing else', async (t) => {
  const { post, stored } = await tryGateway(t)
  assert.equal((await post('/v1/track', nameless)).text, '{"success":true}')
  assert.equal((await stored()).length, 1)
})

test('what a disabled strict source sends is kept, and the answer says that it is rejected', async (t) => {
  const { post, stored } = await tryGateway(t, { sources: [{ ...strict, isEnabled: false }] })
  const { status, json } = await post('/v1/track', good)
  assert.equal(status, 200)
  assert.deepEqual(json['results'], [{ index: 0, messageId: 'm1', status: 'rejected', code: 'source_disabled' }])
  assert.equal((await stored())[0]?.head.verdict, 'source_disabled')
})
