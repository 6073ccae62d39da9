import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFql } from './fql-evaluate.ts'
import { FQL_BYTES_MAX, FqlEvaluationError, type Expression } from './fql-expression.ts'
import { formatFql } from './fql-format.ts'
import { parseFql } from './fql-parse.ts'

const message = {
  type: 'track',
  event: 'Item Viewed',
  userId: null,
  properties: { price: 20, tags: ['new', 'sale'], on: true, 'price text': 'x', nested: { 'a.b': 1 }, ünï: 'u' },
  context: { ip: '1.2.3.4' },
  receivedAt: '2026-02-03T04:05:06.789Z',
}

/** The answer for the message above. */
function answer(text: string, about: Record<string, unknown> = message): boolean {
  const parsed = parseFql(text)
  assert.ok(parsed.ok, `${text}: ${parsed.ok ? '' : parsed.message}`)
  return compileFql(parsed.expression)(about)
}

const answers: [text: string, expected: boolean][] = [
  // The vectors of the contract (destinations.md §8.1).
  [`type = 'track' and event = 'Item Viewed'`, true],
  [`event = 'item viewed'`, false],
  [`properties.price > 10 and properties.price <= 20`, true],
  [`properties.price = '20'`, false],
  [`'sale' in properties.tags`, true],
  [`properties.on`, true],
  [`!properties.on or match(event, 'Item *')`, true],
  [`type in ['page', 'screen']`, false],
  [`length(userId) > 0`, false],
  [`typeof(userId) = 'null'`, true],
  [`typeof(properties.tags) = 'list' and length(properties.tags) = 2`, true],
  [`properties.price\\ text = 'x'`, true],
  [`lowercase(event) = 'item viewed'`, true],
  [`length('ア') = 3`, true],
  // Its table of expressions.
  [`match('abcd', 'a*d') and match('', '*') and match('abcd','a??d') and match('ab*d','ab\\*d')`, true],
  [`match('abc','ab')`, false],
  [`match('abcd','ab[A-Z]d')`, false],
  [`'x' in properties.list`, false],
  [`missing.path = 'a'`, false],
  [`missing.path != 'a'`, true],
  [`missing.path = null`, true],
  [`length(userId) < 1`, true],
  // Nulls.
  [`contains(userId, 'a')`, false],
  [`contains(event, userId)`, false],
  [`match(missing, '*')`, false],
  [`lowercase(missing) = null and snakecase(missing) = null`, true],
  [`bool(missing)`, false],
  [`string(missing) = '' and number(missing) = 0`, true],
  [`missing > 1 or missing < 1`, false],
  [`missing or properties.on`, true],
  [`!missing`, true],
  [`null`, false],
  // Precedence: ! before and before or.
  [`true or false and false`, true],
  [`(true or false) and false`, false],
  [`!true or true`, true],
  [`!(true or true)`, false],
  [`!!properties.on`, true],
  // Functions.
  [`snakecase('test string') = 'test_string' and kebabcase('test string') = 'test-string'`, true],
  [`titlecase('test string') = 'Test String' and snakecase('XMLHttpRequest2') = 'xml_http_request_2'`, true],
  [`uppercase(event) = "ITEM VIEWED"`, true],
  [`number('1.5') = 1.5 and number(3) = 3 and string(20) = '20' and bool('true') and bool(1)`, true],
  [`typeof(properties) = 'object' and typeof(true) = 'bool' and typeof(1) = 'number' and typeof('') = 'string'`, true],
  // Values.
  [`['new', 'sale'] = properties.tags`, true],
  [`['sale', 'new'] = properties.tags`, false],
  [`-1.5e1 = -15`, true],
  [`receivedAt >= '2026-01-01' and received_at < "2027"`, true],
  [`properties.nested.a\\.b = 1`, true],
  [`properties.\\ü\\n\\ï = 'u'`, true],
  [`properties.tags.0 = 'new'`, true],
  [`'it\\'s' = "it's" and 'a\\\\b' != 'a\\b\\b'`, true],
  // Own properties only.
  [`constructor = null and properties.__proto__ = null and properties.toString = null`, true],
]

for (const [text, expected] of answers) {
  test(`${text} is ${expected}`, () => assert.equal(answer(text), expected))
}

const invalid: [text: string, position: number, hint: RegExp][] = [
  [`userId = oops"`, 13, /no closing "/],
  ['', 0, /empty/],
  ['   ', 0, /empty/],
  ['type == "track"', 5, /writes = rather than ==/],
  ['a = 1 && b = 2', 6, /writes and/],
  ['type = ', 7, /value is missing before the end/],
  ['type * "x"', 5, /cannot stand here/],
  ['(type = "x"', 11, /\) is missing before the end/],
  ['type = "x")', 10, /cannot follow/],
  ['a = b = c', 6, /cannot follow/],
  ['a.', 2, /name must follow the dot/],
  ['nope(a)', 0, /no function nope/],
  ['contains(a)', 0, /two arguments/],
  ['length()', 7, /value is missing/],
  ['[]', 1, /value is missing/],
  [`match(a, '[')`, 0, /without its \]/],
  [`'text'`, 0, /true or false/],
  ['a and 5', 6, /true or false/],
  ['lowercase(event)', 0, /true or false/],
  ['1e999 = a', 0, /too large/],
  ['and', 0, /value is missing/],
  ['a\\', 1, /escapes nothing/],
]

for (const [text, position, hint] of invalid) {
  test(`${JSON.stringify(text)} is refused at character ${position}`, () => {
    const parsed = parseFql(text)
    assert.equal(parsed.ok, false)
    assert.equal(!parsed.ok && parsed.position, position)
    assert.match(parsed.ok ? '' : parsed.message, hint)
  })
}

const undecidable = [
  'properties.price and type = "track"',
  '!event',
  'event',
  'event > 1',
  'contains(properties.price, "2")',
  'length(properties) > 0',
  'length(properties.price) > 0',
  '"a" in event',
  'number(event) = 1',
  'number(true) = 1',
  'string(properties.tags) = ""',
  'bool(event)',
  'match(event, properties.price)',
]

for (const text of undecidable) {
  test(`${text} cannot be decided when the types in the message do not fit`, () => {
    assert.throws(() => answer(text), FqlEvaluationError)
  })
}

test('a __proto__ that came as a key is a key like any other', () => {
  const about = JSON.parse('{"properties":{"__proto__":{"admin":true}}}') as Record<string, unknown>
  assert.equal(answer('properties.__proto__.admin', about), true)
  assert.equal(answer('properties.admin', about), false)
})

test('a number that no double can hold compares as the nearest double', () => {
  const about = { n: (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON('12345678901234567890') }
  assert.equal(answer('n > 1e19 and typeof(n) = "number"', about), true)
})

test('an expression longer than 5 KB is refused, and one as long is read', () => {
  const padded = (bytes: number): string => `a = 1${' '.repeat(bytes - 5)}`
  assert.equal(parseFql(padded(FQL_BYTES_MAX)).ok, true)
  assert.equal(parseFql(padded(FQL_BYTES_MAX + 1)).ok, false)
  assert.equal(parseFql(`a = '${'é'.repeat(2600)}'`).ok, false)
})

test('nesting is bounded', () => {
  const nested = (depth: number): string => `${'('.repeat(depth)}a${')'.repeat(depth)}`
  assert.equal(parseFql(nested(100)).ok, true)
  for (const text of [nested(101), `${'!'.repeat(101)}a`, `a = ${'['.repeat(101)}1${']'.repeat(101)}`]) {
    assert.match(JSON.stringify(parseFql(text)), /nested deeper/)
  }
})

const fragments = [
  'and',
  ' or ',
  '!',
  '(',
  ')',
  '[',
  ']',
  ',',
  ' = ',
  '!=',
  ' in ',
  '<',
  '>=',
  '.',
  '\\',
  '"',
  "'",
  '-',
  '*',
]
const words = [
  'type',
  'properties.x',
  'a',
  '1',
  '2.5',
  "'s'",
  '"t"',
  'null',
  'true',
  'match(',
  'contains(',
  'length(',
  ' ',
]
const almostFql = fc
  .array(fc.oneof(fc.constantFrom(...fragments, ...words), fc.string({ maxLength: 2 })))
  .map((parts) => parts.join(''))

test('any text parses or is refused, and what parses gives true, false or a named failure for any message', () => {
  fc.assert(
    fc.property(fc.oneof(almostFql, fc.string()), fc.dictionary(fc.string(), fc.jsonValue()), (text, about) => {
      const parsed = parseFql(text)
      if (!parsed.ok) return parsed.position >= 0 && parsed.position <= text.length && parsed.message !== ''
      try {
        return typeof compileFql(parsed.expression)(about as Record<string, unknown>) === 'boolean'
      } catch (error) {
        return error instanceof FqlEvaluationError
      }
    }),
    { numRuns: 5000 },
  )
})

const key = fc.oneof(
  fc.constantFrom('type', 'in', 'and', 'null', 'true', '2nd', '1', '-', 'a b', '.', '\\', 'ü', '😀'),
  fc.string({ minLength: 1 }),
)
const { condition } = fc.letrec<{ value: Expression; condition: Expression }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.record({
      kind: fc.constant('literal' as const),
      value: fc.oneof(
        fc.string(),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
        fc.boolean(),
        fc.constant(null),
      ),
    }),
    fc.record({ kind: fc.constant('path' as const), keys: fc.array(key, { minLength: 1, maxLength: 3 }) }),
    fc.record({ kind: fc.constant('list' as const), items: fc.array(tie('value'), { minLength: 1, maxLength: 3 }) }),
    fc.record({
      kind: fc.constant('call' as const),
      name: fc.constant('contains'),
      args: fc.tuple(tie('value'), tie('value')).map((args) => [...args]),
    }),
    tie('condition'),
  ),
  condition: fc.oneof(
    { maxDepth: 4 },
    fc.record({ kind: fc.constant('path' as const), keys: fc.array(key, { minLength: 1, maxLength: 3 }) }),
    fc.record({ kind: fc.constant('not' as const), operand: tie('condition') }),
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      operands: fc.array(tie('condition'), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom('=' as const, '<' as const, '>=' as const, 'in' as const),
      left: tie('value'),
      right: tie('value'),
    }),
  ),
}))

test('the printed form of any expression parses to the same expression', () => {
  fc.assert(
    fc.property(condition, (generated) => {
      // Objects that fast-check makes have no prototype; the clone has.
      const expression = structuredClone(generated)
      const text = formatFql(expression)
      if (Buffer.byteLength(text) > FQL_BYTES_MAX) return
      assert.deepEqual(parseFql(text), { ok: true, expression })
    }),
    { numRuns: 1000 },
  )
})
