/** Stories about connections and sources that change while messages flow (design.md §3, "how it is counted"). */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { assertBalanced, type ConnectionStatus, type Status } from '../support/accounting.ts'

let vendor: FakeVendor
let platform: Platform
let sent = 0

const base = (destinations: string) => `
workspace: { name: Acme, slug: acme }
sources:
  api: { name: Backend, type: http-api, writeKeys: [API_KEY] }
destinations:
${destinations}
warehouses:
  local: { type: duckdb, sources: [api], settings: { path: warehouse.duckdb }, schedule: every 10s }
egress: { allow: [127.0.0.1/32] }
delivery: { retryFirstDelayMs: 100, retryMaxDelayMs: 500 }
`
const hook = (extra = '') => `  hook: { source: api, type: webhook, settings: { url: "${vendor.url}" }${extra} }`

before(async () => {
  vendor = await fakeVendor()
  platform = await startPlatform({ config: base(hook()) })
})
after(async () => {
  await platform.dispose()
  await vendor.close()
})

async function send(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => `life-${(sent += 1)}`)
  const batch = ids.map((messageId) => ({ type: 'track', messageId, userId: 'u', event: 'Lived' }))
  const headers = { authorization: `Basic ${Buffer.from('API_KEY:').toString('base64')}` }
  const response = await fetch(`${platform.url}/v1/batch`, { method: 'POST', headers, body: JSON.stringify({ batch }) })
  assert.equal(response.status, 200)
  return ids
}

async function apply(destinations: string, ...options: string[]): Promise<void> {
  const path = `${platform.directory}/changed.yaml`
  await writeFile(path, base(destinations))
  const { code, stderr, stdout } = await platform.cli('apply', path, ...options)
  assert.equal(code, 0, stderr + stdout)
}

async function connection(slug: string): Promise<ConnectionStatus | undefined> {
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  return status.connections.find((each) => each.destination === slug)
}

async function until(slug: string, predicate: (status: ConnectionStatus) => boolean): Promise<ConnectionStatus> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const status = await connection(slug)
    if (status !== undefined && predicate(status)) return status
    await wait(100)
  }
  throw new Error(`not reached: ${JSON.stringify(await connection(slug))}`)
}

test('a destination that fails keeps messages waiting, then gets them, each once', async () => {
  vendor.answerWith(503)
  const ids = await send(20)
  const waiting = await until('hook', (status) => status.waiting === 20)
  assert.equal(waiting.delivered, 0)
  vendor.answerWith(200)
  await until('hook', (status) => status.delivered === 20 && status.waiting === 0)
  const delivered = vendor.messages().map((message) => message.messageId)
  for (const id of ids) assert.ok(delivered.includes(id))
})

test('a refused message is discarded under its status, with a dead letter', async () => {
  vendor.answerWith(400)
  await send(3)
  const status = await until('hook', (each) => each.discarded['400'] === 3)
  assert.equal(status.deadLetters, 3)
  assert.equal(status.waiting, 0)
  vendor.answerWith(200)
})

test('a new connection starts at the tail and counts from its creation', async () => {
  await apply(`${hook()}\n  second: { source: api, type: webhook, settings: { url: "${vendor.url}/second" } }`)
  const ids = await send(4)
  const status = await until('second', (each) => each.delivered === 4)
  assert.equal(status.received, 4)
  const delivered = vendor.requests
    .filter((request) => request.path === '/hook/second')
    .map((request) => (JSON.parse(request.body) as { messageId: string }).messageId)
  assert.deepEqual(delivered.sort(), ids.sort())
})

test('while disabled, messages are dropped as DESTINATION_DISABLED; enabled again, new ones go out', async () => {
  await apply(hook(', enabled: false'))
  const before = (await connection('hook'))?.dropped['DESTINATION_DISABLED'] ?? 0
  await send(5)
  await until('hook', (each) => each.dropped['DESTINATION_DISABLED'] === before + 5)
  await apply(hook())
  const { delivered } = (await connection('hook')) ?? assert.fail()
  await send(2)
  await until('hook', (each) => each.delivered === delivered + 2)
})

test('filters and mappings decide, and the codes say so', async () => {
  await apply(`  filtered:
    source: api
    type: webhook
    settings: { url: "${vendor.url}/filtered" }
    mappings:
      - { action: send, trigger: 'event = "Wanted"', fields: { url: "${vendor.url}/filtered", method: PUT, data: { id: { '@path': $.messageId } } } }
    filters:
      - { title: no staff, if: 'properties.staff = true', actions: [{ type: DROP }] }
${hook()}`)
  const headers = { authorization: `Basic ${Buffer.from('API_KEY:').toString('base64')}` }
  const batch = [
    { type: 'track', messageId: 'f1', userId: 'u', event: 'Wanted' },
    { type: 'track', messageId: 'f2', userId: 'u', event: 'Wanted', properties: { staff: true } },
    { type: 'track', messageId: 'f3', userId: 'u', event: 'Other' },
    { type: 'track', messageId: 'f4', userId: 'u', event: 'Wanted', integrations: { All: false } },
    { type: 'track', messageId: 'f5', userId: 'u', event: 'Wanted', integrations: { Webhook: false } },
    { type: 'track', messageId: 'f6', userId: 'u', event: 'Wanted', integrations: { All: false, Webhooks: true } },
  ]
  await fetch(`${platform.url}/v1/batch`, { method: 'POST', headers, body: JSON.stringify({ batch }) })
  const status = await until('filtered', (each) => each.received === 6 && each.waiting === 0)
  assert.deepEqual(status.dropped, { FILTERED_BY_RULES: 1, NO_MATCHING_MAPPING: 1, FILTERED_BY_INTEGRATIONS_OBJECT: 2 })
  assert.equal(status.delivered, 2)
  const bodies = vendor.requests
    .filter((request) => request.path === '/hook/filtered')
    .map(({ method, body }) => `${method} ${body}`)
  assert.deepEqual(bodies.sort(), ['PUT {"id":"f1"}', 'PUT {"id":"f6"}'])
})

test('deleted with messages waiting: they are discarded as CONNECTION_DELETED and the others go on', async () => {
  vendor.answerWith((request) => (request.path === '/hook/filtered' ? 503 : 200))
  const headers = { authorization: `Basic ${Buffer.from('API_KEY:').toString('base64')}` }
  const body = JSON.stringify({ type: 'track', messageId: 'd1', userId: 'u', event: 'Wanted' })
  await fetch(`${platform.url}/v1/track`, { method: 'POST', headers, body })
  await until('filtered', (each) => each.waiting === 1)
  await apply(hook(), '--prune')
  for (
    let attempt = 0;
    attempt < 50 && !(await platform.cli('trace', 'd1')).stdout.includes('CONNECTION_DELETED');
    attempt++
  )
    await wait(100)
  assert.match((await platform.cli('trace', 'd1')).stdout, /CONNECTION_DELETED/)
  vendor.answerWith(200)
  const { delivered } = (await connection('hook')) ?? assert.fail()
  await send(1)
  await until('hook', (each) => each.delivered === delivered + 1)
})

test('a hanging destination delays only itself', async () => {
  vendor.answerWith((request) => (request.path === '/hook/hangs' ? 'hang' : 200))
  await apply(
    `${hook()}\n  hangs: { source: api, type: webhook, settings: { url: "${vendor.url}/hangs" }, delivery: { requestTimeoutMs: 500, retryWindowHours: 0.0005 } }`,
  )
  const { delivered } = (await connection('hook')) ?? assert.fail()
  const startedAt = Date.now()
  await send(50)
  await until('hook', (each) => each.delivered === delivered + 50)
  assert.ok(Date.now() - startedAt < 5_000)
  // Those that were tried have ended with the window; the others wait for a probe to get through.
  const hanging = await until('hangs', (each) => (each.discarded['ETIMEDOUT'] ?? 0) >= 5)
  assert.equal(hanging.delivered, 0)
})

test('a redirect is not followed and an address that is not allowed is never reached', async () => {
  vendor.answerWith((request) =>
    request.path === '/hook/moved' ? { status: 302, headers: { location: `${vendor.url}/elsewhere` } } : 200,
  )
  await apply(`${hook()}
  moved: { source: api, type: webhook, settings: { url: "${vendor.url}/moved" } }
  metadata: { source: api, type: webhook, settings: { url: "http://169.254.169.254/latest" } }`)
  await send(1)
  assert.deepEqual((await until('moved', (each) => each.waiting === 0 && each.received === 1)).discarded, { '302': 1 })
  assert.deepEqual((await until('metadata', (each) => each.waiting === 0 && each.received === 1)).discarded, {
    EGRESS_DENIED: 1,
  })
  assert.ok(vendor.requests.every((request) => request.path !== '/hook/elsewhere'))
})

test('a restart changes no figure', async () => {
  await until('hook', (each) => each.waiting === 0)
  assert.equal((await platform.cli('sync', 'local')).code, 0)
  const status = (await platform.json('status')) as Status
  await platform.stop()
  const again = await platform.restart()
  platform = again
  const after = (await platform.json('status')) as Status
  assert.deepEqual(after.sources, status.sources)
  // The hanging destination goes on being tried, and the warehouse says when it last looked.
  const figures = ({ connections }: Status) =>
    connections
      .filter((each) => each.destination !== 'hangs')
      .map((each) => ({ ...each, oldestWaitingSeconds: 0, lastSyncAt: undefined }))
  assert.deepEqual(figures(after), figures(status))
})
