import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileGlob, escapeGlob, GlobError } from './glob.ts'

const cases: [text: string, pattern: string, expected: boolean][] = [
  ['abcd', 'a*d', true],
  ['', '*', true],
  ['abcd', 'a??d', true],
  ['ab*d', 'ab\\*d', true],
  ['abc', 'ab', false],
  ['abcd', 'ab[A-Z]d', false],
  ['abCd', 'ab[A-Z]d', true],
  ['abcd', 'ab[xc]d', true],
  ['ab-d', 'ab[a-]d', true],
  ['ab]d', 'ab[\\]]d', true],
  ['abc', 'ABC', false],
  ['aXbXc', '*X*X*', true],
  ['aXc', '*X*X*', false],
  ['aba', 'ab*ba', false],
  ['abba', 'ab*ba', true],
  ['a😀c', 'a?c', true],
  ['xx1y2zz', '*[0-9]?[0-9]*', true],
  ['first@corp.example', '*@corp.example', true],
  ['', '?', false],
  ['a\nb', 'a*b', true],
]

for (const [text, pattern, expected] of cases) {
  test(`${JSON.stringify(text)} ${expected ? 'matches' : 'does not match'} ${pattern}`, () => {
    assert.equal(compileGlob(pattern).matches(text), expected)
  })
}

test('an unfinished set, an empty one, a backward range and a lone backslash are refused', () => {
  for (const pattern of ['[ab', '[]', '[z-a]', 'a\\', '[a\\']) assert.throws(() => compileGlob(pattern), GlobError)
})

test('an escaped text matches itself only', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, other) => {
      const glob = compileGlob(escapeGlob(text))
      return glob.matches(text) && glob.matches(other) === (text === other)
    }),
  )
})

test('a glob of literals, stars and question marks agrees with the obvious regular expression', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 12 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 })
  fc.assert(
    fc.property(letters, pattern, (text, glob) => {
      const expression = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      return compileGlob(glob).matches(text) === expression.test(text)
    }),
    { numRuns: 1000 },
  )
})

test('a pattern made to be slow is given up after a bounded number of steps', () => {
  const text = 'a'.repeat(32_000)
  assert.equal(compileGlob('*a*a*a*a*a*a*a*a*a*a*b').matches(text), false)
  assert.throws(() => compileGlob(`*${'?'.repeat(2000)}b*`).matches(text), GlobError)
})
