/** Destinations that run in web pages: in the file, in the records, in the snapshot. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigChecks } from './index.ts'
import { configOf, lenientChecks, tryStore } from './testing/try-store.ts'

/** The type `heap` runs in pages only. */
const checks: ConfigChecks = {
  ...lenientChecks,
  defaultMode: async (type) => (type === 'heap' ? 'device' : 'cloud'),
}
const sources = 'sources: { web: { type: javascript }, shop: { type: javascript }, api: { type: http-api } }\n'
const read = (destinations: string, environment: Record<string, string> = {}) =>
  configOf(`${sources}destinations:\n${destinations}`, environment, checks)

test('a type that runs in pages only needs no mode, another one says it', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(
    await read(`
  heap: { source: web, type: heap, settings: { appId: '42' } }
  here: { source: web, type: webhook }
  there: { source: web, type: webhook, mode: device }`),
  )
  const { destinations } = await store.snapshot()
  assert.deepEqual(Object.fromEntries(destinations.map(({ slug, mode }) => [slug, mode])), {
    heap: 'device',
    here: undefined,
    there: 'device',
  })
  const exported = await configOf(await store.exportConfig(), {}, checks)
  assert.deepEqual((await store.applyConfig(exported, { prune: true })).changes, [])
})

test('only a website has pages', async () => {
  await assert.rejects(
    read('  heap: { source: api, type: heap }'),
    /destinations\.heap\.mode: Device mode needs a source/,
  )
})

test('a source has each type in its pages once', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await read('  one: { source: web, type: heap }\n  two: { source: shop, type: heap }'))
  const twice = await read('  one: { source: web, type: heap }\n  three: { source: web, type: heap }')
  await assert.rejects(
    store.applyConfig(twice),
    /destinations\.three\.mode: A source has one destination of type heap in its pages; "one"/,
  )
  assert.equal((await store.snapshot()).destinations.length, 2)
})

test('what a page gets is in the snapshot in the clear, and sealed or as it was written everywhere else', async (t) => {
  const { store } = await tryStore(t)
  const file = await read(
    `
  heap:
    source: web
    type: heap
    settings: { appId: '\${HEAP_APP}', api_key: public }
    mappings: [{ action: trackEvent, trigger: type = "track", fields: { name: '\${EVENT}' } }]
  hook: { source: web, type: webhook, settings: { sharedSecret: hidden } }`,
    { HEAP_APP: '4242', EVENT: 'Bought' },
  )
  await store.applyConfig(file)
  const [heap, hook] = (await store.snapshot()).destinations
  assert.deepEqual(heap?.settings, { appId: '4242', api_key: 'public' })
  assert.deepEqual(heap.mappings?.[0]?.fields, { name: 'Bought' })
  assert.ok(!JSON.stringify(hook).includes('hidden'))
  const exported = await store.exportConfig()
  assert.match(exported, /\${HEAP_APP\}/)
  assert.ok(!exported.includes('4242'))
})

test('a destination that goes from the server into the page is another connection', async (t) => {
  const tried = await tryStore(t)
  await tried.store.applyConfig(await read('  d: { source: web, type: webhook }'))
  const [before] = (await tried.store.snapshot()).destinations
  tried.ends = { 0: 50 }
  const plan = await tried.store.applyConfig(await read('  d: { source: web, type: webhook, mode: device }'))
  assert.ok(plan.changes[0]?.details.includes('a new connection: it starts from now'))
  const [inPage] = (await tried.store.snapshot()).destinations
  assert.notEqual(inPage?.number, before?.number)
  await tried.store.applyConfig(await read('  d: { source: web, type: webhook }'))
  const [after] = (await tried.store.snapshot()).destinations
  assert.notEqual(after?.number, inPage?.number)
  assert.deepEqual(after?.start, { 0: 50 })
})
