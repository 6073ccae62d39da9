import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createCatalog } from './catalog.ts'

const ours = createCatalog({ directory: fileURLToPath(new URL('../../connectors', import.meta.url)) })
const temporary = await mkdtemp(join(tmpdir(), 'tributary-catalog-'))
after(() => rm(temporary, { recursive: true }))

/** Writes a destination folder with this index.ts. */
async function addDestination(type: string, source: string): Promise<void> {
  await mkdir(join(temporary, 'destinations', type), { recursive: true })
  await writeFile(join(temporary, 'destinations', type, 'index.ts'), source)
}

test('every folder is a type, and every type loads', async () => {
  const { destinations, warehouses } = await ours.listTypes()
  assert.ok(destinations.includes('webhook'))
  for (const type of destinations) assert.ok((await ours.destination(type)).name)
  for (const type of warehouses) assert.ok((await ours.warehouse(type)).name)
})

test('a destination is loaded once', async () => {
  assert.equal(await ours.destination('webhook'), await ours.destination('webhook'))
})

for (const type of ['webhok', '', '..', '../warehouses/duckdb', 'webhook/', 'constructor']) {
  test(`the unknown type ${JSON.stringify(type)} is refused and the known ones are listed`, async () => {
    await assert.rejects(ours.destination(type), { code: 'unknown_destination_type', hint: /webhook/ })
    await assert.rejects(ours.warehouse(type), { code: 'unknown_warehouse_type' })
  })
}

test('settings are checked with sentences for people', async () => {
  assert.deepEqual(
    await ours.checkDestinationSettings('webhook', { url: 'https://example.org/', sharedSecret: 's' }),
    [],
  )
  assert.deepEqual(await ours.checkDestinationSettings('webhook', { uri: 'https://example.org/', url: 'here' }), [
    '"uri" is not a setting of this connector. Known are: url, sharedSecret.',
    '"url" should be a URL, beginning with https:// or another scheme, and the text given is not.',
  ])
})

test('no connectors at all is an empty list', async () => {
  const empty = createCatalog({ directory: join(temporary, 'nowhere') })
  assert.deepEqual(await empty.listTypes(), { destinations: [], warehouses: [] })
  await assert.rejects(empty.destination('webhook'), { hint: 'No destination connectors are installed.' })
})

test('a folder without a sound definition harms only itself, and says what is wrong', async () => {
  const catalog = createCatalog({ directory: temporary })
  await addDestination('throws', 'throw new Error("no such vendor")')
  await addDestination('nothing', 'export const a = 1')
  await addDestination(
    'unsound',
    `export default { name: 'X', description: ' ', settings: {}, actions: {}, presets: [
      { name: 'P', action: 'send', trigger: 'type = "track"', fields: {} } ] }`,
  )
  await assert.rejects(catalog.destination('throws'), { code: 'broken_connector', message: /no such vendor/ })
  await assert.rejects(catalog.destination('nothing'), { code: 'broken_connector', message: /no default export/ })
  await assert.rejects(catalog.destination('unsound'), {
    code: 'broken_connector',
    message: /has no description\. The destination has no action\. Preset "P" names the action "send"/,
  })
})

test('a folder that is added later is found', async () => {
  const catalog = createCatalog({ directory: temporary })
  await assert.rejects(catalog.destination('late'), { code: 'unknown_destination_type' })
  await addDestination(
    'late',
    `export default { name: 'Late', description: 'Came later.', settings: {}, presets: [],
      actions: { send: { title: 'Send', description: 'Sends.', fields: {}, perform() {} } } }`,
  )
  assert.equal((await catalog.destination('late')).name, 'Late')
})
