/** Whether the page or app has already sent the message to a destination itself (contract: destinations.md §2). */
import { isJsonObject } from './json-values.ts'
import type { JsonObject } from './message.ts'

/** True when `_metadata.bundled` holds one of the destination's names, or `bundledIds` one of its ids. Both are case-sensitive. */
export function isSentClientSide(message: JsonObject, names: readonly string[], ids: readonly string[] = []): boolean {
  const metadata = message['_metadata']
  return isJsonObject(metadata) && (holdsAny(metadata['bundled'], names) || holdsAny(metadata['bundledIds'], ids))
}

function holdsAny(list: unknown, wanted: readonly string[]): boolean {
  return Array.isArray(list) && wanted.some((text) => list.includes(text))
}
