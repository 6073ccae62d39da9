/** What all files of this room need to know of parsed JSON. */
import type { JsonObject } from './message.ts'

// ECMAScript's "JSON.parse source text access". Node 26 has it, the type library of TypeScript does not know it yet.
interface JsonWithSourceText {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
}
export const jsonWithSourceText = JSON as unknown as JsonWithSourceText

/** A number that no double can hold, as the digits that were sent. `JSON.stringify` writes it out unchanged. */
export interface RawNumber {
  readonly rawJSON: string
}

export function isRawNumber(value: unknown): value is RawNumber {
  return jsonWithSourceText.isRawJSON(value)
}

/** True for `{…}`: neither null, nor an array, nor an exact number. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value)
}

/** Sets an own property whatever its name: plain assignment to `__proto__` would swap the prototype instead. */
export function setOwn(target: JsonObject, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

/** `own` over `defaults`, object by object: at the same place `own` wins, also with null; arrays are not merged.
 *  Changes neither, may share parts of both. */
export function mergeUnder(defaults: JsonObject, own: JsonObject): JsonObject {
  // A spread copies `__proto__` as an own property.
  const merged: JsonObject = { ...defaults, ...own }
  for (const key of Object.keys(defaults)) {
    if (!Object.hasOwn(own, key)) continue
    const under = defaults[key]
    const over = own[key]
    if (isJsonObject(under) && isJsonObject(over)) setOwn(merged, key, mergeUnder(under, over))
  }
  return merged
}
