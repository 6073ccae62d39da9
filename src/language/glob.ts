/**
 * Globs of FQL: `*` any characters, `?` exactly one, `[abc]` and `[a-z]` one of a set, `\x` the character itself.
 * A glob is cut at its stars; the first and last piece are anchored and those between are looked for from left to right,
 * which needs no backtracking. The work on one text is bounded besides, because a pattern may come from the message.
 */

/** Characters compared for one text before the match is given up: some milliseconds, and far above any honest pattern. */
export const GLOB_STEPS_MAX = 1_000_000

export class GlobError extends Error {
  override name = 'GlobError'
}

/** One character: itself, any (`null`), or one of the ranges of code points. */
type Unit = string | null | readonly [from: number, to: number][]

export interface Glob {
  matches(text: string): boolean
  /** What the text must start or end with, when the glob says only that (`abc*`, `*abc`). */
  readonly affix: { kind: 'prefix' | 'suffix'; text: string } | undefined
}

/** Throws GlobError for an unfinished `[`, an empty set, a range that goes backwards or a `\` at the end. */
export function compileGlob(pattern: string): Glob {
  const pieces = parsePieces(pattern)
  const literals = pieces.map(literalOf)
  const isLiteral = (literal: string | undefined): literal is string => literal !== undefined
  const matches = literals.every(isLiteral)
    ? (text: string) => matchesLiterals(text, literals)
    : (text: string) => matchesUnits(Array.from(text), pieces)
  return { matches, affix: affixOf(literals) }
}

/** A pattern that matches exactly this text. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&')
}

function parsePieces(pattern: string): Unit[][] {
  const characters = Array.from(pattern)
  const pieces: Unit[][] = [[]]
  let index = 0
  while (index < characters.length) {
    const character = characters[index++] as string
    if (character === '*') pieces.push([])
    else if (character === '?') pieces.at(-1)?.push(null)
    else if (character === '[') {
      const set = parseSet(characters, index)
      pieces.at(-1)?.push(set.ranges)
      index = set.next
    } else if (character === '\\') {
      const escaped = characters[index++]
      if (escaped === undefined) throw new GlobError('The pattern ends with a \\ that escapes nothing')
      pieces.at(-1)?.push(escaped)
    } else pieces.at(-1)?.push(character)
  }
  return pieces
}

function parseSet(characters: string[], start: number): { ranges: [number, number][]; next: number } {
  const ranges: [number, number][] = []
  let index = start
  const take = (): number => {
    if (characters[index] === '\\') index++
    const character = characters[index++]
    if (character === undefined) throw new GlobError('The pattern has a [ without its ]')
    return character.codePointAt(0) as number
  }
  while (characters[index] !== ']') {
    const from = take()
    const isRange = characters[index] === '-' && characters[index + 1] !== ']'
    if (isRange) index++
    const to = isRange ? take() : from
    if (to < from) throw new GlobError('The pattern has a range that goes backwards')
    ranges.push([from, to])
  }
  if (ranges.length === 0) throw new GlobError('The pattern has an empty set []')
  return { ranges, next: index + 1 }
}

function literalOf(piece: Unit[]): string | undefined {
  return piece.every((unit) => typeof unit === 'string') ? piece.join('') : undefined
}

function affixOf(literals: (string | undefined)[]): Glob['affix'] {
  const [first, last] = literals
  if (literals.length !== 2 || first === undefined || last === undefined) return undefined
  if (last === '') return { kind: 'prefix', text: first }
  return first === '' ? { kind: 'suffix', text: last } : undefined
}

function matchesLiterals(text: string, pieces: string[]): boolean {
  const first = pieces[0] as string
  if (pieces.length === 1) return text === first
  const last = pieces.at(-1) as string
  const end = text.length - last.length
  if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false
  let from = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, from)
    if (found < 0) return false
    from = found + piece.length
  }
  return from <= end
}

function matchesUnits(characters: string[], pieces: Unit[][]): boolean {
  const first = pieces[0] as Unit[]
  const last = pieces.at(-1) as Unit[]
  if (pieces.length === 1) return characters.length === first.length && matchesAt(characters, 0, first)
  const end = characters.length - last.length
  if (end < first.length || !matchesAt(characters, 0, first) || !matchesAt(characters, end, last)) return false
  const steps = { left: GLOB_STEPS_MAX }
  let from = first.length
  for (const piece of pieces.slice(1, -1)) {
    while (from + piece.length <= end && !matchesAt(characters, from, piece, steps)) from++
    if (from + piece.length > end) return false
    from += piece.length
  }
  return true
}

function matchesAt(characters: string[], start: number, piece: Unit[], steps?: { left: number }): boolean {
  for (let index = 0; index < piece.length; index++) {
    if (steps && --steps.left < 0) throw new GlobError('The pattern takes too long to match this text')
    if (!matchesUnit(characters[start + index] as string, piece[index] as Unit)) return false
  }
  return true
}

function matchesUnit(character: string, unit: Unit): boolean {
  if (unit === null) return true
  if (typeof unit === 'string') return character === unit
  const code = character.codePointAt(0) as number
  return unit.some(([from, to]) => from <= code && code <= to)
}
