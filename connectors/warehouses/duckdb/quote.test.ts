import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { quoteName, quoteText } from './quote.ts'

test('any text is one identifier and one literal, and comes back as it was', async () => {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const hostile = fc.constantFrom(
    '"',
    "'",
    '""',
    ';',
    '--',
    '/*',
    '\\',
    '\n',
    '$$',
    'DROP TABLE t',
    '😀',
    '\u0000',
    ' ',
  )
  const text = fc
    .array(fc.oneof(hostile, fc.string({ unit: 'binary', maxLength: 6 })), { maxLength: 20 })
    .map((parts) => parts.join('').toWellFormed())
  await fc.assert(
    fc.asyncProperty(text, async (name) => {
      // An identifier may not be empty; the loader never makes one.
      const column = `n${name}`
      const result = await connection.runAndReadAll(`SELECT ${quoteText(name)} AS ${quoteName(column)}`)
      assert.deepEqual(result.columnNames(), [column.replaceAll('\0', '\uFFFD')])
      assert.deepEqual(result.getRows(), [[name.replaceAll('\0', '\uFFFD')]])
    }),
    { numRuns: 500 },
  )
})
