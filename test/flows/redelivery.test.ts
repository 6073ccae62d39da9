/** An operator sends dead letters again: by the command line and by the API (design.md §3: discarded → waiting). */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { DeadLetterAnswer, DeliveryHistoryAnswer, RedeliveryAnswer } from '../../src/api/index.ts'
import { assertBalanced, type ConnectionStatus, type Status } from '../support/accounting.ts'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

let vendor: FakeVendor
let platform: Platform

before(async () => {
  vendor = await fakeVendor()
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
tokens: { ops: { token: ops-token }, viewer: { token: viewer-token, role: Source Read-only } }
sources: { api: { type: http-api, writeKeys: [API_KEY] } }
destinations:
  hook: { source: api, type: webhook, settings: { url: "${vendor.url}" } }
egress: { allow: [127.0.0.1/32] }
`,
  })
})
after(async () => {
  await platform.dispose()
  await vendor.close()
})

async function send(event: string, ids: string[]): Promise<void> {
  const batch = ids.map((messageId) => ({ type: 'track', messageId, userId: 'u', event }))
  const headers = { authorization: `Basic ${Buffer.from('API_KEY:').toString('base64')}` }
  const response = await fetch(`${platform.url}/v1/batch`, { method: 'POST', headers, body: JSON.stringify({ batch }) })
  assert.equal(response.status, 200)
}

async function until(predicate: (status: ConnectionStatus) => boolean): Promise<ConnectionStatus> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const status = (await platform.json('status')) as Status
    assertBalanced(status)
    const hook = status.connections.find(({ destination }) => destination === 'hook')
    if (hook !== undefined && predicate(hook)) return hook
    await wait(100)
  }
  throw new Error('not reached')
}

async function api(
  method: string,
  path: string,
  body?: unknown,
  token = 'ops-token',
): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(`${platform.url}/tributary/v1/destinations/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, answer: await response.json() }
}

test('dead letters are listed with what the destination answered, counted, and sent again', async () => {
  vendor.answerWith({ status: 400, body: 'no such contact' })
  await send('Ordered', ['dead-1', 'dead-2'])
  await until(({ deadLetters }) => deadLetters === 2)
  vendor.answerWith(422)
  await send('Refunded', ['dead-3'])
  await until(({ deadLetters }) => deadLetters === 3)

  const letters = (await platform.json('dead-letters', 'hook', '--code', '400')) as DeadLetterAnswer[]
  assert.deepEqual(letters.map(({ messageId }) => messageId).sort(), ['dead-1', 'dead-2'])
  assert.deepEqual([letters[0]?.event, letters[0]?.status, letters[0]?.detail], ['Ordered', 400, 'no such contact'])

  const counted = await platform.cli('redeliver', 'hook', '--event', 'Ordered', '--dry-run')
  assert.equal(counted.stdout.trim(), '2 messages would be sent again.')
  vendor.answerWith(200)
  const { code, stdout, stderr } = await platform.cli('redeliver', 'hook', '--event', 'Ordered', '--wait')
  assert.equal(code, 0, stderr)
  assert.match(stdout, /2 messages put back, done/)
  const status = await until(({ delivered }) => delivered === 2)
  assert.deepEqual([status.discarded, status.deadLetters, status.waiting], [{ 422: 1 }, 1, 0])
  const trace = await platform.cli('trace', 'dead-1')
  assert.match(trace.stdout, /REDELIVERY/)
})

test('the history of the destination tells both', async () => {
  const { stdout } = await platform.cli('history', 'hook', '--window', '10m')
  assert.match(stdout, /total +2 +3 /)
  assert.match(stdout, /discarded 422: 1/)
  const { status, answer } = await api('GET', 'hook/history?window=24h')
  const { totals } = answer as DeliveryHistoryAnswer
  assert.deepEqual([status, totals.delivered, totals.discarded], [200, 2, { 400: 2, 422: 1 }])
  assert.equal((await api('GET', 'hook/history?window=1y')).status, 400)
})

test('the API does the same, says what is wrong, and needs a token', async () => {
  assert.equal((await fetch(`${platform.url}/tributary/v1/destinations/hook/dead-letters`)).status, 401)
  const listed = (await api('GET', 'hook/dead-letters')).answer as { deadLetters: DeadLetterAnswer[] }
  assert.deepEqual(
    listed.deadLetters.map(({ messageId, code }) => [messageId, code]),
    [['dead-3', '422']],
  )
  assert.equal((await api('GET', 'hook/redeliveries', undefined, 'viewer-token')).status, 200)
  assert.equal((await api('POST', 'hook/redeliveries', {}, 'viewer-token')).status, 403)
  assert.equal((await api('DELETE', 'hook/redeliveries/none', undefined, 'viewer-token')).status, 403)
  assert.deepEqual((await api('POST', 'hook/redeliveries', { dryRun: true })).answer, { matched: 1 })
  const wrong = await api('POST', 'hook/redeliveries', { from: 'yesterday' })
  assert.deepEqual([wrong.status, (wrong.answer as { code: string }).code], [400, 'bad_request'])
  assert.equal((await api('POST', 'nowhere/redeliveries', {})).status, 404)
  const ordered = await api('POST', 'hook/redeliveries', { codes: ['422'] })
  assert.equal(ordered.status, 201)
  assert.equal((ordered.answer as RedeliveryAnswer).matched, 1)
  await until(({ delivered }) => delivered === 3)
  const { redeliveries } = (await api('GET', 'hook/redeliveries')).answer as { redeliveries: RedeliveryAnswer[] }
  assert.deepEqual(
    redeliveries.map(({ taken }) => taken),
    [2, 1],
  )
  assert.equal((await api('DELETE', 'hook/redeliveries/none')).status, 404)
})
