/** The mapping language against Segment's own cases (read in place, so not part of `npm test`; `.ci/run` calls it). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flattenObject } from '../../src/language/flatten.ts'
import { compileMappingValue, validateMapping } from '../../src/language/mapping.ts'
import { readFixtures, type FixtureCase } from './shared-fixtures.ts'

const { cases, schema_fixtures: schemas = [] } = readFixtures('segment-mapping-kit.segment.json')
assert.equal(cases.length, 136, 'the fixtures hold all cases')
assert.equal(schemas.length, 31, 'the fixtures hold all valid and invalid mappings')

for (const [index, fixture] of cases.entries()) {
  // Two entries expect a JavaScript function, which JSON does not hold; the entry after each has the same input.
  if (isFunction(fixture.toThrow)) continue
  test(`${fixture.fn} ${index}: ${fixture.test}`, () => check(fixture))
}

for (const { name, valid, mapping, expectError } of schemas) {
  test(`the mapping ${name} is ${valid ? 'taken' : 'refused, with the same words as Segment'}`, () => {
    const sentences = validateMapping(mapping).map(({ path, problem }) => `${path} ${problem}.`)
    assert.deepEqual(sentences, expectError === undefined ? [] : [expectError].flat())
  })
}

function check({ fn, args, ...expected }: FixtureCase): void {
  const run = () => (fn === 'flattenObject' ? flatten(args) : compileMappingValue(args[0])(args[1] ?? {}))
  if ('toThrow' in expected) assert.throws(run)
  else assert.deepEqual(run(), 'toEqual' in expected ? expected.toEqual : expected.toStrictEqual)
}

function flatten(args: unknown[]): unknown {
  return flattenObject(...(args as Parameters<typeof flattenObject>))
}

function isFunction(value: unknown): boolean {
  return typeof value === 'object' && value !== null && '$function' in value
}
