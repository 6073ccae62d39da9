import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { configOf, tryStore } from './testing/try-store.ts'

const environment = { HOOK_TOKEN: 'let-me-in-1' }
const file = (token = '${HOOK_TOKEN}') => `
sources:
  billing:
    type: webhook
    writeKeys: [BILLING_KEY]
    strict: true
    settings:
      eventName: { '@template': 'Billing {{body.type}}' }
      userId: { '@path': '$.body.customer' }
      webhookToken: ${token}
  api: { writeKeys: [API_KEY] }
`

test('a webhook source comes to the snapshot with its fields and the hash of its token', async (t) => {
  const { store, path } = await tryStore(t)
  await store.applyConfig(await configOf(file(), environment))
  const [billing, api] = (await store.snapshot()).sources
  assert.deepEqual(billing?.webhook, {
    fields: { event: { '@template': 'Billing {{body.type}}' }, userId: { '@path': '$.body.customer' } },
    tokenHash: createHash('sha256').update('let-me-in-1').digest('hex'),
  })
  assert.deepEqual([billing?.isStrict, api?.isStrict, api?.webhook], [true, undefined, undefined])
  assert.ok(!(await readFile(path)).includes('let-me-in-1'))
})

test('the export of a webhook source changes nothing, whether its token came from the environment or not', async (t) => {
  const { store } = await tryStore(t)
  for (const text of [file(), file('typed-in-here')]) {
    await store.applyConfig(await configOf(text, environment))
    const before = await store.snapshot()
    const exported = await store.exportConfig()
    assert.ok(!exported.includes('typed-in-here') && !exported.includes('let-me-in-1'))
    assert.deepEqual((await store.applyConfig(await configOf(exported, environment), { prune: true })).changes, [])
    assert.deepEqual(await store.snapshot(), before)
  }
})

test('another token and the end of strictness are shown as changes, without the token', async (t) => {
  const { store } = await tryStore(t)
  await store.applyConfig(await configOf(file(), environment))
  const plan = await store.applyConfig(
    await configOf(file('other').replace('strict: true', 'strict: false'), environment),
  )
  assert.deepEqual(plan.changes[0]?.details, [
    'strict: true → not set',
    'settings.webhookToken: •••••••• → another secret',
  ])
})

test('settings of a source of another type, broken directives and bullets for nothing are refused', async (t) => {
  const { store } = await tryStore(t)
  await assert.rejects(
    configOf('sources:\n  api:\n    settings: { eventName: x }\n'),
    /:3: sources\.api\.settings\.eventName: Sources of type http-api have no settings\./,
  )
  await assert.rejects(
    configOf('sources:\n  hook:\n    type: webhook\n    settings: { userId: { "@nothing": 1 } }\n'),
    /sources\.hook\.settings\.userId: .*@nothing/,
  )
  await assert.rejects(
    configOf('sources:\n  hook:\n    type: webhook\n    settings: { event: x }\n'),
    /settings\.event: There is no such key; known are eventName/,
  )
  const bullets = await configOf('sources:\n  hook:\n    type: webhook\n    settings: { webhookToken: "••••••••" }\n')
  await assert.rejects(store.applyConfig(bullets), /settings\.webhookToken: The bullets stand for a stored token/)
})
