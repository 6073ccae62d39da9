import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openSettings, readSecretKey } from '../base/secrets.ts'
import { configOf, tryStore } from './testing/try-store.ts'

const environment = { CI_TOKEN: 'token-of-ci', HOOK_SECRET: 'hush-hush-1', HEADER: 'hush-hush-2' }
const whole = `
workspace: { name: Acme, slug: acme }
tokens:
  ci: { token: \${CI_TOKEN}, role: Workspace Owner }
sources:
  web: { name: Website, type: javascript, writeKeys: [WEB_KEY], ip: mask, limits: { eventsPerSecond: 5 } }
  api: { name: Backend, type: http-api,   writeKeys: [API_KEY, API_KEY_2] }
destinations:
  crm-hook:
    source: web
    type: webhook
    enabled: true
    settings: { url: https://example.org/hook, sharedSecret: \${HOOK_SECRET}, note: "costs $\${PRICE}" }
    mappings:
      - { action: send, trigger: 'type = "track"', fields: { url: https://example.org/hook, headers: { Authorization: "Bearer \${HEADER}" } } }
      - { name: second, action: send, trigger: 'type = "page"', enabled: false }
    filters:
      - { title: drop staff, if: 'match(context.traits.email, "*@acme.example")', actions: [{ type: DROP }] }
    delivery: { retryWindowHours: 0.5, ordered: true }
    auth: { accessToken: access-me, refreshToken: refresh-me }
warehouses:
  local: { type: duckdb, sources: [web, api], settings: { path: warehouse.duckdb, password: plain-hush }, schedule: every 1m }
egress:
  allow: [127.0.0.1/32]
  sink: http://127.0.0.1:5999
limits: { eventsPerSecond: 1000, batchMessagesMax: 2500 }
archive: { enabled: false }
`
const secretTexts = ['token-of-ci', 'hush-hush-1', 'hush-hush-2', 'plain-hush', 'access-me', 'refresh-me']

test('the first workspace has a source with a write key and a local warehouse', async (t) => {
  const { store } = await tryStore(t)
  assert.equal(await store.isEmpty(), true)
  const { writeKey } = await store.makeFirstWorkspace()
  assert.equal(await store.isEmpty(), false)
  const { workspaces, sources, warehouses } = await store.snapshot()
  assert.deepEqual(
    workspaces.map(({ number, slug, name }) => [number, slug, name]),
    [[1, 'default', 'My workspace']],
  )
  assert.deepEqual(sources[0]?.writeKeys, [writeKey])
  assert.deepEqual(
    warehouses.map(({ number, slug, type, settings, schedule, sources }) => [
      number,
      slug,
      type,
      settings,
      schedule,
      sources,
    ]),
    [[1, 'local', 'duckdb', { path: 'warehouse.duckdb' }, 'every 1m', [1]]],
  )
})

test('a file becomes the snapshot it describes', async (t) => {
  const tried = await tryStore(t)
  tried.ends = { 0: 42 }
  const plan = await tried.store.applyConfig(await configOf(whole, environment))
  assert.equal(plan.isEmpty, false)
  const { workspaces, sources, destinations, warehouses, settings } = await tried.store.snapshot()
  assert.equal(workspaces[0]?.eventsPerSecond, 1000)
  assert.deepEqual(
    sources.map(({ slug, isClientSide, writeKeys, ip, eventsPerSecond }) => [
      slug,
      isClientSide,
      writeKeys,
      ip,
      eventsPerSecond,
    ]),
    [
      ['web', true, ['WEB_KEY'], 'mask', 5],
      ['api', false, ['API_KEY', 'API_KEY_2'], 'keep', undefined],
    ],
  )
  const [hook] = openSettings(destinations, [readSecretKey('a key')])
  assert.deepEqual(hook?.settings, {
    url: 'https://example.org/hook',
    sharedSecret: 'hush-hush-1',
    note: 'costs ${PRICE}',
  })
  assert.deepEqual(hook?.auth, { accessToken: 'access-me', refreshToken: 'refresh-me' })
  assert.deepEqual(
    hook?.mappings?.map(({ name, isEnabled, fields }) => [name, isEnabled, fields]),
    [
      ['send', true, { url: 'https://example.org/hook', headers: { Authorization: 'Bearer hush-hush-2' } }],
      ['second', false, {}],
    ],
  )
  assert.deepEqual(hook?.delivery, { retryWindowHours: 0.5, ordered: true })
  assert.deepEqual(hook?.start, { 0: 42 })
  assert.deepEqual(warehouses[0]?.sources, [1, 2])
  assert.deepEqual(settings.egress, { allow: ['127.0.0.1/32'], sink: 'http://127.0.0.1:5999' })
  assert.equal(settings.limits.batchMessagesMax, 2500)
  assert.equal(settings.limits.messageBytesMax, 32_768)
  assert.equal(settings.archive.isEnabled, false)
})

test('the same file twice, and its export, change nothing', async (t) => {
  const { store } = await tryStore(t)
  const config = await configOf(whole, environment)
  await store.applyConfig(config)
  const before = await store.snapshot()
  assert.deepEqual((await store.applyConfig(config, { prune: true })).changes, [])
  const exported = await store.exportConfig()
  const again = await store.applyConfig(await configOf(exported, environment), { prune: true })
  assert.deepEqual(again.changes, [], again.text)
  assert.deepEqual(await store.snapshot(), before)
  assert.equal(await store.exportConfig(), exported)
})

test('secrets are sealed on disk and in the snapshot file, and absent from plans and exports', async (t) => {
  const { store, path, directory } = await tryStore(t)
  const plan = await store.applyConfig(await configOf(whole, environment))
  await store.publish(join(directory, 'snapshot.json'))
  const changed = await store.planConfig(
    await configOf(whole.replace('plain-hush', 'other-hush'), { ...environment, HOOK_SECRET: 'other-1' }),
  )
  assert.match(changed.text, /settings\.sharedSecret: •+ → another secret/)
  const files = [path, `${path}-wal`, join(directory, 'snapshot.json')].map((name) => readFile(name, 'latin1'))
  const texts = [
    ...(await Promise.all(files)),
    plan.text,
    JSON.stringify(plan),
    JSON.stringify(changed),
    await store.exportConfig(),
  ]
  for (const secret of [...secretTexts, 'other-hush', 'other-1']) {
    for (const [i, text] of texts.entries()) assert.ok(!text.includes(secret), `${secret} in text ${i}`)
  }
  for (const file of [path, `${path}-wal`, join(directory, 'snapshot.json')]) {
    assert.equal((await stat(file)).mode & 0o777, 0o600, file)
  }
})

test('an export names the environment where the file did, and has bullets for other secrets', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(whole, environment))
  const text = await store.exportConfig()
  assert.match(text, /sharedSecret: \$\{HOOK_SECRET\}/)
  assert.match(text, /Authorization: Bearer \$\{HEADER\}/)
  assert.match(text, /token: \$\{CI_TOKEN\}/)
  assert.match(text, /password: ••••••••/)
  assert.match(text, /note: costs \$\$\{PRICE\}/)
})

test('bullets where nothing is stored are refused, and nothing changes', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(whole, environment))
  const before = await store.snapshot()
  const text = `${whole.replace('warehouses:', 'warehouses:\n  other: { type: duckdb, sources: [web], settings: { password: •••••••• } }')}`
  await assert.rejects(store.applyConfig(await configOf(text, environment)), {
    code: 'config_invalid',
    status: 400,
    message:
      'tributary.yaml: warehouses.other.settings.password: The bullets stand for a stored secret, but none is stored here.',
  })
  assert.deepEqual(await store.snapshot(), before)
})

test('editing a destination keeps its number, start and mapping ids; another source makes it a new connection', async (t) => {
  const tried = await tryStore(t)
  const { store } = tried
  await store.applyConfig(await configOf(whole, environment))
  const [first] = (await store.snapshot()).destinations
  tried.ends = { 0: 7 }
  const edit = whole.replace('https://example.org/hook,', 'https://example.org/two,').replace('drop staff', 'drop us')
  const plan = await store.applyConfig(await configOf(edit, environment))
  assert.deepEqual(plan.changes, [
    {
      action: 'change',
      kind: 'destination',
      slug: 'crm-hook',
      details: [
        'settings.url: "https://example.org/hook" → "https://example.org/two"',
        'filters[0].title: "drop staff" → "drop us"',
      ],
    },
  ])
  const [edited] = (await store.snapshot()).destinations
  assert.deepEqual([edited?.number, edited?.start], [first?.number, {}])
  assert.deepEqual(
    edited?.mappings?.map(({ id }) => id),
    first?.mappings?.map(({ id }) => id),
  )
  await store.applyConfig(await configOf(whole.replace('source: web', 'source: api'), environment))
  const [moved] = (await store.snapshot()).destinations
  assert.notEqual(moved?.number, first?.number)
  assert.deepEqual([moved?.source, moved?.start], [2, { 0: 7 }])
})

test('what the file does not name stays without prune, goes with it, and its number is never given again', async (t) => {
  const { store } = await tryStore(t)
  await store.makeFirstWorkspace()
  const config = await configOf(
    'sources: { web: { writeKeys: [k] } }\nwarehouses: { main: { type: duckdb, sources: [web] } }',
  )
  const plan = await store.applyConfig(config)
  assert.deepEqual(
    plan.changes.map(({ action, kind, slug }) => `${action} ${kind} ${slug}`),
    ['unmanaged warehouse local', 'unmanaged source demo', 'create source web', 'create warehouse main'],
  )
  const pruning = await store.planConfig(config, { prune: true })
  assert.deepEqual(
    pruning.changes.map(({ action, kind, slug }) => `${action} ${kind} ${slug}`),
    ['delete warehouse local', 'delete source demo'],
  )
  assert.equal((await store.snapshot()).sources.length, 2)
  await store.applyConfig(await configOf(''), { prune: true })
  await store.applyConfig(config)
  const { sources, warehouses } = await store.snapshot()
  assert.deepEqual([sources[0]?.number, warehouses[0]?.number], [3, 3])
})

test('a plan promises what an apply does, and changes nothing itself', async (t) => {
  const { store } = await tryStore(t)
  const config = await configOf(whole, environment)
  const plan = await store.planConfig(config)
  assert.equal(await store.isEmpty(), true)
  assert.deepEqual((await store.applyConfig(config)).text, plan.text)
})

test('the number of the snapshot grows with each change and only then', async (t) => {
  const tried = await tryStore(t)
  const path = join(tried.directory, 'run', 'snapshot.json')
  await tried.store.makeFirstWorkspace()
  const first = await tried.store.publish(path)
  tried.now += 1000
  assert.deepEqual(await tried.store.publish(path), first)
  await tried.reopen()
  assert.deepEqual(await tried.store.publish(path), first)
  await tried.store.applyConfig(await configOf('sources: { web: {} }'))
  const second = await tried.store.publish(path)
  assert.equal(second.number, first.number + 1)
  assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), second)
})

test('a stored secret says so when the key is wrong, and the file that has it mends it', async (t) => {
  const tried = await tryStore(t)
  const config = await configOf(whole, environment)
  await tried.store.applyConfig(config)
  const other = [readSecretKey('another')] as const
  await tried.reopen(other)
  const { destinations } = await tried.store.snapshot()
  assert.throws(() => openSettings(destinations, other), { code: 'secret_key_wrong' })
  await tried.store.applyConfig(config)
  const mended = openSettings((await tried.store.snapshot()).destinations, other)
  assert.equal(mended[0]?.settings['sharedSecret'], 'hush-hush-1')
})

test('write keys can move between sources of one file, but not be taken from a stored source', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf('sources: { a: { writeKeys: [k1] }, b: { writeKeys: [k2] } }'))
  await store.applyConfig(await configOf('sources: { a: { writeKeys: [k2] }, b: { writeKeys: [k1] } }'))
  const { sources } = await store.snapshot()
  assert.deepEqual(
    sources.map(({ writeKeys }) => writeKeys),
    [['k2'], ['k1']],
  )
  await assert.rejects(store.applyConfig(await configOf('sources: { c: { writeKeys: [k1] } }')), {
    message: 'tributary.yaml: sources.c.writeKeys[0]: The stored source "b" has this write key.',
  })
})

test('a source without write keys gets one and keeps it', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf('sources: { a: {} }'))
  const [before] = (await store.snapshot()).sources
  assert.match(before?.writeKeys[0] ?? '', /^[0-9a-f]{32}$/)
  await store.applyConfig(await configOf('sources: { a: { name: Other } }'))
  assert.deepEqual((await store.snapshot()).sources[0]?.writeKeys, before?.writeKeys)
})

test('a sign-in link works once within its day, and a session ends', async (t) => {
  const tried = await tryStore(t)
  const { store } = tried
  const link = await store.createSignInLink()
  const [session, second] = await Promise.all([store.useSignInLink(link), store.useSignInLink(link)])
  assert.equal(second, undefined)
  assert.ok(session !== undefined && (await store.isSession(session)))
  assert.equal(await store.isSession(link), false)
  const late = await store.createSignInLink()
  tried.now += 25 * 3_600_000
  assert.equal(await store.useSignInLink(late), undefined)
  tried.now += 30 * 24 * 3_600_000
  assert.equal(await store.isSession(session), false)
})

test('a token of the file is known by its text', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(whole, environment))
  assert.deepEqual(
    { ...(await store.checkToken('token-of-ci')) },
    { name: 'ci', role: 'Workspace Owner', workspace: 1 },
  )
  assert.equal(await store.checkToken('another'), undefined)
})

test('migrations run again harmlessly, and concurrent changes do not mix', async (t) => {
  const tried = await tryStore(t)
  await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (slug) => tried.store.applyConfig(await configOf(`sources: { ${slug}: {} }`))),
  )
  await tried.reopen()
  const { workspaces, sources } = await tried.store.snapshot()
  assert.deepEqual([workspaces.length, sources.map(({ slug }) => slug).sort()], [1, ['a', 'b', 'c', 'd']])
})
