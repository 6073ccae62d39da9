import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { ColumnType } from '../kit/index.ts'
import { isIsoTimestamp, isRawNumber, parseExactly, snakeCase } from '../protocol/index.ts'
import { scrub } from './scrub.ts'
import { ownCells, rowsOf, trackText, type RowsOptions } from './testing/rows-of.ts'

/** Type and cells of property `p` over these rows, from JSON text. */
function columnOf(values: string[], options?: RowsOptions) {
  const { tables, types, load } = rowsOf(
    values.map((value) => trackText(`{"p":${value}}`)),
    options,
  )
  const rows = tables['e'] ?? []
  return {
    type: types['e']?.['p'],
    cells: rows.map((row) => row['p']),
    unmapped: rows.map((row) => row['_unmapped']),
    altered: load.alterColumns.map(({ from, to }) => `${from}>${to}`),
  }
}

describe('types of new columns (contract §4)', () => {
  const cases: [string[], ColumnType, unknown[]][] = [
    [['true', 'false'], 'boolean', [true, false]],
    [['12', '-3'], 'integer', [12, -3]],
    [['1.5'], 'float', [1.5]],
    [['12', '1.5'], 'float', [12, 1.5]],
    [['"2024-01-01T00:00:00Z"'], 'timestamp', [Date.UTC(2024, 0, 1)]],
    [['"2024-01-01T02:00:00+02:00"'], 'timestamp', [Date.UTC(2024, 0, 1)]],
    [['"2024-01-01"'], 'varchar', ['2024-01-01']],
    [['"2024-01-01T00:00:00"'], 'varchar', ['2024-01-01T00:00:00']],
    [['"x"', '"2024-01-01T00:00:00Z"'], 'varchar', ['x', '2024-01-01T00:00:00Z']],
    [['12', '"x"', 'true', '[1]', '1.5'], 'varchar', ['12', 'x', 'true', '[1]', '1.5']],
    [['9007199254740993'], 'integer', [9007199254740993n]],
    [['9223372036854775807', '-9223372036854775808'], 'integer', [9223372036854775807n, -9223372036854775808n]],
    [['null', '1'], 'integer', [undefined, 1]],
  ]
  for (const [values, type, cells] of cases) {
    test(`${values.join(' ')} -> ${type}`, () => {
      const column = columnOf(values)
      assert.equal(column.type, type)
      assert.deepEqual(column.cells, cells)
      assert.deepEqual(
        column.unmapped,
        values.map(() => undefined),
      )
    })
  }

  test('a number too big for bigint makes a float, with its digits in _unmapped', () => {
    const column = columnOf(['9223372036854775808', '123456789012345678901234567890', '7'])
    assert.equal(column.type, 'float')
    assert.deepEqual(column.cells, [9223372036854775808, 123456789012345678901234567890, 7])
    assert.deepEqual(column.unmapped, [
      '{"properties.p":9223372036854775808}',
      '{"properties.p":123456789012345678901234567890}',
      undefined,
    ])
  })

  test('a decimal that no double holds is kept as it was sent too', () => {
    const column = columnOf(['0.1234567890123456789'])
    assert.deepEqual(column.cells, [0.12345678901234568])
    assert.deepEqual(column.unmapped, ['{"properties.p":0.1234567890123456789}'])
  })

  test('a time with more than milliseconds is kept as it was sent too', () => {
    const column = columnOf(['"2024-01-01T00:00:00.123456Z"', '"2024-01-01T00:00:00.123000Z"'])
    assert.deepEqual(column.cells, [Date.UTC(2024, 0, 1, 0, 0, 0, 123), Date.UTC(2024, 0, 1, 0, 0, 0, 123)])
    assert.deepEqual(column.unmapped, ['{"properties.p":"2024-01-01T00:00:00.123456Z"}', undefined])
  })
})

describe('casts to a known column (contract §4)', () => {
  const off = (type: ColumnType): RowsOptions => ({
    known: { e: { id: 'varchar', p: type } },
    settings: { widenTypes: 'off' },
  })
  const cases: [ColumnType, string, unknown, 'exact' | 'kept'][] = [
    ['varchar', '12', '12', 'exact'],
    ['varchar', 'true', 'true', 'exact'],
    ['varchar', '[1,{"a":2}]', '[1,{"a":2}]', 'exact'],
    ['varchar', '9007199254740993', '9007199254740993', 'exact'],
    ['integer', '1.5', 1, 'kept'],
    ['integer', '-1.5', -1, 'kept'],
    ['integer', '"12"', 12, 'exact'],
    ['integer', '"012"', 12, 'kept'],
    ['integer', '"12 EUR"', undefined, 'kept'],
    ['integer', '"1.9"', 1, 'kept'],
    ['integer', 'true', undefined, 'kept'],
    ['integer', '[12]', undefined, 'kept'],
    ['integer', '9223372036854775808', undefined, 'kept'],
    ['float', '3', 3, 'exact'],
    ['float', '"2.5"', 2.5, 'exact'],
    ['float', '"2.50"', 2.5, 'kept'],
    ['float', '9007199254740993', 9007199254740992, 'kept'],
    ['float', '"x"', undefined, 'kept'],
    ['boolean', '"true"', true, 'exact'],
    ['boolean', '"false"', false, 'exact'],
    ['boolean', '"TRUE"', undefined, 'kept'],
    ['boolean', '1', undefined, 'kept'],
    ['timestamp', '"2024-01-01T00:00:00Z"', Date.UTC(2024, 0, 1), 'exact'],
    ['timestamp', '"yesterday"', undefined, 'kept'],
    ['timestamp', '1704067200000', undefined, 'kept'],
  ]
  for (const [type, value, cell, fate] of cases) {
    test(`${value} to ${type}: ${String(cell)}, ${fate}`, () => {
      const column = columnOf([value], off(type))
      assert.deepEqual(column.cells, [cell])
      assert.deepEqual(column.unmapped, [fate === 'kept' ? `{"properties.p":${value}}` : undefined])
      assert.deepEqual(column.altered, [])
    })
  }
})

describe('widening (contract §4, widenTypes: safe)', () => {
  const known = (type: ColumnType): RowsOptions => ({ known: { e: { id: 'varchar', p: type } } })

  test('an integer column that gets a fraction becomes float', () => {
    const column = columnOf(['1.5', '2'], known('integer'))
    assert.deepEqual(column.altered, ['integer>float'])
    assert.deepEqual(column.cells, [1.5, 2])
    assert.deepEqual(column.unmapped, [undefined, undefined])
  })

  test('an integer column that gets a number too big, or text, stays', () => {
    const column = columnOf(['9223372036854775808', '"x"'], known('integer'))
    assert.deepEqual(column.altered, [])
    assert.deepEqual(column.cells, [undefined, undefined])
  })

  test('a boolean or timestamp column that gets anything else becomes varchar', () => {
    assert.deepEqual(columnOf(['"maybe"', 'true'], known('boolean')).altered, ['boolean>varchar'])
    assert.deepEqual(columnOf(['"maybe"', 'true'], known('boolean')).cells, ['maybe', 'true'])
    assert.deepEqual(columnOf(['"soon"'], known('timestamp')).altered, ['timestamp>varchar'])
  })

  test('"true" as text needs no wider boolean column', () => {
    assert.deepEqual(columnOf(['"true"'], known('boolean')).altered, [])
  })
})

test('text over textLengthMax is cut, not within a character, and kept whole', () => {
  const column = columnOf(['"abcdef"', '"abc😀"', '"abc"'], { settings: { textLengthMax: 4 } })
  assert.deepEqual(column.cells, ['abcd', 'abc', 'abc'])
  assert.deepEqual(column.unmapped, ['{"properties.p":"abcdef"}', '{"properties.p":"abc😀"}', undefined])
})

describe('properties of flattening and typing', () => {
  const key = fc.oneof(
    fc.constantFrom(
      'a',
      'b',
      'aB',
      'a_b',
      'A B',
      'id',
      'userId',
      'group',
      '1st',
      '日本',
      'name',
      '__proto__',
      'constructor',
      '"; DROP',
    ),
    fc.string({ maxLength: 12, unit: 'binary' }),
  )
  const number = fc.oneof(
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
    fc.bigInt().map((value) => JSON.stringify({ $digits: String(value) })),
  )
  const leaf = fc.oneof(
    number,
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom('true', '12', '1.50', '2024-01-01T00:00:00Z', '2024-01-01T00:00:00.1234Z', 'x', ''),
    fc.string({ maxLength: 10, unit: 'binary' }),
    fc
      .date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') })
      .map((date) => date.toISOString()),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, leaf, fc.array(leaf, { maxLength: 3 }), tie('object')),
    object: fc.uniqueArray(fc.tuple(key, tie('value')), { maxLength: 5, selector: ([name]) => name }).map(toObject),
  }))
  const properties = fc.uniqueArray(fc.tuple(key, value), { maxLength: 6, selector: ([name]) => name }).map(toObject)
  const columnType = fc.constantFrom<ColumnType>('boolean', 'integer', 'float', 'timestamp', 'varchar')
  const knownColumns = fc.dictionary(fc.constantFrom('a', 'b', 'a_b', 'name', '_1st'), columnType)

  test('every value of a message is in a cell exactly, or in _unmapped as it was sent', () => {
    fc.assert(
      fc.property(
        fc.array(properties, { minLength: 1, maxLength: 4 }),
        knownColumns,
        fc.constantFrom<'safe' | 'off'>('safe', 'off'),
        fc.boolean(),
        (rows, columns, widenTypes, isKnown) => {
          const messages = rows.map((each) => scrub(trackText(withDigits(each))))
          const options: RowsOptions = { settings: { widenTypes } }
          if (isKnown) options.known = { e: { id: 'varchar', ...columns } }
          const { tables } = rowsOf(messages, options)
          for (const [i, message] of messages.entries()) {
            const row = tables['e']![i]!
            const { _unmapped: unmapped, ...others } = row
            const cells = ownCells(others)
            const kept = unmapped === undefined ? [] : Object.values(parseExactly(String(unmapped)) as object)
            for (const leafValue of leavesOf(message.properties)) {
              assert.ok(
                Object.values(cells).some((cell) => saysExactly(cell, leafValue)) ||
                  kept.some((one) => isSame(one, leafValue)),
                `${JSON.stringify(leafValue)} is lost: ${String(Object.entries(cells))}`,
              )
            }
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('every column of a load has the type that all of its cells have', () => {
    fc.assert(
      fc.property(fc.array(properties, { maxLength: 4 }), knownColumns, (rows, columns) => {
        const messages = rows.map((each) => scrub(trackText(withDigits(each))))
        const { load } = rowsOf(messages, { known: { e: { id: 'varchar', ...columns } } })
        for (const { columns: typed, rowCount } of load.append) {
          assert.equal(new Set(typed.map(({ name }) => name)).size, typed.length, 'no column twice')
          for (const { type, cells } of typed) {
            assert.equal(cells.length, rowCount)
            for (const cell of cells)
              assert.ok(cell === undefined || cell === null || fits(cell, type), `${String(cell)}: ${type}`)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

function toObject(entries: [string, unknown][]): Record<string, unknown> {
  return Object.fromEntries(entries)
}

/** JSON text in which the marked strings are bare digits. */
function withDigits(value: unknown): string {
  return JSON.stringify(value).replace(/"\{\\"\$digits\\":\\"(-?\d+)\\"\}"/g, '$1')
}

/** Values that need a cell: those at the end of a path, arrays whole, and what lies under a key without a name. */
function leavesOf(value: unknown): unknown[] {
  if (value === null || value === undefined) return []
  if (typeof value !== 'object' || Array.isArray(value) || isRawNumber(value)) return [value]
  return Object.entries(value).flatMap(([key, inner]) => {
    const isObject = typeof inner === 'object' && inner !== null && !Array.isArray(inner) && !isRawNumber(inner)
    if (snakeCase(key) === '' && isObject) return Object.keys(inner).length === 0 ? [] : [inner]
    return leavesOf(inner)
  })
}

function saysExactly(cell: unknown, value: unknown): boolean {
  if (typeof value === 'string') {
    if (typeof cell === 'number' && isIsoTimestamp(value)) {
      return cell === Date.parse(value) && !/\.\d{3}\d*[1-9]/.test(value)
    }
    return String(cell) === value
  }
  if (typeof cell === 'bigint' && typeof value === 'number') return cell === BigInt(value)
  return cell === value || String(cell) === JSON.stringify(value)
}

function isSame(kept: unknown, value: unknown): boolean {
  return JSON.stringify(kept) === JSON.stringify(value)
}

function fits(cell: unknown, type: ColumnType): boolean {
  switch (type) {
    case 'boolean':
      return typeof cell === 'boolean'
    case 'integer':
      return typeof cell === 'bigint' || Number.isSafeInteger(cell)
    case 'float':
      return typeof cell === 'number' && Number.isFinite(cell)
    case 'timestamp':
      return Number.isSafeInteger(cell)
    default:
      return typeof cell === 'string' && cell.isWellFormed() && !cell.includes('\0')
  }
}
