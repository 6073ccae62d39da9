/** A message as the call of a library that would send it: the easiest form to read. */
import { isJsonObject, isRawNumber, type JsonObject } from '../protocol/index.ts'

const identifier = /^[A-Za-z_$][\w$]*$/

/** Such as `analytics.track('Order Completed', { revenue: 99.5 })`; undefined for what is none of the six calls. What a message
 *  lacks or has wrong is shown as it is, so that it can be seen. The nesting must be bounded. */
export function libraryCall(type: string | undefined, message: JsonObject): string | undefined {
  const args = argumentsOf(type, message)
  if (args === undefined) return undefined
  while (args.length > 0 && args.at(-1) === undefined) args.pop()
  return `analytics.${type}(${args.map((value) => literal(value, '')).join(', ')})`
}

function argumentsOf(type: string | undefined, message: JsonObject): unknown[] | undefined {
  const { userId, groupId, previousId, event, category, name, properties, traits } = message
  switch (type) {
    case 'track':
      return [event, properties]
    case 'identify':
      return userId === undefined || userId === null ? [traits] : [userId, traits]
    case 'page':
    case 'screen':
      return category === undefined ? [name, properties] : [category, name, properties]
    case 'group':
      return [groupId, traits]
    case 'alias':
      return [userId, previousId]
    default:
      return undefined
  }
}

function literal(value: unknown, indent: string): string {
  if (value === undefined) return 'undefined'
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value))
    return wrapped(
      '[',
      value.map((item) => literal(item, `${indent}  `)),
      ']',
      indent,
    )
  if (!isJsonObject(value)) return isRawNumber(value) ? value.rawJSON : String(value)
  const pairs = Object.entries(value).map(([key, inner]) => `${keyOf(key)}: ${literal(inner, `${indent}  `)}`)
  return wrapped('{', pairs, '}', indent)
}

function wrapped(open: string, parts: string[], close: string, indent: string): string {
  if (parts.length === 0) return open + close
  const inner = `${indent}  `
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join('')}${indent}${close}`
}

function keyOf(key: string): string {
  // As a plain key it would set the prototype.
  if (key === '__proto__') return `['__proto__']`
  return identifier.test(key) ? key : quoted(key)
}

/** JSON's escapes are JavaScript's, between other quotes. */
function quoted(text: string): string {
  const inner = JSON.stringify(text).slice(1, -1)
  return `'${inner.replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}
