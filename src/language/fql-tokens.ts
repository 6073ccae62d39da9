/** Cuts FQL text into tokens. One pass, no backtracking. */

export type Token = { position: number } & (
  | { kind: 'string'; value: string }
  | { kind: 'number'; value: number }
  /** A path; `word` is its text when it is one name without escapes, and so may be a keyword or a function. */
  | { kind: 'path'; keys: string[]; word: string | undefined }
  | { kind: 'symbol'; symbol: string }
  | { kind: 'end' }
)

export class FqlSyntaxError extends Error {
  override name = 'FqlSyntaxError'
  /** Index of the character in the text. */
  readonly position: number
  constructor(message: string, position: number) {
    super(message)
    this.position = position
  }
}

const symbols = ['!=', '>=', '<=', '(', ')', '[', ']', ',', '=', '>', '<', '!']

// What people who know other languages type, and what FQL calls it.
const foreign: Record<string, string> = { '==': '=', '&&': 'and', '||': 'or', '<>': '!=' }

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\r\n]/
const NAME = /[A-Za-z0-9_-]/

/** Throws FqlSyntaxError. The last token is `end`. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let position = 0
  while (position < text.length) {
    const character = text[position] as string
    if (SPACE.test(character)) {
      position++
      continue
    }
    const { token, next } = readToken(text, position, character)
    tokens.push(token)
    position = next
  }
  tokens.push({ kind: 'end', position })
  return tokens
}

interface Read {
  token: Token
  next: number
}

function readToken(text: string, position: number, character: string): Read {
  if (character === '"' || character === "'") return readString(text, position, character)
  const number = readNumber(text, position)
  if (number) return number
  if (isNameStart(character)) return readPath(text, position)
  const two = text.slice(position, position + 2)
  const instead = foreign[two]
  if (instead) throw new FqlSyntaxError(`FQL writes ${instead} rather than ${two}`, position)
  const symbol = symbols.find((candidate) => two.startsWith(candidate))
  if (symbol) return { token: { kind: 'symbol', symbol, position }, next: position + symbol.length }
  throw new FqlSyntaxError(unexpected(character), position)
}

/** In strings a backslash makes the next quote or backslash plain; before anything else it stays, for globs (`\*`). */
function readString(text: string, start: number, quote: string): Read {
  let value = ''
  for (let index = start + 1; index < text.length; index++) {
    const character = text[index] as string
    if (character === quote) return { token: { kind: 'string', value, position: start }, next: index + 1 }
    const following = text[index + 1]
    if (character === '\\' && (following === '"' || following === "'" || following === '\\')) {
      value += following
      index++
    } else value += character
  }
  throw new FqlSyntaxError(`The string that starts here has no closing ${quote}`, start)
}

function readNumber(text: string, start: number): Read | undefined {
  NUMBER.lastIndex = start
  const digits = NUMBER.exec(text)?.[0]
  if (digits === undefined) return undefined
  const next = start + digits.length
  const following = text[next]
  // `2nd` and `1.a` are names.
  if (following !== undefined && (isNameStart(following) || following === '.')) return undefined
  const value = Number(digits)
  if (!Number.isFinite(value)) throw new FqlSyntaxError('The number is too large', start)
  return { token: { kind: 'number', value, position: start }, next }
}

function readPath(text: string, start: number): Read {
  const keys: string[] = []
  let index = start
  for (;;) {
    const key = readKeyName(text, index)
    keys.push(key.name)
    index = key.next
    if (text[index] !== '.') break
    index++
    if (!isNameStart(text[index])) throw new FqlSyntaxError('A name must follow the dot', index)
  }
  const plain = text.slice(start, index)
  return { token: { kind: 'path', keys, word: plain === keys[0] ? plain : undefined, position: start }, next: index }
}

function readKeyName(text: string, start: number): { name: string; next: number } {
  let name = ''
  let index = start
  while (isNameStart(text[index])) {
    if (text[index] !== '\\') {
      name += text[index++]
      continue
    }
    const code = text.codePointAt(index + 1)
    if (code === undefined) throw new FqlSyntaxError('The \\ at the end escapes nothing', index)
    const escaped = String.fromCodePoint(code)
    name += escaped
    index += 1 + escaped.length
  }
  return { name, next: index }
}

function isNameStart(character: string | undefined): boolean {
  return character !== undefined && (character === '\\' || NAME.test(character))
}

function unexpected(character: string): string {
  return `${JSON.stringify(character)} cannot stand here (in a name, write \\ before it)`
}
