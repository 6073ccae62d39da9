/** Ids of persons, groups and messages: strings, numbers from PHP and Ruby clients, and what they are when they are neither
 *  (contract: spec.md §2, §3). */
import { isRawNumber } from './json-values.ts'

const MESSAGE_ID_LENGTH_MAX = 100

/** The id as text; null when absent (also null and `""`); undefined when it is of no type that an id may have. Without coercion
 *  numbers and `""` have none, as at Segment. */
export function readId(value: unknown, isCoerced: boolean): string | null | undefined {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return value !== '' ? value : isCoerced ? null : undefined
  return isCoerced ? numberText(value) : undefined
}

/** The message's own id; undefined when it has none that can be used. Numbers are coerced whatever `ingest.idCoercion` says: that
 *  setting is about whom a message speaks of, and a message must not be lost for its serial number. */
export function readMessageId(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  return numberText(value)
}

export function isTooLongMessageId(messageId: string): boolean {
  return messageId.length > MESSAGE_ID_LENGTH_MAX
}

/** Decimal text of a number, with the digits that were sent when it is beyond 2^53. */
function numberText(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return isRawNumber(value) ? value.rawJSON : undefined
}

/** An id for a message that came without one: `api-` and a UUIDv7, which sorts by time. `random` gives numbers in [0, 1). */
export function createMessageId(nowMs: number, random: () => number): string {
  const time = nowMs.toString(16).padStart(12, '0')
  const variant = (8 + Math.floor(random() * 4)).toString(16)
  // `join` makes a flat string, see `formatTimestamp`.
  return [
    'api-',
    time.slice(0, 8),
    '-',
    time.slice(8),
    '-7',
    hex(random, 3),
    '-',
    variant,
    hex(random, 3),
    '-',
    hex(random, 12),
  ].join('')
}

function hex(random: () => number, length: number): string {
  return Math.floor(random() * 16 ** length)
    .toString(16)
    .padStart(length, '0')
}
