/** Schema controls, OAuth apps, device mode and settings of websites: in the file, in the records, in the snapshot, in the API. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { sourceSettings } from './config-file/schemas.ts'
import { sourceKinds } from './source-types.ts'
import { configOf, tryStore } from './testing/try-store.ts'

function keyPair(modulusLength: number) {
  return generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
}

const { publicKey } = keyPair(2048)
const short = keyPair(1024)
const pem = JSON.stringify(publicKey)

const file = `
oauthApps:
  backend: { publicKeys: { key-1: ${pem} }, tokenLifetime: 2d }
sources:
  web:
    type: javascript
    labels: { environment: prod }
    settings: { deliveryStrategy: { strategy: batching, config: { size: 10 } } }
    schema: { blockedEvents: [Debug Ping], blockedTraits: [ssn], forwardBlockedEventsTo: audit }
  api: { type: http-api, oauth: { app: backend } }
  audit: { type: http-api }
destinations:
  hook: { source: web, type: webhook, settings: { url: 'https://example.org' }, consentCategories: [marketing] }
`

test('what the file says of collection reaches the snapshot, and its export changes nothing', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(file))
  const { sources, oauthApps, destinations } = await store.snapshot()
  const [web, api, audit] = sources
  assert.deepEqual(web?.schema, {
    blockedEvents: ['Debug Ping'],
    blockedTraits: ['ssn'],
    blockedGroupTraits: [],
    forwardBlockedEventsTo: audit?.number,
  })
  assert.deepEqual(web.browser, { deliveryStrategy: { strategy: 'batching', config: { size: 10 } } })
  const app = oauthApps?.[0]
  assert.deepEqual([app?.name, app?.tokenLifetimeSeconds, app?.scopes], ['backend', 172_800, ['tracking_api:write']])
  assert.deepEqual(app?.publicKeys, { 'key-1': publicKey })
  assert.deepEqual(api?.oauth, { app: app.id, isRequired: true })
  assert.deepEqual(destinations[0]?.consentCategories, ['marketing'])
  const exported = await store.exportConfig()
  assert.deepEqual((await store.applyConfig(await configOf(exported), { prune: true })).changes, [])
  assert.deepEqual((await store.snapshot()).sources, sources)
})

test('wrong references, kinds and keys are refused with their place', async () => {
  for (const [text, reason] of [
    [
      'sources: { a: { schema: { forwardBlockedEventsTo: a } } }',
      /sources\.a\.schema\.forwardBlockedEventsTo: .*itself/,
    ],
    ['sources: { a: { schema: { forwardBlockedEventsTo: b } } }', /There is no source "b"/],
    ['sources: { a: { schema: { forwardBlockedEventsTo: w } }, w: { type: javascript } }', /server-side source/],
    ['sources: { a: { type: ruby, oauth: { app: x } } }', /cannot use OAuth/],
    ['oauthApps: { x: { publicKeys: { k: nonsense } } }', /oauthApps\.x\.publicKeys\.k: is no public key/],
    [`oauthApps: { x: { publicKeys: { k: ${JSON.stringify(short.publicKey)} } } }`, /at least 2048 bits, not 1024/],
    [`oauthApps: { x: { publicKeys: { k: ${JSON.stringify(short.privateKey)} } } }`, /k: is a private key/],
    ['sources: { a: { settings: { plan: {} } } }', /Sources of type http-api have no settings/],
    [
      'sources: { w: { type: javascript, settings: { eventName: x } } }',
      /have no such setting; they have deliveryStrategy/,
    ],
    [
      "sources: { a: {} }\ndestinations: { d: { source: a, type: webhook, mode: device, settings: { url: 'https://e.org' } } }",
      /Device mode needs a source of type javascript|mode/,
    ],
  ] as const)
    await assert.rejects(configOf(text), (error: Error) => reason.test(error.message), text)
})

test('the kind of a source never changes', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf('sources: { a: { type: node } }'))
  await assert.rejects(store.applyConfig(await configOf('sources: { a: { type: python } }')), /never changes/)
})

test('the schema is edited by name or as a whole, unless the file owns it', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(file))
  await assert.rejects(store.changeSchema('web', { blockedEvents: { X: true } }), {
    code: 'managed_by_file',
    message: 'The schema of the source "web" is managed by the config file tributary.yaml.',
  })
  await store.changeSchema('api', {
    blockedEvents: { A: true, B: true },
    blockedTraits: ['ssn', 'address.street', 'ssn'],
    forwardBlockedEventsTo: 'audit',
  })
  const change = { blockedEvents: { A: false, C: true } }
  const view = await store.changeSchema('api', change)
  assert.deepEqual(view, {
    blockedEvents: ['B', 'C'],
    blockedTraits: ['ssn', 'address.street'],
    blockedGroupTraits: [],
    forwardBlockedEventsTo: 'audit',
  })
  assert.deepEqual(await store.changeSchema('api', change), view)
  assert.deepEqual((await store.changeSchema('api', { blockedEvents: ['D'] })).blockedEvents, ['D'])
  const cleared = await store.changeSchema('api', { forwardBlockedEventsTo: null })
  assert.equal(cleared.forwardBlockedEventsTo, undefined)
  await store.applyConfig(await configOf(file))
  assert.deepEqual((await store.readSource('api')).schema.blockedEvents, ['D'])
})

test('changes of a schema that cannot be are refused with a sentence for each mistake', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(file))
  for (const [body, message] of [
    [{ forwardBlockedEventsTo: 'web' }, /forwardBlockedEventsTo: Blocked events go to a server-side source/],
    [{ forwardBlockedEventsTo: 'api' }, /A source cannot forward to itself/],
    [{ blockedEvents: { X: 'yes' } }, /blockedEvents\.X: must be true or false, not text/],
    [{ blockedEvents: 'X' }, /blockedEvents: must be a section with keys, not text/],
    [{ blockedTraits: [''] }, /blockedTraits\[0\]: must not be empty/],
    [{ blockedEvent: ['X'] }, /blockedEvent: There is no such key; did you mean "blockedEvents"\?/],
    [{ blockedEvents: Array.from({ length: 4001 }, (_, i) => `e${i}`) }, /has at most 4000 names/],
    ['X', /the body: must be a section with keys/],
  ] as const)
    await assert.rejects(store.changeSchema('api', body), { code: 'bad_request', message })
  assert.deepEqual((await store.readSource('api')).schema.blockedEvents, [])
})

test('a file that names the schema takes it over, one that no longer does gives it back with what it said', async (t) => {
  const { store } = await tryStore(t)
  const withSchema = (schema: string) => configOf(`sources: { a: { writeKeys: [k]${schema} } }`)
  await store.applyConfig(await withSchema(''))
  await store.changeSchema('a', { blockedEvents: ['By hand'] })
  const plan = await store.applyConfig(await withSchema(', name: New, schema: { blockedEvents: [By file] }'))
  assert.deepEqual(
    plan.changes.map(({ action, slug, details }) => [action, slug, details]),
    [['change', 'a', ['name: "a" → "New"', 'schema.blockedEvents[0]: "By hand" → "By file"']]],
  )
  await assert.rejects(store.changeSchema('a', { blockedEvents: [] }), { code: 'managed_by_file' })
  await store.applyConfig(await withSchema(''))
  const given = await store.changeSchema('a', { blockedEvents: { Other: true } })
  assert.deepEqual(given.blockedEvents, ['By file', 'Other'])
  await store.applyConfig(await withSchema(', schema: {}'))
  await store.applyConfig(await configOf('sources: { b: {} }'))
  assert.deepEqual((await store.changeSchema('a', { blockedEvents: ['Free'] })).blockedEvents, ['Free'])
})

test('a source that others forward to cannot be deleted, and a file that prunes it ends the forwarding', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf('sources: { a: {} }'))
  await store.createSource({ slug: 'audit' })
  await store.changeSchema('a', { blockedEvents: ['X'], forwardBlockedEventsTo: 'audit' })
  await assert.rejects(store.deleteSource('audit'), { code: 'source_in_use', message: /the source a, which forwards/ })
  await store.applyConfig(await configOf('sources: { a: {} }'), { prune: true })
  assert.equal((await store.readSource('a')).schema.forwardBlockedEventsTo, undefined)
  const exported = await configOf(await store.exportConfig())
  assert.deepEqual((await store.applyConfig(exported, { prune: true })).changes, [])
})

test('a source made in the API goes into the warehouses, gets keys one by one, and is deleted when nothing uses it', async (t) => {
  const { store } = await tryStore(t)
  await store.makeFirstWorkspace()
  const made = await store.createSource({ slug: 'shop', type: 'node-js', labels: [{ key: 'brand', value: 'red' }] })
  assert.deepEqual([made.type, made.name, made.writeKeys.length, made.labels], ['node', 'shop', 1, { brand: 'red' }])
  const { sources, warehouses } = await store.snapshot()
  assert.deepEqual(warehouses[0]?.sources, [1, sources[1]?.number])
  await assert.rejects(store.createSource({ slug: 'shop', type: 'node' }), { code: 'slug_taken' })
  await assert.rejects(store.createSource({ slug: 'Shop' }), { code: 'bad_request', message: /^slug: A slug is/ })
  await assert.rejects(store.createSource({ slug: 'other', type: 'pyton' }), {
    code: 'unknown_type',
    message: 'There is no kind of source "pyton"; did you mean "python"?',
  })
  const second = await store.addWriteKey('shop')
  assert.equal(await store.addWriteKey('shop', { writeKey: 'from-segment' }), 'from-segment')
  await assert.rejects(store.createSource({ slug: 'other', writeKeys: [second] }), { code: 'write_key_taken' })
  await assert.rejects(store.addWriteKey('demo', { writeKey: second }), { code: 'write_key_taken' })
  await assert.rejects(store.addWriteKey('shop', { writeKey: 'a:b' }), { code: 'bad_request' })
  await store.removeWriteKey('shop', made.writeKeys[0]!)
  await assert.rejects(store.removeWriteKey('shop', 'nobodys'), { code: 'unknown_write_key' })
  assert.deepEqual((await store.readSource('shop')).writeKeys, [second, 'from-segment'])
  assert.deepEqual(
    (await store.snapshot()).sources.map(({ slug }) => slug),
    ['demo', 'shop'],
  )
  await store.deleteSource('shop')
  await assert.rejects(store.readSource('shop'), { code: 'source_not_found' })
  assert.deepEqual((await store.snapshot()).warehouses[0]?.sources, [1])
})

test('a source takes at most 100 write keys', async (t) => {
  const { store } = await tryStore(t)
  await store.makeFirstWorkspace()
  await store.createSource({ slug: 'shop', writeKeys: Array.from({ length: 100 }, (_, i) => `key-${i}`) })
  await assert.rejects(store.addWriteKey('shop'), { code: 'bad_request', message: /at most 100 write keys/ })
})

test('every setting of a source can be changed in the API, and is in the snapshot', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(`oauthApps: { backend: { publicKeys: [${pem}] } }`))
  await store.createSource({ slug: 'shop', type: 'node' })
  await store.changeSource('shop', {
    ...{ name: 'Shop', enabled: false, strict: true, ip: 'drop', limits: { eventsPerSecond: 5 } },
    ...{ labels: { environment: 'dev' }, oauth: { app: 'backend' } },
  })
  const [changed] = (await store.snapshot()).sources
  assert.deepEqual(
    [changed?.name, changed?.isEnabled, changed?.isStrict, changed?.ip, changed?.eventsPerSecond],
    ['Shop', false, true, 'drop', 5],
  )
  assert.equal(changed?.oauth?.isRequired, true)
  const back = await store.changeSource('shop', { enabled: true, limits: { eventsPerSecond: null }, oauth: null })
  assert.deepEqual([back.isEnabled, back.eventsPerSecond, back.oauth, back.name], [true, undefined, undefined, 'Shop'])
  for (const [body, message] of [
    [{ type: 'python' }, /type: There is no such key/],
    [{ labels: { '1st': 'x' } }, /labels\.1st: .*start with a letter/],
    [{ labels: { team: 'a b' } }, /labels\.team: A label is up to 100 letters/],
    [{ limits: { eventsPerSecond: 0 } }, /limits\.eventsPerSecond: must be more than 0/],
    [{ settings: { plan: {} } }, /settings\.plan: Sources of type node have no settings/],
    [{ name: '', ip: 'hide' }, /name: must not be empty\nip: must be "keep" or "mask" or "drop"/],
  ] as const)
    await assert.rejects(store.changeSource('shop', body), { code: 'bad_request', message })
  await assert.rejects(store.changeSource('shop', { oauth: { app: 'nobody' } }), { code: 'unknown_oauth_app' })
})

test('settings are merged, null takes one away, and bullets leave the token as it is', async (t) => {
  const { store } = await tryStore(t)
  await store.makeFirstWorkspace()
  const settings = { eventName: 'Paid', userId: { '@path': '$.body.customer' }, webhookToken: 'let-me-in' }
  const made = await store.createSource({ slug: 'billing', type: 'webhook', settings })
  assert.deepEqual(made.settings, { ...settings, webhookToken: '••••••••' })
  const hashOf = async () => (await store.snapshot()).sources[1]?.webhook?.tokenHash
  const hash = await hashOf()
  assert.match(hash ?? '', /^[0-9a-f]{64}$/)
  const changed = await store.changeSource('billing', { settings: { eventName: null, webhookToken: '••••••••' } })
  assert.deepEqual(changed.settings, { userId: { '@path': '$.body.customer' }, webhookToken: '••••••••' })
  assert.equal(await hashOf(), hash)
  await assert.rejects(store.changeSource('billing', { settings: { userId: { '@nothing': 1 } } }), {
    code: 'bad_request',
    message: /settings\.userId: .*@nothing/,
  })
  await store.changeSource('billing', { settings: { webhookToken: null } })
  assert.equal(await hashOf(), undefined)
})

test("a file takes Segment's words for a kind, refuses one that is none, and keys in a list get their thumbprint", async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf('sources: { a: { type: apple }, b: { type: website } }'))
  assert.deepEqual(
    (await store.snapshot()).sources.map(({ type, isClientSide }) => [type, isClientSide]),
    [
      ['swift', true],
      ['javascript', true],
    ],
  )
  await assert.rejects(
    configOf('sources: { a: { type: javascrpt } }'),
    /a\.type: There is no kind of source "javascrpt"; did you mean/,
  )
  await store.applyConfig(await configOf(`oauthApps: { x: { publicKeys: [${pem}] } }`))
  const [app] = (await store.snapshot()).oauthApps ?? []
  const [keyId = ''] = Object.keys(app?.publicKeys ?? {})
  assert.match(keyId, /^[A-Za-z0-9_-]{43}$/)
  const exported = await store.exportConfig()
  assert.deepEqual((await store.applyConfig(await configOf(exported), { prune: true })).changes, [])
  await assert.rejects(configOf('oauthApps: { x: { publicKeys: [nonsense] } }'), /publicKeys\.0: is no public key/)
})

test('kinds have ids and words of their own, and each setting of a kind is one that the file knows', () => {
  const words = sourceKinds.flatMap(({ id, slug, aliases }) => [id, slug, ...aliases])
  assert.equal(new Set(words).size, words.length)
  const known = Object.keys(sourceSettings.shape)
  for (const { slug, options } of sourceKinds)
    for (const { name } of options) assert.ok(known.includes(name), `${slug}: ${name}`)
})

test('a revoked token is in the snapshot until it would have expired', async (t) => {
  const tried = await tryStore(t)
  const { store } = tried
  await store.applyConfig(await configOf(file))
  await store.revokeToken('backend', 'aa')
  assert.deepEqual((await store.snapshot()).oauthApps?.[0]?.revokedTokens, ['aa'])
  tried.now += 3 * 86_400_000
  await store.revokeToken('backend', 'bb')
  assert.deepEqual((await store.snapshot()).oauthApps?.[0]?.revokedTokens, ['bb'])
  await assert.rejects(store.revokeToken('nobody', 'cc'), { code: 'unknown_oauth_app' })
})
