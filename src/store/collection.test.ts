/** Schema controls, OAuth apps, device mode and settings of websites: in the file, in the records, in the snapshot, in the API. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { configOf, tryStore } from './testing/try-store.ts'

const { publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
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

test('the schema is edited one name at a time, unless the file owns it', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(file))
  await assert.rejects(store.changeSchema('web', { events: { X: true } }), { code: 'managed_by_file' })
  await store.changeSchema('api', {
    events: { A: true, B: true },
    traits: { ssn: true },
    forwardBlockedEventsTo: 'audit',
  })
  const view = await store.changeSchema('api', { events: { A: false, C: true } })
  assert.deepEqual(view, {
    blockedEvents: ['B', 'C'],
    blockedTraits: ['ssn'],
    blockedGroupTraits: [],
    forwardBlockedEventsTo: 'audit',
  })
  assert.deepEqual(await store.changeSchema('api', { events: { C: true } }), view)
  await assert.rejects(store.changeSchema('api', { forwardBlockedEventsTo: 'web' }), { code: 'bad_request' })
  const cleared = await store.changeSchema('api', { forwardBlockedEventsTo: null })
  assert.equal(cleared.forwardBlockedEventsTo, undefined)
  await store.applyConfig(await configOf(file))
  assert.deepEqual((await store.readSource('api')).schema.blockedEvents, ['B', 'C'])
})

test('a source made in the API gets keys one by one, and is deleted when nothing uses it', async (t) => {
  const { store } = await tryStore(t)
  await store.makeFirstWorkspace()
  const made = await store.createSource({ slug: 'shop', type: 'node' })
  assert.equal(made.writeKeys.length, 1)
  await assert.rejects(store.createSource({ slug: 'shop', type: 'node' }), { code: 'slug_taken' })
  await assert.rejects(store.createSource({ slug: 'other', type: 'abacus' }), { code: 'unknown_type' })
  const second = await store.addWriteKey('shop')
  await store.removeWriteKey('shop', made.writeKeys[0]!)
  assert.deepEqual((await store.readSource('shop')).writeKeys, [second])
  const changed = await store.changeSource('shop', { isEnabled: false, labels: { environment: 'dev' } })
  assert.deepEqual([changed.isEnabled, changed.labels], [false, { environment: 'dev' }])
  await assert.rejects(store.deleteSource('demo'), { code: 'source_in_use' })
  await store.deleteSource('shop')
  await assert.rejects(store.readSource('shop'), { code: 'source_not_found' })
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
