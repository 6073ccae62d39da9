/** The main job: an unmodified Segment SDK sends, a webhook receives in real time, SQL over the local warehouse shows it. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Analytics } from '@segment/analytics-node'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { assertBalanced, type Status } from '../support/accounting.ts'

let vendor: FakeVendor
let platform: Platform
before(async () => {
  vendor = await fakeVendor()
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
sources:
  api: { name: Backend, type: http-api, writeKeys: [API_KEY] }
destinations:
  hook:
    source: api
    type: webhook
    settings: { url: "${vendor.url}", sharedSecret: "\${HOOK_SECRET}" }
warehouses:
  local: { type: duckdb, sources: [api], settings: { path: warehouse.duckdb }, schedule: every 10s }
egress: { allow: [127.0.0.1/32] }
`,
    environment: { HOOK_SECRET: 'sesame' },
  })
})
after(async () => {
  await platform.dispose()
  await vendor.close()
})

test('every call of the SDK reaches the webhook, signed, and becomes its row', async () => {
  const analytics = new Analytics({ writeKey: 'API_KEY', host: platform.url, flushInterval: 50 })
  analytics.identify({ userId: 'u1', traits: { email: 'zoë@example.com', plan: 'pro', address: { city: '東京' } } })
  analytics.track({
    userId: 'u1',
    event: 'Order Completed',
    properties: { orderId: 'o1', total: 30.5, products: [{ sku: 'G' }] },
  })
  analytics.page({ userId: 'u1', name: 'Pricing', category: 'Docs', properties: { url: 'https://x.io/p' } })
  analytics.screen({ userId: 'u1', name: 'Home' })
  analytics.group({ userId: 'u1', groupId: 'org9', traits: { name: 'Acme', employees: 20 } })
  analytics.alias({ userId: 'u1', previousId: 'a1' })
  await analytics.closeAndFlush()

  await vendor.until((v) => v.messages().length === 6)
  const types = vendor.messages().map((message) => message['type'])
  assert.deepEqual([...types].sort(), ['alias', 'group', 'identify', 'page', 'screen', 'track'])
  for (const { body, headers } of vendor.requests) {
    assert.equal(headers['x-signature'], createHmac('sha1', 'sesame').update(body).digest('hex'))
    assert.equal(headers['content-type'], 'application/json')
  }

  assert.equal((await platform.cli('sync', 'local')).code, 0)
  const one = async (sql: string) => ((await platform.json('sql', sql)) as Record<string, unknown>[])[0]
  assert.deepEqual(await one('select event, event_text, order_id, total, products, user_id from api.order_completed'), {
    event: 'order_completed',
    event_text: 'Order Completed',
    order_id: 'o1',
    total: 30.5,
    products: '[{"sku":"G"}]',
    user_id: 'u1',
  })
  assert.deepEqual(await one('select id, email, plan, address_city from api.users'), {
    id: 'u1',
    email: 'zoë@example.com',
    plan: 'pro',
    address_city: '東京',
  })
  assert.deepEqual(await one('select name, category, url from api.pages'), {
    name: 'Pricing',
    category: 'Docs',
    url: 'https://x.io/p',
  })
  assert.deepEqual(await one('select name from api.screens'), { name: 'Home' })
  assert.deepEqual(await one('select id, name, employees from api.accounts'), {
    id: 'org9',
    name: 'Acme',
    employees: 20,
  })
  assert.deepEqual(await one('select previous_id, user_id from api.aliases'), { previous_id: 'a1', user_id: 'u1' })
})

test('a message is traced through every stage', async () => {
  const track = vendor.messages().find((message) => message['type'] === 'track')
  assert.ok(track !== undefined)
  const { stdout, code } = await platform.cli('trace', track.messageId)
  assert.equal(code, 0)
  for (const part of ['api', 'hook', '200', 'local']) assert.ok(stdout.includes(part), `${part} in\n${stdout}`)
  assert.ok((await platform.cli('trace', track.messageId, '--json')).stdout.includes('"hook"'))
})

test('the accounting is exact and nothing waits', async () => {
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  assert.deepEqual(status.sources['api'], {
    received: 6,
    rejected: {},
    duplicate: 0,
    dropped: {},
    processed: 6,
    waiting: 0,
  })
  assert.equal(status.connections.length, 2)
  for (const connection of status.connections)
    assert.deepEqual([connection.received, connection.delivered, connection.waiting], [6, 6, 0])
  assert.equal((await platform.cli('doctor')).code, 0)
})

test('a bad message is put aside, a duplicate is counted, and both are traced', async () => {
  const headers = { authorization: `Basic ${Buffer.from('API_KEY:').toString('base64')}` }
  const batch = [
    { type: 'track', messageId: 'good-1', userId: 'u', event: 'Fine' },
    { type: 'track', messageId: 'bad-1', userId: 'u' },
    { type: 'track', messageId: 'good-1', userId: 'u', event: 'Fine' },
  ]
  assert.equal(
    (await fetch(`${platform.url}/v1/batch`, { method: 'POST', headers, body: JSON.stringify({ batch }) })).status,
    200,
  )
  await vendor.until((v) => v.messages().some((message) => message.messageId === 'good-1'))
  const status = (await platform.json('status')) as Status
  assert.deepEqual(status.sources['api'], {
    received: 9,
    rejected: { event_not_defined: 1 },
    duplicate: 1,
    dropped: {},
    processed: 7,
    waiting: 0,
  })
  assertBalanced(status)
  assert.match((await platform.cli('trace', 'bad-1')).stdout, /event_not_defined/)
  assert.match((await platform.cli('trace', 'good-1')).stdout, /duplicate/)
  assert.equal(vendor.messages().filter((message) => message.messageId === 'good-1').length, 1)
})

test('config as code: apply is idempotent, export round-trips, a bad file changes nothing and names the line', async () => {
  const config = `${platform.directory}/tributary.yaml`
  const again = await platform.cli('apply', config)
  assert.equal(again.code, 0, again.stderr)
  assert.match(again.stdout, /no changes|nothing to change|unchanged/i)
  const exported = await platform.cli('export')
  assert.equal(exported.code, 0)
  assert.ok(!exported.stdout.includes('sesame'), 'secrets are not exported')
  const { writeFile } = await import('node:fs/promises')
  const bad = `${platform.directory}/bad.yaml`
  await writeFile(
    bad,
    'workspace: { name: Acme, slug: acme }\nsources:\n  web: { name: Web, type: javascript, writeKeys: [W] }\ndestinations:\n  x: { source: nowhere, type: webhook, settings: {} }\n',
  )
  const refused = await platform.cli('apply', bad)
  assert.equal(refused.code, 2)
  assert.match(refused.stderr + refused.stdout, /5/)
  assert.match(refused.stderr + refused.stdout, /nowhere/)
})

test('after SIGTERM the raw log holds every message, gzipped by source and day, without write keys', async () => {
  assert.equal(await platform.stop(), 0)
  const { readdir, readFile } = await import('node:fs/promises')
  const { gunzipSync } = await import('node:zlib')
  const root = `${platform.dataDirectory}/archive/segment-logs`
  const objects = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.gz'))
  assert.ok(objects.length > 0)
  const lines: string[] = []
  for (const name of objects) {
    assert.match(name, /^src_[^/]+\/\d{13}\/\d+\.\d+\.\d+\.gz$/)
    lines.push(
      ...gunzipSync(await readFile(`${root}/${name}`))
        .toString()
        .trimEnd()
        .split('\n'),
    )
  }
  assert.equal(lines.length, 7)
  assert.ok(!lines.join().includes('API_KEY'))
})
