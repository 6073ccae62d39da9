/**
 * From a value of a message to a cell of a column (contract: warehouses.md §4). A cast also says whether the cell says exactly what
 * the message said; when not, the caller keeps the value in `_unmapped`.
 */
import type { Cell, ColumnType } from '../kit/index.ts'
import { isIsoTimestamp, isRawNumber, parseTimestamp } from '../protocol/index.ts'
import { fitsBigint, isWhole, kindOf, kinds } from './kinds.ts'

export interface Cast {
  cell: Cell
  isExact: boolean
}

const impossible: Cast = { cell: null, isExact: false }

/** The best cell for a value that is not null. */
export function castValue(value: unknown, type: ColumnType): Cast {
  switch (type) {
    case 'varchar':
    case 'json':
      return { cell: jsonTextOf(value), isExact: true }
    case 'integer':
      return castToInteger(value)
    case 'float':
      return castToFloat(value)
    case 'boolean':
      return castToBoolean(value)
    case 'timestamp':
      return typeof value === 'string' && isIsoTimestamp(value) ? castToTimestamp(value) : impossible
  }
}

/** A string as it is, anything else as JSON. */
export function jsonTextOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function castToInteger(value: unknown): Cast {
  if (typeof value === 'number') return integerOf(value, Number.isInteger(value))
  const digits = digitsOf(value)
  if (digits === undefined) return impossible
  if (!isWhole(digits)) return integerOf(Number(digits), false)
  const whole = BigInt(digits)
  if (!fitsBigint(whole)) return impossible
  return { cell: smallest(whole), isExact: String(whole) === digits }
}

function integerOf(value: number, isExact: boolean): Cast {
  if (!Number.isFinite(value)) return impossible
  // Toward zero; the sum with 0 turns -0 into 0.
  const truncated = Math.trunc(value) + 0
  if (Number.isSafeInteger(truncated)) return { cell: truncated, isExact }
  const whole = BigInt(truncated)
  return fitsBigint(whole) ? { cell: whole, isExact } : impossible
}

function smallest(whole: bigint): number | bigint {
  return whole >= BigInt(Number.MIN_SAFE_INTEGER) && whole <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(whole) : whole
}

// A whole number that no bigint could hold is never called exact, so that `_unmapped` keeps its digits (contract: warehouses.md §15).
function castToFloat(value: unknown): Cast {
  if (typeof value === 'number') return { cell: value, isExact: kindOf(value) !== kinds.hugeInteger }
  const digits = digitsOf(value)
  if (digits === undefined) return impossible
  const float = Number(digits)
  return Number.isFinite(float) ? { cell: float, isExact: String(float) === digits } : impossible
}

function castToBoolean(value: unknown): Cast {
  if (typeof value === 'boolean') return { cell: value, isExact: true }
  if (value === 'true' || value === 'false') return { cell: value === 'true', isExact: true }
  return impossible
}

/** A string that is an ISO 8601 time, as milliseconds. */
export function castToTimestamp(text: string): Cast {
  const ms = parseTimestamp(text)
  if (ms === undefined) return impossible
  return { cell: ms, isExact: isWholeMillisecond(text) }
}

/** Whether milliseconds say all of it: no further decimals, no leap second. */
export function isWholeMillisecond(text: string): boolean {
  return !/\.\d{3}\d*[1-9]|:60/.test(text)
}

/** The digits of an exact number, or of a string that is a number. */
function digitsOf(value: unknown): string | undefined {
  if (isRawNumber(value)) return value.rawJSON
  return typeof value === 'string' && value.length <= 400 && NUMERIC.test(value) ? value : undefined
}

const NUMERIC = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/
