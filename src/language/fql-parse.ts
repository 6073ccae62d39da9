/** FQL text to its tree: recursive descent over the grammar of the contract (destinations.md §8.1). `and` binds tighter
 *  than `or`, `!` tighter still. */
import {
  comparisonOperators,
  FQL_BYTES_MAX,
  FQL_DEPTH_MAX,
  type ComparisonOperator,
  type Expression,
} from './fql-expression.ts'
import { functionNamed, functionNames } from './fql-functions.ts'
import { FqlSyntaxError, tokenize, type Token } from './fql-tokens.ts'
import { compileGlob, GlobError } from './glob.ts'

export type FqlParse =
  | { ok: true; expression: Expression }
  /** `position` is the index of the character in the text. */
  | { ok: false; message: string; position: number }

/** Never throws, whatever the text. The expression is a condition: something that can be true or false. */
export function parseFql(text: string): FqlParse {
  try {
    return { ok: true, expression: parse(text) }
  } catch (error) {
    if (error instanceof FqlSyntaxError) return { ok: false, message: error.message, position: error.position }
    throw error
  }
}

function parse(text: string): Expression {
  if (Buffer.byteLength(text) > FQL_BYTES_MAX) {
    throw new FqlSyntaxError(`The expression is longer than ${FQL_BYTES_MAX} bytes`, 0)
  }
  const cursor = new Cursor(tokenize(text))
  if (cursor.peek().kind === 'end') throw new FqlSyntaxError('The expression is empty', 0)
  const expression = parseCondition(cursor, parseOr)
  const rest = cursor.peek()
  if (rest.kind !== 'end') throw new FqlSyntaxError(`${described(rest)} cannot follow here`, rest.position)
  return expression
}

class Cursor {
  private readonly tokens: Token[]
  private index = 0
  private depth = 0

  constructor(tokens: Token[]) {
    this.tokens = tokens
  }

  peek(): Token {
    // The last token is `end` and is never taken.
    return this.tokens[this.index] as Token
  }

  take(): Token {
    const token = this.peek()
    if (token.kind !== 'end') this.index++
    return token
  }

  /** Takes the next token if it is this symbol or keyword. */
  takeIf(text: string): boolean {
    const token = this.peek()
    if (!(token.kind === 'symbol' && token.symbol === text) && !(token.kind === 'path' && token.word === text))
      return false
    this.index++
    return true
  }

  expect(symbol: string): void {
    const token = this.peek()
    if (!this.takeIf(symbol))
      throw new FqlSyntaxError(`${symbol} is missing before ${described(token)}`, token.position)
  }

  nested<T>(run: () => T): T {
    if (++this.depth > FQL_DEPTH_MAX) {
      throw new FqlSyntaxError(`The expression is nested deeper than ${FQL_DEPTH_MAX} levels`, this.peek().position)
    }
    const result = run()
    this.depth--
    return result
  }
}

function parseOr(cursor: Cursor): Expression {
  return parseChain(cursor, 'or', parseAnd)
}

function parseAnd(cursor: Cursor): Expression {
  return parseChain(cursor, 'and', parseUnary)
}

function parseChain(cursor: Cursor, kind: 'and' | 'or', parseOperand: (cursor: Cursor) => Expression): Expression {
  const start = cursor.peek().position
  const first = parseOperand(cursor)
  if (!cursor.takeIf(kind)) return first
  const operands = [asCondition(first, start)]
  do operands.push(parseCondition(cursor, parseOperand))
  while (cursor.takeIf(kind))
  return { kind, operands }
}

function parseUnary(cursor: Cursor): Expression {
  if (!cursor.takeIf('!')) return parseComparison(cursor)
  return { kind: 'not', operand: cursor.nested(() => parseCondition(cursor, parseUnary)) }
}

function parseComparison(cursor: Cursor): Expression {
  const left = parseValue(cursor)
  const operator = takeComparison(cursor)
  return operator ? { kind: 'compare', operator, left, right: parseValue(cursor) } : left
}

function takeComparison(cursor: Cursor): ComparisonOperator | undefined {
  return comparisonOperators.find((operator) => cursor.takeIf(operator))
}

function parseValue(cursor: Cursor): Expression {
  const token = cursor.take()
  switch (token.kind) {
    case 'string':
    case 'number':
      return { kind: 'literal', value: token.value }
    case 'path':
      return parseName(cursor, token)
    case 'symbol':
      if (token.symbol === '(') return parseParenthesis(cursor)
      if (token.symbol === '[') return { kind: 'list', items: parseItems(cursor, ']') }
      break
    case 'end':
      break
  }
  throw new FqlSyntaxError(`A value is missing before ${described(token)}`, token.position)
}

function parseParenthesis(cursor: Cursor): Expression {
  const inner = cursor.nested(() => parseOr(cursor))
  cursor.expect(')')
  return inner
}

function parseItems(cursor: Cursor, end: ')' | ']'): Expression[] {
  return cursor.nested(() => {
    const items = [parseValue(cursor)]
    while (cursor.takeIf(',')) items.push(parseValue(cursor))
    cursor.expect(end)
    return items
  })
}

const keywords = new Map<string, Expression>([
  ['true', { kind: 'literal', value: true }],
  ['false', { kind: 'literal', value: false }],
  ['null', { kind: 'literal', value: null }],
])

function parseName(cursor: Cursor, token: Extract<Token, { kind: 'path' }>): Expression {
  const { word, position } = token
  if (word === undefined) return { kind: 'path', keys: token.keys }
  const literal = keywords.get(word)
  if (literal) return literal
  if (word === 'and' || word === 'or' || word === 'in') {
    throw new FqlSyntaxError(`A value is missing before ${described(token)}`, position)
  }
  return cursor.takeIf('(') ? parseCall(cursor, word, position) : { kind: 'path', keys: token.keys }
}

function parseCall(cursor: Cursor, name: string, position: number): Expression {
  const definition = functionNamed(name)
  if (!definition) {
    throw new FqlSyntaxError(`There is no function ${name}(); there are ${functionNames.join(', ')}`, position)
  }
  const args = parseItems(cursor, ')')
  if (args.length !== definition.arity) {
    const wanted = definition.arity === 1 ? 'one argument' : 'two arguments'
    throw new FqlSyntaxError(`${name}() takes ${wanted}, not ${args.length}`, position)
  }
  if (name === 'match') checkPattern(args[1] as Expression, position)
  return { kind: 'call', name, args }
}

function checkPattern(pattern: Expression, position: number): void {
  if (pattern.kind !== 'literal' || typeof pattern.value !== 'string') return
  try {
    compileGlob(pattern.value)
  } catch (error) {
    if (error instanceof GlobError) throw new FqlSyntaxError(error.message, position)
    throw error
  }
}

function parseCondition(cursor: Cursor, parseOperand: (cursor: Cursor) => Expression): Expression {
  const start = cursor.peek().position
  return asCondition(parseOperand(cursor), start)
}

/** Refuses what can never be true or false, so that it is found when it is saved and not with the first message. */
function asCondition(expression: Expression, position: number): Expression {
  const { kind } = expression
  const isNever =
    kind === 'list' ||
    (kind === 'literal' && expression.value !== null && typeof expression.value !== 'boolean') ||
    (kind === 'call' && functionNamed(expression.name)?.isCondition === false)
  if (isNever) throw new FqlSyntaxError('This is a value where something true or false is needed', position)
  return expression
}

function described(token: Token): string {
  switch (token.kind) {
    case 'end':
      return 'the end'
    case 'string':
      return `the string ${JSON.stringify(token.value)}`
    case 'number':
      return `the number ${token.value}`
    case 'path':
      return `"${token.keys.join('.')}"`
    case 'symbol':
      return `"${token.symbol}"`
  }
}
