/** Values of DuckDB as cells of the kit, and as JSON for people. */
import type { DuckDBValue } from '@duckdb/node-api'
import type { Cell } from '../../../src/kit/index.ts'

/** A value of one of our own columns as the cell that would write it. */
export function cellOf(value: DuckDBValue): Cell {
  if (value === null || typeof value !== 'object') return value
  if ('micros' in value && typeof value.micros === 'bigint') return microsToMs(value.micros)
  throw new Error(`A column of ours holds a ${value.constructor.name}.`)
}

function microsToMs(micros: bigint): number {
  return micros % 1000n === 0n ? Number(micros / 1000n) : Number(micros) / 1000
}

/** Any value as JSON: times in ISO 8601 and UTC, whole numbers and decimals as numbers where a double holds them exactly and as
 *  text otherwise, lists and structs as such, everything else as DuckDB prints it. */
export function jsonOf(value: DuckDBValue): unknown {
  if (typeof value === 'bigint') return wholeNumber(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (value === null || typeof value !== 'object') return value
  switch (value.constructor.name) {
    case 'DuckDBTimestampTZValue':
    case 'DuckDBTimestampValue':
      // The constructor's name says that it has them.
      return isoTime((value as unknown as { micros: bigint }).micros, String(value))
    case 'DuckDBTimestampMillisecondsValue':
      return isoTime((value as unknown as { millis: bigint }).millis * 1000n, String(value))
    case 'DuckDBTimestampSecondsValue':
      return isoTime((value as unknown as { seconds: bigint }).seconds * 1_000_000n, String(value))
    case 'DuckDBDecimalValue':
      return decimal(String(value))
    case 'DuckDBListValue':
    case 'DuckDBArrayValue':
      return (value as unknown as { items: DuckDBValue[] }).items.map(jsonOf)
    case 'DuckDBStructValue':
      return objectOf((value as unknown as { entries: Record<string, DuckDBValue> }).entries)
    case 'DuckDBMapValue':
      return (value as unknown as { entries: { key: DuckDBValue; value: DuckDBValue }[] }).entries.map((entry) => ({
        key: jsonOf(entry.key),
        value: jsonOf(entry.value),
      }))
    case 'DuckDBUnionValue':
      return jsonOf((value as unknown as { value: DuckDBValue }).value)
    default:
      return String(value)
  }
}

function objectOf(entries: Record<string, DuckDBValue>): unknown {
  return Object.fromEntries(Object.entries(entries).map(([key, inner]) => [key, jsonOf(inner)]))
}

function wholeNumber(value: bigint): number | string {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : String(value)
}

/** `1.50` is the number 1.5; what a double would round stays text. */
function decimal(text: string): number | string {
  return text.replace(/[-.]/g, '').replace(/^0+/, '').length <= 15 ? Number(text) : text
}

const MICROS_MAX = 253_402_300_799_999_999n
const MICROS_MIN = -62_167_219_200_000_000n

/** With milliseconds, or microseconds where there are some. */
function isoTime(micros: bigint, text: string): string {
  // Infinity, and years that ISO 8601 has no four digits for.
  if (micros > MICROS_MAX || micros < MICROS_MIN) return text
  const rest = ((micros % 1000n) + 1000n) % 1000n
  const iso = new Date(Number((micros - rest) / 1000n)).toISOString()
  return rest === 0n ? iso : `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z`
}
