/** The functions of FQL, with what each makes of null (contract: destinations.md §8.1). */
import { FqlEvaluationError } from './fql-expression.ts'
import { compileGlob, GlobError } from './glob.ts'

export interface FqlFunction {
  arity: 1 | 2
  /** True when the answer is a boolean, so that a call can stand as a condition. */
  isCondition: boolean
  call(first: unknown, second: unknown): unknown
}

const table: Record<string, FqlFunction> = {
  contains: { arity: 2, isCondition: true, call: contains },
  match: { arity: 2, isCondition: true, call: match },
  length: { arity: 1, isCondition: false, call: length },
  lowercase: text('lowercase', (value) => value.toLowerCase()),
  uppercase: text('uppercase', (value) => value.toUpperCase()),
  snakecase: text('snakecase', (value) => wordsOf(value).join('_').toLowerCase()),
  kebabcase: text('kebabcase', (value) => wordsOf(value).join('-').toLowerCase()),
  titlecase: text('titlecase', (value) => wordsOf(value).map(capitalized).join(' ')),
  typeof: { arity: 1, isCondition: false, call: typeName },
  bool: { arity: 1, isCondition: true, call: toBoolean },
  string: { arity: 1, isCondition: false, call: toText },
  number: { arity: 1, isCondition: false, call: toNumber },
}

export const functionNames = Object.keys(table)

/** The function of that name, or undefined. */
export function functionNamed(name: string): FqlFunction | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

/** The name of a value's type as `typeof()` gives it. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'list'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function contains(value: unknown, part: unknown): boolean {
  if (value === null || part === null) return false
  return asText('contains', value).includes(asText('contains', part))
}

function match(value: unknown, pattern: unknown): boolean {
  if (value === null || pattern === null) return false
  const subject = asText('match', value)
  return globbing(() => compileGlob(asText('match', pattern)).matches(subject))
}

/** Runs `run`; a fault of the pattern becomes a failure of the expression. */
export function globbing(run: () => boolean): boolean {
  try {
    return run()
  } catch (error) {
    if (error instanceof GlobError) throw new FqlEvaluationError(`match: ${error.message}`)
    throw error
  }
}

function length(value: unknown): number {
  if (value === null) return 0
  if (Array.isArray(value)) return value.length
  if (typeof value === 'string') return Buffer.byteLength(value)
  throw wrongType('length', 'a string or a list', value)
}

function text(name: string, change: (value: string) => string): FqlFunction {
  return { arity: 1, isCondition: false, call: (value) => (value === null ? null : change(asText(name, value))) }
}

// Runs of capitals, capitalised or small words, and numbers, as in lodash: `XMLHttpRequest2` is XML, Http, Request, 2.
const WORD = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+|[\p{L}\p{M}]+/gu

function wordsOf(value: string): string[] {
  return value.match(WORD) ?? []
}

function capitalized(word: string): string {
  const [first = '', ...rest] = word
  return first.toUpperCase() + rest.join('').toLowerCase()
}

function toBoolean(value: unknown): boolean {
  if (value === null) return false
  if (typeof value === 'boolean') return value
  if (typeof value === 'number') return value !== 0
  if (value === 'true') return true
  if (value === 'false' || value === '') return false
  throw wrongType('bool', 'a boolean, a number, "true" or "false"', value)
}

function toText(value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'object') throw wrongType('string', 'a string, a number or a boolean', value)
  return String(value)
}

function toNumber(value: unknown): number {
  if (value === null) return 0
  if (typeof value === 'number') return value
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN
  if (Number.isFinite(number)) return number
  throw wrongType('number', 'a number or the text of one', value)
}

export function asText(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw wrongType(name, 'a string', value)
}

function wrongType(name: string, wanted: string, value: unknown): FqlEvaluationError {
  return new FqlEvaluationError(`${name}() takes ${wanted}, but the value is a ${typeName(value)}`)
}
