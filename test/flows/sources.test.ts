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
tokens:
  ops: { token: ops-token }
  viewer: { token: viewer-token, role: Source Read-only }
sources: { api: { type: http-api, writeKeys: [API_KEY] } }
`,
  })
})
after(() => platform.dispose())

async function api(
  method: string,
  path: string,
  body?: unknown,
  token = 'ops-token',
): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(`${platform.url}/tributary/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
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
  const { writeKey: brought } = (await api('POST', 'sources/shop/write-keys', { writeKey: 'brought-along' }))
    .answer as {
    writeKey: string
  }
  await untilAnswered(200, brought)
  const changed = await api('PATCH', 'sources/shop', { labels: { environment: 'prod' }, enabled: false })
  const { createdAt, id, workspaceId, ...shown } = changed.answer as Record<string, unknown>
  assert.deepEqual(shown, {
    slug: 'shop',
    name: 'Shop',
    enabled: false,
    metadata: {
      ...{ id: 'U9mT0bPcI6', slug: 'node', name: 'Node.js', categories: ['Server'] },
      ...{ isCloudEventSource: false, status: 'PUBLIC' },
    },
    writeKeys: [second, brought],
    settings: {},
    labels: [{ key: 'environment', value: 'prod' }],
    limits: {},
    strict: false,
    ip: 'keep',
    oauth: null,
    schema: { blockedEvents: [], blockedTraits: [], blockedGroupTraits: [] },
    managedBy: null,
    schemaManagedBy: null,
  })
  assert.match(
    `${String(id)} ${String(workspaceId)} ${String(createdAt)}`,
    /^src_\w+ wks_\w+ \d{4}-\d\d-\d\dT[\d:.]+Z$/,
  )
  for (let attempt = 0; ; attempt++) {
    await send(second, `disabled-${attempt}`)
    const { sources } = (await platform.json('status')) as Status
    if ((sources['shop']?.rejected['source_disabled'] ?? 0) > 0) break
    assert.ok(attempt < 50)
    await wait(50)
  }
  const { stdout } = await platform.cli('sources')
  assert.match(stdout, /shop +node +off .*environment:prod/)
  assert.deepEqual(
    await platform.json('sources'),
    ((await api('GET', 'sources')).answer as { sources: unknown }).sources,
  )
  assert.match((await platform.cli('export')).stdout, /shop:\n(.*\n)+? +environment: prod/)
  assert.equal((await api('DELETE', 'sources/shop')).status, 200)
  await untilAnswered(401, second)
})

test('what the file owns is refused with the name of the file, and so is nonsense', async () => {
  const refused = await api('PATCH', 'sources/api', { name: 'Other' })
  const { code, message } = refused.answer as { code: string; message: string }
  assert.deepEqual([refused.status, code], [409, 'managed_by_file'])
  assert.match(message, /The source "api" is managed by the config file .*tributary\.yaml\./)
  assert.equal((await api('PATCH', 'sources/api/schema-controls', { blockedEvents: { Ping: true } })).status, 200)
  assert.deepEqual((await api('GET', 'sources/api/schema-controls')).answer, {
    blockedEvents: ['Ping'],
    blockedTraits: [],
    blockedGroupTraits: [],
  })
  assert.equal((await api('PATCH', 'sources/api/schema-controls', { blockedEvents: 'Ping' })).status, 400)
  assert.equal((await api('GET', 'sources/nowhere')).status, 404)
  assert.equal((await api('GET', 'sources/%zz')).status, 400)
  assert.equal((await fetch(`${platform.url}/tributary/v1/sources`)).status, 401)
})

test('a token that may only read sees no write keys and changes nothing', async () => {
  const { answer } = await api('GET', 'sources/api', undefined, 'viewer-token')
  assert.deepEqual((answer as { writeKeys: string[] }).writeKeys, [])
  for (const [method, path, body] of [
    ['POST', 'sources', { slug: 'sneaky' }],
    ['POST', 'sources/api/write-keys', undefined],
    ['PATCH', 'sources/api/schema-controls', { blockedEvents: [] }],
    ['DELETE', 'sources/api', undefined],
  ] as const) {
    const refused = await api(method, path, body, 'viewer-token')
    assert.deepEqual([refused.status, (refused.answer as { code: string }).code], [403, 'forbidden'], path)
  }
})

test('the kinds of sources are listed with their settings', async () => {
  const { kinds } = (await api('GET', 'source-kinds')).answer as {
    kinds: { id: string; slug: string; options: { name: string }[] }[]
  }
  const website = kinds.find(({ slug }) => slug === 'javascript')
  assert.deepEqual(
    [website?.id, website?.options.map(({ name }) => name)],
    ['IqDTy1TpoU', ['deliveryStrategy', 'plan', 'deviceModeFilters']],
  )
})
