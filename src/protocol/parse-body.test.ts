import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseBody, parseExactly, parseJson } from './parse-body.ts'

const roundTrip = (text: string): string => JSON.stringify(parseBody(Buffer.from(text)).value)
const refused = { code: 'bad_request', status: 400 }

test('numbers that no double can hold keep the digits that were sent', () => {
  for (const number of [
    ...[
      '9007199254740993',
      '-9007199254740993',
      '12345678901234567890',
      '0.1234567890123456789',
      '3.14159265358979323846264338',
    ],
    ...['1000000000000000000000', '1e400', '-1E+400', '1e-400', '123456789012345678e3', '1.0000000000000001'],
  ]) {
    for (const text of [`{"n":${number}}`, `[1,${number},"x"]`, `[ ${number} ]`, `{"n":\n\t${number}}`]) {
      assert.equal(roundTrip(text).includes(number), true, text)
    }
  }
})

test('numbers that a double holds are ordinary numbers, however they were written', () => {
  const text =
    '{"a":1e3,"b":1.50,"c":9007199254740992,"d":1.00000000000000000000,"e":0.0000000000000000000000,"f":1E-7,"g":-0.10e1}'
  assert.deepEqual(parseBody(Buffer.from(text)).value, {
    a: 1000,
    b: 1.5,
    c: 9007199254740992,
    d: 1,
    e: 0,
    f: 1e-7,
    g: -1,
  })
})

test('digits inside strings and keys change nothing', () => {
  const text = '{"12345678901234567890":"9007199254740993","a\\"b:1e5":"x,1e5:12345678901234567"}'
  assert.deepEqual(parseBody(Buffer.from(text)).value, JSON.parse(text))
})

test('long runs of digits, zeros, quotes, backslashes and blanks take linear time', () => {
  const long = 250_000
  for (const text of [
    `{"n":${'1'.repeat(long)}}`,
    `{"n":1${'0'.repeat(long)}1}`,
    `{"n":0.${'0'.repeat(long)}1}`,
    `{"n":"${'\\\\'.repeat(long)}"}`,
    `{"n":"${'\\"'.repeat(long)}"}`,
    `[${' '.repeat(long)}1]`,
  ]) {
    const start = performance.now()
    parseBody(Buffer.from(text))
    // Quadratic behaviour would take minutes here.
    assert.ok(performance.now() - start < 5_000)
  }
})

test('what is not JSON in UTF-8 is a bad request', () => {
  for (const text of [
    '',
    '{',
    '{"a":}',
    '[1,]',
    'nothing',
    '{"a":01}',
    '{"a":12345678901234567890',
    "{'a':1}",
    '{"a":NaN}',
    `${'['.repeat(200)}]`,
  ]) {
    assert.throws(() => parseBody(Buffer.from(text)), refused, text)
    assert.throws(() => parseJson(Buffer.from(text)), refused, text)
    assert.throws(() => parseExactly(text), refused, text)
  }
  assert.throws(() => parseBody(Buffer.from([0x22, 0xff, 0x22])), refused)
  assert.throws(() => parseJson(Buffer.from([0x22, 0xc3, 0x22])), refused)
})

test('the sentence of a bad request does not quote the body', () => {
  assert.throws(
    () => parseJson(Buffer.from('{"password":"hunter2"')),
    (error: Error) => !error.message.includes('hunter2') && error.cause === undefined,
  )
})

test('a byte order mark is tolerated', () => {
  const withMark = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{"a":1}')])
  assert.deepEqual(parseBody(withMark).value, { a: 1 })
  assert.deepEqual(parseJson(withMark), { a: 1 })
})

test('a part of a larger buffer is read as its own', () => {
  const whole = new Uint8Array(Buffer.from('xx{"a":1}yy'))
  assert.deepEqual(parseBody(whole.subarray(2, 9)), { value: { a: 1 }, bytes: 7, nesting: 1 })
})

test('nesting is counted outside of strings', () => {
  const nesting = (text: string): number => parseBody(Buffer.from(text)).nesting
  assert.equal(nesting('1'), 0)
  assert.equal(nesting('{}'), 1)
  assert.equal(nesting('{"a":[{"b":[]}],"c":{}}'), 4)
  assert.equal(nesting('{"[[[[":"]]{{\\"[[\\\\"}'), 1)
})

test('a body of nothing but brackets is parsed within bounds', () => {
  const depth = 250_000
  const { value, nesting } = parseBody(
    Buffer.from(`{"a":${'['.repeat(depth)}12345678901234567890${']'.repeat(depth)},"b":12345678901234567890}`),
  )
  assert.equal(nesting, depth + 1)
  assert.equal(JSON.stringify(value), `{"a":${'['.repeat(102)}null${']'.repeat(102)},"b":12345678901234567890}`)
})

test('own keys named __proto__ and constructor stay own keys', () => {
  const text = '{"__proto__":{"polluted":12345678901234567890},"constructor":{"prototype":{"polluted":1}}}'
  assert.equal(roundTrip(text), text)
  assert.equal('polluted' in {}, false)
})

test('JSON without long numbers is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.deepEqual(JSON.parse(roundTrip(text)), JSON.parse(JSON.stringify(JSON.parse(text))))
    }),
  )
})

test('any decimal number survives with its value', () => {
  const decimal = fc.tuple(
    fc.bigInt(),
    fc.option(fc.stringMatching(/^[0-9]{1,30}$/)),
    fc.option(fc.integer({ min: -400, max: 400 })),
  )
  fc.assert(
    fc.property(decimal, ([whole, fraction, exponent]) => {
      const number = `${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`
      const printed = roundTrip(`{"n":${number}}`).slice(5, -1)
      assert.equal(sameDecimal(printed, number), true, `${number} became ${printed}`)
    }),
  )
})

/** Compares decimals by cross-multiplying powers of ten, unlike the code under test. */
function sameDecimal(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => {
    const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
    const [whole = '', fraction = ''] = mantissa.split('.')
    return { digits: BigInt(whole + fraction), power: Number(exponent) - fraction.length }
  }) as [{ digits: bigint; power: number }, { digits: bigint; power: number }]
  const lowest = Math.min(left.power, right.power)
  return left.digits * 10n ** BigInt(left.power - lowest) === right.digits * 10n ** BigInt(right.power - lowest)
}
