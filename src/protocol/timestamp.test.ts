import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatTimestamp, isIsoTimestamp, parseTimestamp } from './timestamp.ts'

const parsed = (text: string): string | undefined => {
  const ms = parseTimestamp(text)
  return ms === undefined ? undefined : formatTimestamp(ms)
}

test('times in the forms that clients send are read to the millisecond, in UTC', () => {
  const cases: [string, string][] = [
    ['2026-03-01T09:00:00.120Z', '2026-03-01T09:00:00.120Z'],
    ['2026-03-01T09:00:00Z', '2026-03-01T09:00:00.000Z'],
    ['2026-03-01T09:00:00.1Z', '2026-03-01T09:00:00.100Z'],
    ['2026-03-01T09:00:00.123456789Z', '2026-03-01T09:00:00.123Z'],
    ['2026-03-01T09:00:00.999999+00:00', '2026-03-01T09:00:00.999Z'],
    ['2026-03-01T09:00:00+00:00', '2026-03-01T09:00:00.000Z'],
    ['2026-03-01T09:00:00.000+05:30', '2026-03-01T03:30:00.000Z'],
    ['2026-03-01T09:00:00-0800', '2026-03-01T17:00:00.000Z'],
    ['2026-03-01T09:00:00+02', '2026-03-01T07:00:00.000Z'],
    ['2026-03-01T09:00:00', '2026-03-01T09:00:00.000Z'],
    ['2026-03-01T09:00Z', '2026-03-01T09:00:00.000Z'],
    ['2026-03-01 09:00:00', '2026-03-01T09:00:00.000Z'],
    ['2026-03-01', '2026-03-01T00:00:00.000Z'],
    ['2015-2-02T00:30:08.276Z', '2015-02-02T00:30:08.276Z'],
    ['2015-2-2', '2015-02-02T00:00:00.000Z'],
    ['2024-02-29T24:00:00Z', '2024-03-01T00:00:00.000Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ]
  for (const [text, expected] of cases) assert.equal(parsed(text), expected, text)
})

test('what is no time is not taken for one', () => {
  const cases = [
    ...[
      '',
      '1',
      'Order 5',
      'yesterday',
      'now',
      '1772355600',
      '1772355600120',
      '2026',
      '2026-03',
      '03/01/2026',
      '2026/03/01',
    ],
    ...[
      '2026-02-29T00:00:00Z',
      '2026-04-31',
      '2026-13-01',
      '2026-00-10',
      '2026-01-00',
      '2026-03-01T25:00:00Z',
      '2026-03-01T24:00:01Z',
    ],
    ...[
      '2026-03-01T09:60:00Z',
      '2026-03-01T09:00:61Z',
      '2026-03-01T09:00:00.120X',
      '2026-03-01T09:00:00.1a0Z',
      '2026-03-01T',
      '2026-0x-01T09:00:00.120Z',
    ],
    ...[
      '2026-03-01T09:00:00+24:00',
      '2026-03-01T09:00:00+05:60',
      ' 2026-03-01',
      '2026-03-01T09:00:00Z ',
      '+012026-03-01T00:00:00Z',
      '0000-12-31T00:00:00Z',
    ],
    ...['0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00', 'Sun Mar 01 2026 09:00:00 GMT+0000'],
  ]
  for (const text of cases) assert.equal(parseTimestamp(text), undefined, text)
})

test('every time is written as toISOString writes it, and read back', () => {
  const time = fc.oneof(
    fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
    fc.integer({ min: 1.6e12, max: 1.9e12 }),
  )
  fc.assert(
    fc.property(time, (ms) => {
      assert.equal(formatTimestamp(ms), new Date(ms).toISOString())
      assert.equal(parseTimestamp(formatTimestamp(ms)), ms)
    }),
  )
})

test('no text makes the parser throw or leave the years 0001 to 9999', () => {
  const timeLike = fc.stringMatching(/^[0-9]{0,5}-?[0-9]{0,3}-?[0-9]{0,3}[T ]?[0-9:.]{0,14}[Z+-]?[0-9:]{0,5}$/)
  fc.assert(
    fc.property(fc.oneof(fc.string(), timeLike), (text) => {
      const ms = parseTimestamp(text)
      if (ms !== undefined) assert.equal(new Date(ms).toISOString().length, 24)
    }),
  )
})

test('a warehouse takes a full date and time with its zone for a timestamp', () => {
  for (const text of [
    '2024-01-01T00:00:00Z',
    '2024-01-01T00:00:00.123Z',
    '2024-12-31T23:59:59.999000+00:00',
    '2024-01-01T00:00:00-0800',
    '2024-01-01T00:00Z',
  ]) {
    assert.equal(isIsoTimestamp(text), true, text)
  }
})

test('a warehouse takes dates, times without a zone and days that never were for text', () => {
  for (const text of [
    ...[
      '2024-01-01',
      '2024-01-01T00:00:00',
      '2024-01-01 00:00:00Z',
      '2024-1-01T00:00:00Z',
      '2023-02-29T00:00:00Z',
      '2024-01-01T25:00:00Z',
    ],
    ...[
      '',
      'Order 2024-01-01T00:00:00Z',
      '2024-01-01T00:00:00Z!',
      '20240101T000000Z',
      '0000-01-01T00:00:00Z',
      '1704067200000',
    ],
  ]) {
    assert.equal(isIsoTimestamp(text), false, text)
  }
})
