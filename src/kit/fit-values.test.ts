import assert from 'node:assert/strict'
import { test } from 'node:test'
import { field, type Field } from './field.ts'
import { checkSettings, fitValue, fitValues } from './fit-values.ts'

const labels = { label: 'L', description: 'D' }

test('a value with one obvious reading is converted, any other is refused', () => {
  const cases: [Field, unknown, unknown][] = [
    [field.string(labels), 5, '5'],
    [field.string(labels), true, 'true'],
    [field.string(labels), {}, undefined],
    [field.string(labels), [], undefined],
    [field.password(labels), 'p', 'p'],
    [field.number(labels), '1.5', 1.5],
    [field.number(labels), ' ', undefined],
    [field.number(labels), '1e999', undefined],
    [field.number(labels), 'one', undefined],
    [field.integer(labels), '7', 7],
    [field.integer(labels), 7.5, undefined],
    [field.boolean(labels), 'true', true],
    [field.boolean(labels), 0, false],
    [field.boolean(labels), 'yes', undefined],
    [field.datetime(labels), '2026-01-01', '2026-01-01'],
    [field.datetime(labels), {}, undefined],
    [field.object(labels), { a: 1 }, { a: 1 }],
    [field.object(labels), '{}', undefined],
    [field.string({ ...labels, multiple: true }), 'one', ['one']],
    [field.integer({ ...labels, multiple: true }), ['1', 2], [1, 2]],
    [field.integer({ ...labels, multiple: true }), ['1', 'x'], undefined],
    [field.string({ ...labels, choices: [{ label: 'A', value: 'a' }] }), 'a', 'a'],
    [field.string({ ...labels, choices: [{ label: 'A', value: 'a' }] }), 'b', undefined],
    [field.string({ ...labels, format: 'uri' }), 'https://a.example/', 'https://a.example/'],
    [field.string({ ...labels, format: 'uri' }), '', ''],
    [field.string({ ...labels, format: 'uri' }), 'a.example', undefined],
    [field.string({ ...labels, format: 'email' }), 'a@b', 'a@b'],
    [field.string({ ...labels, format: 'email' }), 'a b@c', undefined],
    [field.string({ ...labels, format: 'hostname' }), 'db-1.internal', 'db-1.internal'],
    [field.string({ ...labels, format: 'hostname' }), 'a..b', undefined],
    [
      field.string({ ...labels, format: 'uuid' }),
      '0190d5b4-9c1e-7a2b-8f00-0123456789ab',
      '0190d5b4-9c1e-7a2b-8f00-0123456789ab',
    ],
  ]
  for (const [of, given, fitted] of cases)
    assert.deepEqual(fitValue(of, given), fitted, `${of.type} ${JSON.stringify(given)}`)
})

test('every problem is told at once, without the values', () => {
  const fields = {
    host: field.string({ ...labels, required: true, format: 'hostname' }),
    port: field.integer({ ...labels, required: true }),
    secret: field.password({ ...labels, required: true }),
    ssl: field.string({ ...labels, choices: ['off', 'on'].map((value) => ({ label: value, value })) }),
  }
  const given = { port: 'se-cret', secret: ['se-cret'], ssl: 'maybe', extra: 1, __proto__: null }
  const { values, problems } = fitValues(fields, given)
  assert.deepEqual(values, {})
  assert.deepEqual(problems, [
    '"host" is required but it is missing.',
    '"port" should be a whole number, and the text given is not.',
    '"secret" should be a text, and the list given is not.',
    '"ssl" should be one of off, on, and the text given is not.',
  ])
  assert.deepEqual(checkSettings(fields, { host: 'h', port: 1, secret: '', sll: 'on' }), [
    '"sll" is not a setting of this connector. Known are: host, port, secret, ssl.',
    '"secret" is required but it is empty.',
  ])
})

test('null counts as missing and stays, unknown values are left out', () => {
  const fields = { a: field.string(labels), b: field.number(labels) }
  assert.deepEqual(fitValues(fields, { a: null, b: '2', c: 3, constructor: 4 }), {
    values: { a: null, b: 2 },
    problems: [],
  })
})
