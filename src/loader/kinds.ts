/** What kinds of values a column got, as bits, so that a whole column can be judged at once. */
import { isIsoTimestamp, isRawNumber } from '../protocol/index.ts'

export const kinds = {
  boolean: 1,
  integer: 2,
  float: 4,
  /** A whole number that no bigint column can hold. */
  hugeInteger: 8,
  timestamp: 16,
  text: 32,
  /** An array, or an object too deep to be flattened: JSON text in a varchar column. */
  json: 64,
} as const

const BIGINT_MAX = 2n ** 63n - 1n
const BIGINT_MIN = -(2n ** 63n)
const BIGINT_LIMIT = 2 ** 63

/** The kind of a value of a message that is not null. */
export function kindOf(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return isIsoTimestamp(value) ? kinds.timestamp : kinds.text
    case 'number':
      return kindOfNumber(value)
    case 'boolean':
      return kinds.boolean
    default:
      return isRawNumber(value) ? kindOfDigits(value.rawJSON) : kinds.json
  }
}

function kindOfNumber(value: number): number {
  if (!Number.isInteger(value)) return kinds.float
  return value >= -BIGINT_LIMIT && value < BIGINT_LIMIT ? kinds.integer : kinds.hugeInteger
}

/** A number whose digits no double holds. */
function kindOfDigits(digits: string): number {
  if (!isWhole(digits)) return Number.isInteger(Number(digits)) && /[eE]/.test(digits) ? kinds.hugeInteger : kinds.float
  // Far too long: not worth a conversion.
  if (digits.length > 20) return kinds.hugeInteger
  const whole = BigInt(digits)
  return whole >= BIGINT_MIN && whole <= BIGINT_MAX ? kinds.integer : kinds.hugeInteger
}

/** Whether the text is a whole number in plain digits. */
export function isWhole(digits: string): boolean {
  return /^-?\d+$/.test(digits)
}

/** Whether a bigint column can hold it. */
export function fitsBigint(whole: bigint): boolean {
  return whole >= BIGINT_MIN && whole <= BIGINT_MAX
}
