/**
 * From the bytes of a request to JSON values, without losing what JavaScript's numbers cannot hold and without letting
 * anything nested without end past this point.
 */
import { isUtf8 } from 'node:buffer'
import { AppError } from '../base/errors.ts'
import { jsonWithSourceText } from './json-values.ts'

/** Levels of nesting of a message, itself being the first (contract: spec.md §2). */
export const MESSAGE_LEVELS_MAX = 100

/** Levels of a body that are kept: a message of a batch begins at the third, and one level too many has to stay visible. */
const BODY_LEVELS_MAX = MESSAGE_LEVELS_MAX + 3

export interface ParsedBody {
  value: unknown
  /** Bytes of the text as it was sent. */
  bytes: number
  /** Levels of nesting as sent; `value` has at most 103 of them, deeper containers are null there. */
  nesting: number
}

/** Parses what a door needs to see of a body (write key, number of messages): numbers may lose digits, depth is not checked.
 *  Throws `bad_request` for what is not JSON in UTF-8. */
export function parseJson(bytes: Uint8Array): unknown {
  return parsePlain(decodeUtf8(bytes))
}

/** Parses a body for splitting: numbers that a double would change stay exact (`JSON.rawJSON`), nesting is bounded.
 *  Throws `bad_request` for what is not JSON in UTF-8. */
export function parseBody(bytes: Uint8Array): ParsedBody {
  const text = decodeUtf8(bytes)
  const { nesting, hasLongNumber } = scanText(text)
  const parsed = { bytes: bytes.byteLength, nesting }
  if (nesting <= BODY_LEVELS_MAX)
    return { value: hasLongNumber ? parseKeepingDigits(text) : parsePlain(text), ...parsed }
  // V8 parses any depth without recursion, but its reviver, and whoever walks or prints the value later, recurses. So the text
  // is checked as a whole, and then what lies too deep is cut out of it. Whatever holds the cut is rejected as `too_deep`.
  parsePlain(text)
  return { value: parseKeepingDigits(cutBelow(text, BODY_LEVELS_MAX)), ...parsed }
}

/** Parses JSON text with exact numbers; as fast as `JSON.parse` where the text holds none that needs care. The text must not
 *  be nested deeper than some thousand levels. Throws `bad_request`. */
export function parseExactly(text: string): unknown {
  return scanText(text).hasLongNumber ? parseKeepingDigits(text) : parsePlain(text)
}

function decodeUtf8(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new AppError('bad_request', 400, 'The body is not valid UTF-8.')
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString('utf8')
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text
}

const BYTE_ORDER_MARK = 0xfeff

function parsePlain(text: string): unknown {
  return catchSyntax(() => JSON.parse(text))
}

function catchSyntax(parse: () => unknown): unknown {
  try {
    return parse()
  } catch {
    // V8's own sentence quotes the body, which may hold what must not be logged.
    throw new AppError('bad_request', 400, 'The body is not valid JSON.')
  }
}

function parseKeepingDigits(text: string): unknown {
  return catchSyntax(() => jsonWithSourceText.parse(text, keepDigits))
}

function keepDigits(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || context.source === undefined) return value
  return isExact(context.source, value) ? value : jsonWithSourceText.rawJSON(context.source)
}

/** Whether the double prints as the decimal that was sent: `1.50` and `1e3` do, `9007199254740993` does not. A long number without
 *  an exponent does not get one either (`1000000000000000000000` would print as `1e+21`, and it may be somebody's id). */
function isExact(source: string, value: number): boolean {
  if (!Number.isFinite(value)) return false
  const printed = String(value)
  if (source === printed) return true
  return printed.includes('e') && !/e/i.test(source) ? false : canonicalDecimal(source) === canonicalDecimal(printed)
}

/** One spelling for each decimal: the digits without zeros at either end, and the power of ten of the last one. Drops the sign. */
function canonicalDecimal(number: string): string {
  const exponentAt = number.search(/[eE]/)
  const mantissa = exponentAt < 0 ? number : number.slice(0, exponentAt)
  const point = mantissa.indexOf('.')
  const digits = mantissa.replace(/[-.]/g, '')
  // Loops, because a pattern such as /0+$/ takes quadratic time on long runs of zeros.
  let first = 0
  while (first < digits.length && digits[first] === '0') first += 1
  let end = digits.length
  while (end > first && digits[end - 1] === '0') end -= 1
  if (first === end) return '0'
  const fraction = point < 0 ? 0 : mantissa.length - point - 1
  const exponent = exponentAt < 0 ? 0 : Number(number.slice(exponentAt + 1))
  return `${digits.slice(first, end)}e${exponent - fraction + digits.length - end}`
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const ZERO = 0x30
const NINE = 0x39
const POINT = 0x2e

/** Digits that always survive a double. */
const SAFE_DIGITS = 15

/** One pass over JSON text for what decides how it is parsed: its levels of nesting, and whether it holds a number that
 *  `JSON.parse` might change (more than 15 digits, or an exponent). About a third of the cost of parsing, where a reviver for every
 *  body would be six times that cost. For broken text the answer means nothing, but there is one. */
function scanText(text: string): { nesting: number; hasLongNumber: boolean } {
  let depth = 0
  let nesting = 0
  let hasLongNumber = false
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = endOfString(text, i)
    else if (code >= ZERO && code <= NINE) {
      const end = endOfNumber(text, i)
      if (end - i > SAFE_DIGITS || hasExponent(text, end)) hasLongNumber = true
      i = end - 1
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1
      if (depth > nesting) nesting = depth
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1
  }
  return { nesting, hasLongNumber }
}

/** One past the digits and the point of a number. */
function endOfNumber(text: string, start: number): number {
  let end = start + 1
  for (; end < text.length; end += 1) {
    const code = text.charCodeAt(end)
    if ((code < ZERO || code > NINE) && code !== POINT) break
  }
  return end
}

/** Whether the digits that end here go on with an exponent (`e` or `E`). */
function hasExponent(text: string, end: number): boolean {
  return (text.charCodeAt(end) | 0x20) === 0x65
}

/** Valid JSON text with `null` in the place of every container below the given level. */
function cutBelow(text: string, levelsMax: number): string {
  const kept: string[] = []
  let keptUpTo = 0
  let depth = 0
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = endOfString(text, i)
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1
      if (depth === levelsMax + 1) kept.push(text.slice(keptUpTo, i), 'null')
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1
      if (depth === levelsMax) keptUpTo = i + 1
    }
  }
  kept.push(text.slice(keptUpTo))
  return kept.join('')
}

/** Index of the closing quote of the string that opens at `start`; the end of the text when there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end < 0 ? text.length : end
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1
  return backslashes % 2 === 1
}
