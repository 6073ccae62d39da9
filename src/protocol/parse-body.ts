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
  const nesting = nestingOf(text)
  if (nesting <= BODY_LEVELS_MAX) return { value: parseExactly(text), bytes: bytes.byteLength, nesting }
  // V8 parses any depth without recursion, but its reviver, and whoever walks or prints the value later, recurses. So the text
  // is checked as a whole, and then what lies too deep is cut out of it. Whatever holds the cut is rejected as `too_deep`.
  parsePlain(text)
  return { value: parseExactly(cutBelow(text, BODY_LEVELS_MAX)), bytes: bytes.byteLength, nesting }
}

/** Parses JSON text with exact numbers, at the price of plain `JSON.parse` where the text holds none that needs care.
 *  The text must not be nested deeper than some thousand levels. Throws `bad_request`. */
export function parseExactly(text: string): unknown {
  if (!INEXACT_NUMBER.test(text)) return parsePlain(text)
  return catchSyntax(() => jsonWithSourceText.parse(text, keepDigits))
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

// A token that `JSON.parse` might change, in the place of a number: 16 digits or more (15 always survive), or an exponent. Text
// inside strings can match too, which costs time only. The long run comes first: it bounds what the second branch may retry.
const INEXACT_NUMBER = /[:,[]\s*-?(?:[\d.]{16}|\d+\.?\d*[eE])/

function keepDigits(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || context.source === undefined) return value
  return isExact(context.source, value) ? value : jsonWithSourceText.rawJSON(context.source)
}

/** Whether the decimal that was sent is the one that the double prints as (`1.50` and `1e3` are, `9007199254740993` is not). */
function isExact(source: string, value: number): boolean {
  if (!Number.isFinite(value)) return false
  const printed = String(value)
  return source === printed || canonicalDecimal(source) === canonicalDecimal(printed)
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

/** Levels of nesting of JSON text; for broken text some number. */
function nestingOf(text: string): number {
  let depth = 0
  let deepest = 0
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = endOfString(text, i)
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1
      if (depth > deepest) deepest = depth
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1
  }
  return deepest
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
