import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isLoadedTo, isSentTo, optionsFor } from './integrations.ts'
import type { JsonObject } from './message.ts'

test('a message goes to a destination unless its integrations say no', () => {
  const cases: [JsonObject, boolean][] = [
    [{}, true],
    [{ All: true }, true],
    [{ All: false }, false],
    [{ All: false, Mixpanel: true }, true],
    [{ All: false, Mixpanel: { token: 1 } }, true],
    [{ All: true, Mixpanel: false }, false],
    [{ Mixpanel: false }, false],
    [{ Intercom: false }, true],
    [{ All: false, Intercom: true }, false],
    [{ All: false, mixpanel: true }, false],
    [{ all: false }, true],
    [{ 'Segment.io': false }, true],
  ]
  for (const [integrations, expected] of cases)
    assert.equal(isSentTo(integrations, ['Mixpanel']), expected, JSON.stringify(integrations))
})

test('odd values say yes, except those that spell a no or nothing', () => {
  const cases: [unknown, boolean | 'nothing'][] = [
    [null, 'nothing'],
    ['', 'nothing'],
    ['true', true],
    ['false', false],
    [1, true],
    [0, false],
    [2, true],
    [-1, true],
    ['no', true],
    ['False', true],
    [[], true],
    [{}, true],
  ]
  for (const [value, said] of cases) {
    const text = JSON.stringify(value)
    assert.equal(isSentTo({ All: false, Mixpanel: value }, ['Mixpanel']), said === 'nothing' ? false : said, text)
    assert.equal(isSentTo({ All: true, Mixpanel: value }, ['Mixpanel']), said === 'nothing' ? true : said, text)
    assert.equal(isSentTo({ All: value }, ['Mixpanel']), said === 'nothing' ? true : said, `All: ${text}`)
  }
})

test('a destination answers to its former names, its present name first', () => {
  const names = ['Actions Mixpanel', 'Mixpanel']
  assert.equal(isSentTo({ Mixpanel: false }, names), false)
  assert.equal(isSentTo({ 'Actions Mixpanel': true, Mixpanel: false }, names), true)
  assert.equal(isSentTo({ 'Actions Mixpanel': null, Mixpanel: false }, names), false)
})

test('names that every object inherits are not found', () => {
  assert.equal(isSentTo({ All: false }, ['constructor', 'toString', '__proto__']), false)
  // What a parser makes of it: an own property.
  assert.equal(isSentTo(JSON.parse('{"All":true,"__proto__":false}') as JsonObject, ['__proto__']), false)
})

test('options are the object under the first name that says something', () => {
  assert.deepEqual(optionsFor({ Amplitude: { session_id: 1753 } }, ['Amplitude']), { session_id: 1753 })
  assert.deepEqual(optionsFor({ Old: { a: 1 } }, ['New', 'Old']), { a: 1 })
  assert.deepEqual(optionsFor({ New: true, Old: { a: 1 } }, ['New', 'Old']), {})
  assert.deepEqual(optionsFor({ Amplitude: 'yes' }, ['Amplitude']), {})
  assert.deepEqual(optionsFor({}, ['Amplitude']), {})
})

test('only the key Warehouses matters to a warehouse', () => {
  const cases: [JsonObject, boolean][] = [
    [{}, true],
    [{ All: false }, true],
    [{ All: false, DuckDB: false, wh_a: false }, true],
    [{ All: true, Warehouses: { all: false } }, false],
    [{ All: false, Warehouses: { all: true } }, true],
    [{ Warehouses: false }, false],
    [{ Warehouses: true }, true],
    [{ Warehouses: 'false' }, false],
    [{ Warehouses: 0 }, false],
    [{ Warehouses: null }, true],
    [{ Warehouses: '' }, true],
    [{ Warehouses: {} }, true],
    [{ Warehouses: { all: 'false' } }, false],
    [{ Warehouses: { all: null } }, true],
    [{ Warehouses: { warehouseIds: ['wh_a', 'wh_b'] } }, true],
    [{ Warehouses: { warehouseIds: ['local'] } }, true],
    [{ Warehouses: { warehouseIds: ['wh_b', 'unknown'] } }, false],
    [{ Warehouses: { warehouseIds: [] } }, false],
    [{ Warehouses: { all: false, warehouseIds: ['wh_a'] } }, true],
    [{ Warehouses: { all: true, warehouseIds: ['wh_b'] } }, false],
    [{ Warehouses: { warehouseIds: 'wh_b' } }, true],
    [{ warehouses: { all: false } }, true],
  ]
  for (const [integrations, expected] of cases) {
    assert.equal(isLoadedTo(integrations, ['wh_a', 'local']), expected, JSON.stringify(integrations))
  }
})

test('no integrations object makes a decision throw', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('All', 'X', 'Warehouses', '__proto__'), fc.jsonValue()),
      (integrations) => {
        assert.equal(typeof isSentTo(integrations, ['X', '__proto__']), 'boolean')
        assert.equal(typeof isLoadedTo(integrations, ['X']), 'boolean')
        optionsFor(integrations, ['X'])
      },
    ),
  )
})
