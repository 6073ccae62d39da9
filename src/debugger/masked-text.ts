/** The write key is a credential, and some clients put it into the message: it is not shown. */
import { isJsonObject } from '../protocol/index.ts'

export const MASK = '***'

/** JSON of a value in which whatever is called `writeKey`, at any depth, is masked. The nesting must be bounded. */
export function maskedJson(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (key === 'writeKey' && !isJsonObject(inner) ? MASK : inner))
}

/** The same of JSON text that was made by `JSON.stringify`; `value` is what it says. */
export function maskedText(text: string, value: unknown): string {
  return text.includes('"writeKey"') ? maskedJson(value) : text
}
