/** Sources in the API of a running product: made, keyed, labelled, disabled, deleted. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { type Status } from '../support/accounting.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

let platform: Platform

before(async () => {
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
tokens: { ops: { token: ops-token } }
sources: { api: { type: http-api, writeKeys: [API_KEY] } }
`,
  })
})
after(() => platform.dispose())

async function api(method: string, path: string, body?: unknown): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(`${platform.url}/tributary/v1/${path}`, {
    method,
    headers: { authorization: 'Bearer ops-token' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, answer: await response.json() }
}

async function send(key: string, messageId: string): Promise<number> {
  const headers = { authorization: `Basic ${Buffer.from(`${key}:`).toString('base64')}` }
  const body = JSON.stringify({ userId: 'u', event: 'E', messageId })
  return (await fetch(`${platform.url}/v1/track`, { method: 'POST', headers, body })).status
}

/** A change is with the gateway within a second. */
async function untilAnswered(status: number, key: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    if ((await send(key, `probe-${attempt}-${key}`)) === status) return
    await wait(50)
  }
  assert.fail(`never ${status}`)
}

test('a source made by the API takes events, its keys come and go, and it can be disabled', async () => {
  const made = await api('POST', 'sources', { slug: 'shop', type: 'node', name: 'Shop' })
  assert.equal(made.status, 201)
  const [first = ''] = (made.answer as { writeKeys: string[] }).writeKeys
  await untilAnswered(200, first)
  const { writeKey: second } = (await api('POST', 'sources/shop/write-keys')).answer as { writeKey: string }
  await untilAnswered(200, second)
  assert.equal((await api('DELETE', `sources/shop/write-keys/${first}`)).status, 200)
  await untilAnswered(401, first)
  const changed = await api('PATCH', 'sources/shop', { labels: { environment: 'prod' }, enabled: false })
  assert.deepEqual((changed.answer as { labels: unknown }).labels, [{ key: 'environment', value: 'prod' }])
  for (let attempt = 0; ; attempt++) {
    await send(second, `disabled-${attempt}`)
    const { sources } = (await platform.json('status')) as Status
    if ((sources['shop']?.rejected['source_disabled'] ?? 0) > 0) break
    assert.ok(attempt < 50)
    await wait(50)
  }
  const { stdout } = await platform.cli('sources')
  assert.match(stdout, /shop +node +off .*environment:prod/)
  assert.match((await platform.cli('export')).stdout, /shop:\n(.*\n)+? +environment: prod/)
  assert.equal((await api('DELETE', 'sources/shop')).status, 200)
  await untilAnswered(401, second)
})

test('what the file owns is refused, and so is nonsense', async () => {
  const refused = await api('PATCH', 'sources/api', { name: 'Other' })
  assert.deepEqual([refused.status, (refused.answer as { code: string }).code], [409, 'managed_by_file'])
  assert.equal((await api('PATCH', 'sources/api/schema-controls', { events: { Ping: true } })).status, 200)
  assert.deepEqual((await api('GET', 'sources/api/schema-controls')).answer, {
    blockedEvents: ['Ping'],
    blockedTraits: [],
    blockedGroupTraits: [],
  })
  assert.equal((await api('PATCH', 'sources/api/schema-controls', { events: ['Ping'] })).status, 400)
  assert.equal((await api('GET', 'sources/nowhere')).status, 404)
  assert.equal((await fetch(`${platform.url}/tributary/v1/sources`)).status, 401)
})
