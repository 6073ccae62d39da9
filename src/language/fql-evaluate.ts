/** FQL trees to functions: the tree is walked once, and a message meets closures only. */
import type { JsonObject } from '../protocol/index.ts'
import { FqlEvaluationError, type ComparisonOperator, type Expression } from './fql-expression.ts'
import { asText, functionNamed, globbing, typeName } from './fql-functions.ts'
import { compileGlob } from './glob.ts'
import { compileOperandReader, readKey } from './own-properties.ts'

type Evaluate<T> = (message: JsonObject) => T

/** The function answers for one message, or throws FqlEvaluationError when the types in the message do not fit. */
export function compileFql(expression: Expression): Evaluate<boolean> {
  switch (expression.kind) {
    case 'and': {
      const operands = expression.operands.map(compileFql)
      return (message) => operands.every((operand) => operand(message))
    }
    case 'or': {
      const operands = expression.operands.map(compileFql)
      return (message) => operands.some((operand) => operand(message))
    }
    case 'not': {
      const operand = compileFql(expression.operand)
      return (message) => !operand(message)
    }
    case 'compare':
      return compileComparison(expression)
    default: {
      const value = compileValue(expression)
      return (message) => asCondition(value(message))
    }
  }
}

/** Null, and so what is missing, counts as false. */
function asCondition(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  if (value === null) return false
  throw new FqlEvaluationError(`Something true or false is needed, but the value is a ${typeName(value)}`)
}

function compileValue(expression: Expression): Evaluate<unknown> {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      return () => value
    }
    case 'path':
      return compilePath(expression.keys)
    case 'list': {
      const items = expression.items.map(compileValue)
      return (message) => items.map((item) => item(message))
    }
    case 'call':
      return compileCall(expression.name, expression.args)
    default:
      return compileFql(expression)
  }
}

function compilePath(keys: string[]): Evaluate<unknown> {
  const read = compileOperandReader(keys)
  const [root = '', ...rest] = keys
  // Segment's documentation writes the time of receipt both ways.
  const other = root === 'received_at' ? 'receivedAt' : root === 'receivedAt' ? 'received_at' : undefined
  if (other === undefined) return (message) => read(message) ?? null
  const readOther = compileOperandReader([other, ...rest])
  return (message) => (readKey(message, root) === undefined ? readOther(message) : read(message)) ?? null
}

function compileCall(name: string, args: Expression[]): Evaluate<unknown> {
  const definition = functionNamed(name)
  const [first, second] = args
  // The parser makes calls of known functions with the right number of arguments; a tree made by hand may be wrong.
  if (!definition || !first || args.length !== definition.arity)
    throw new FqlEvaluationError(`No function ${name}/${args.length}`)
  const firstValue = compileValue(first)
  if (!second) return (message) => definition.call(firstValue(message), null)
  if (name === 'match' && second.kind === 'literal' && typeof second.value === 'string') {
    return compileMatch(firstValue, second.value)
  }
  const secondValue = compileValue(second)
  return (message) => definition.call(firstValue(message), secondValue(message))
}

function compileMatch(subject: Evaluate<unknown>, pattern: string): Evaluate<boolean> {
  const glob = compileGlob(pattern)
  return (message) => {
    const value = subject(message)
    return value !== null && globbing(() => glob.matches(asText('match', value)))
  }
}

function compileComparison(expression: Extract<Expression, { kind: 'compare' }>): Evaluate<boolean> {
  const left = compileValue(expression.left)
  const right = compileValue(expression.right)
  switch (expression.operator) {
    case '=':
      return (message) => isEqual(left(message), right(message))
    case '!=':
      return (message) => !isEqual(left(message), right(message))
    case 'in':
      return (message) => isIn(left(message), right(message))
    default: {
      const { operator } = expression
      return (message) => isOrdered(operator, left(message), right(message))
    }
  }
}

/** Strict: no coercion, different types are not equal; lists are equal item by item. */
function isEqual(left: unknown, right: unknown): boolean {
  if (!Array.isArray(left) || !Array.isArray(right)) return left === right
  return left.length === right.length && left.every((item, index) => isEqual(item, right[index]))
}

function isIn(value: unknown, list: unknown): boolean {
  if (list === null) return false
  if (!Array.isArray(list)) throw new FqlEvaluationError(`in needs a list, but the value is a ${typeName(list)}`)
  return list.some((item) => isEqual(value, item))
}

/** Two numbers, or two strings character by character (ISO times); null is neither less nor more than anything. */
function isOrdered(operator: Exclude<ComparisonOperator, '=' | '!=' | 'in'>, left: unknown, right: unknown): boolean {
  if (left === null || right === null) return false
  if (typeof left === 'number' && typeof right === 'number') return compare(operator, left, right)
  if (typeof left === 'string' && typeof right === 'string') return compare(operator, left, right)
  throw new FqlEvaluationError(
    `${operator} compares two numbers or two strings, not a ${typeName(left)} and a ${typeName(right)}`,
  )
}

function compare<T extends number | string>(operator: '>' | '>=' | '<' | '<=', left: T, right: T): boolean {
  switch (operator) {
    case '>':
      return left > right
    case '>=':
      return left >= right
    case '<':
      return left < right
    case '<=':
      return left <= right
  }
}
