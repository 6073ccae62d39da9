/** Size and depth of parsed JSON, cheap where the answer is plain. */
import { isRawNumber } from './json-values.ts'
import type { JsonObject } from './message.ts'

/** Whether a message is larger than the limit: the UTF-8 length of its compact JSON, without `writeKey` (contract: ingest.md §4).
 *  Recurses, so the nesting must be known to be bounded. */
export function isLargerThan(message: JsonObject, bytesMax: number): boolean {
  // Printing costs some microseconds; an upper bound, found without printing, settles it for all but large messages.
  if (bytesAtMost(message) <= bytesMax) return false
  return Buffer.byteLength(JSON.stringify(withoutWriteKey(message))) > bytesMax
}

/** Levels of nesting of a value, counted up to `levelsMax` + 1. */
export function nestingOfValue(value: unknown, levelsMax: number): number {
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return 0
  if (levelsMax === 0) return 1
  let deepest = 0
  for (const inner of Object.values(value)) {
    const depth = nestingOfValue(inner, levelsMax - 1)
    if (depth > deepest) deepest = depth
    if (deepest > levelsMax - 1) break
  }
  return deepest + 1
}

/** A copy without the top-level `writeKey`. */
export function withoutWriteKey(message: JsonObject): JsonObject {
  if (!Object.hasOwn(message, 'writeKey')) return message
  const { writeKey: _, ...rest } = message
  return rest
}

/** Longest number that `JSON.stringify` writes: `-1.2345678901234567e+100`. */
const NUMBER_BYTES_MAX = 24
/** A control character is written as `\u0001`. */
const CHARACTER_BYTES_MAX = 6

function bytesAtMost(value: unknown): number {
  if (typeof value === 'string') return value.length * CHARACTER_BYTES_MAX + 2
  if (typeof value !== 'object' || value === null) return NUMBER_BYTES_MAX
  if (isRawNumber(value)) return value.rawJSON.length
  let bytes = 2
  if (Array.isArray(value)) {
    for (const inner of value) bytes += bytesAtMost(inner) + 1
    return bytes
  }
  // The value comes from JSON, so what is neither array nor exact number is a plain object.
  const object = value as JsonObject
  for (const key of Object.keys(object)) bytes += key.length * CHARACTER_BYTES_MAX + 4 + bytesAtMost(object[key])
  return bytes
}
