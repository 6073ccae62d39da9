/** U+0000 and lone surrogates, which no warehouse stores, become U+FFFD, in names and values alike (contract: warehouses.md §4). */
import { isRawNumber, type Message } from '../protocol/index.ts'

/** Whether the JSON text may hold such a character: JSON can only write them as `\u....`. */
export function mayNeedScrub(json: string): boolean {
  return json.includes('\\u')
}

/** A copy of the message without them. */
export function scrub(message: Message): Message {
  // Keeps the shape, changes strings only.
  return scrubValue(message) as Message
}

function scrubValue(value: unknown): unknown {
  if (typeof value === 'string') return scrubText(value)
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return value
  if (Array.isArray(value)) return value.map(scrubValue)
  // `fromEntries` sets own properties, whatever their name.
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [scrubText(key), scrubValue(inner)]))
}

function scrubText(text: string): string {
  const wellFormed = text.toWellFormed()
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '\uFFFD') : wellFormed
}
