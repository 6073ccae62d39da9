import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configChecks } from './config-checks.ts'
import { openCatalog } from './outside.ts'

async function problemsOf(fields: Record<string, unknown>, action = 'send') {
  const { destination } = await configChecks(openCatalog())
  return destination('webhook', { url: 'https://example.org' }, [{ action, trigger: 'type = "track"', fields }])
}

test('a destination in the page is checked by what its bundle takes and what pages can decide', async () => {
  const { destination, defaultMode } = await configChecks(openCatalog())
  assert.equal(await defaultMode?.('heap'), 'device')
  assert.equal(await defaultMode?.('webhook'), 'cloud')
  const filter = (condition: string) => ({
    ...{ title: 'x', if: condition, isEnabled: true },
    actions: [{ type: 'DROP' as const }],
  })
  const check = (trigger: string, fields: Record<string, unknown>, condition = 'event = "Test"', settings = {}) =>
    destination('heap', { appId: '42', ...settings }, [{ action: 'trackEvent', trigger, fields }], {
      mode: 'device',
      filters: [filter(condition)],
    })
  const fields = { name: { '@path': '$.event' } }
  assert.deepEqual(await check('type = "track"', fields), [])
  assert.deepEqual(await check('type = "track"', { name: { '@json': { mode: 'encode', value: 'x' } } }), [
    { path: 'mappings.0.fields', problem: 'Web pages do not know the directive @json.' },
  ])
  assert.deepEqual(await check('length(event) > 3', fields, '!(type = "track")'), [
    {
      path: 'mappings.0.trigger',
      problem:
        'Web pages cannot decide this: a condition compares one of type, event, name, userId, properties…, traits…, context… with a value.',
    },
  ])
  assert.deepEqual(await check('type = "track"', fields, 'lowercase(event) = "x"', { appid: '1' }), [
    '"appid" is not a setting of this connector. Known are: appId, disableTextCapture, secureCookie, trackingServer, hostname, browserArrayLimit.',
    { path: 'filters.0', problem: 'Web pages cannot decide this: anything but a path before the operator.' },
  ])
  await assert.rejects(destination('webhook', {}, [], { mode: 'device', filters: [] }), {
    code: 'unknown_destination_type',
    hint: /heap/,
  })
})

test('a mapping that uses fields of its action, plain, by directive or by path, is fine', async () => {
  const fields = {
    url: { '@template': 'https://example.org/{{userId}}' },
    method: 'PUT',
    batch_size: '10',
    'headers.X-Team': 'growth',
    data: { id: { '@path': '$.messageId' }, plain: 1 },
    enable_batching: null,
  }
  assert.deepEqual(await problemsOf(fields), [])
})

test('an unknown action, an unknown field and a value that can never fit are told with their place', async () => {
  assert.deepEqual(await problemsOf({}, 'sendd'), [
    { path: 'mappings[0].action', problem: 'The type "webhook" has no action "sendd"; it has send.' },
  ])
  assert.deepEqual(await problemsOf({ urll: 'https://example.org', method: 'GET', batch_size: 'many' }), [
    {
      path: 'mappings[0].fields.urll',
      problem: 'There is no such field; the action has url, method, data, headers, enable_batching, batch_size.',
    },
    {
      path: 'mappings[0].fields.method',
      problem: '"method" should be one of POST, PUT, PATCH, and the text given is not.',
    },
    {
      path: 'mappings[0].fields.batch_size',
      problem: '"batch_size" should be a whole number, and the text given is not.',
    },
  ])
})
