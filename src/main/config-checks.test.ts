import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configChecks } from './config-checks.ts'
import { openCatalog } from './outside.ts'

async function problemsOf(fields: Record<string, unknown>, action = 'send') {
  const { destination } = await configChecks(openCatalog())
  return destination('webhook', { url: 'https://example.org' }, [{ action, fields }])
}

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
