/**
 * Triggers of mappings (contract: destinations.md §8.2). A trigger is FQL text, and the conditions that Segment's form can
 * build have rules of their own: a condition on a value of the wrong type is false, its negation too. The tree of those
 * conditions has Segment's shape; whatever else FQL can say stays an FQL expression and follows the rules of filters.
 * Deciding a trigger never fails: what cannot be decided does not match.
 */
import { calls, type Call, type JsonObject } from '../protocol/index.ts'
import { compileFql } from './fql-evaluate.ts'
import { FqlEvaluationError, pathsOf, type ComparisonOperator, type Expression, type Scalar } from './fql-expression.ts'
import { formatFql } from './fql-format.ts'
import { parseFql } from './fql-parse.ts'
import { compileGlob, escapeGlob } from './glob.ts'
import { compileOperandReader } from './own-properties.ts'

export interface TriggerGroup {
  type: 'group'
  operator: 'and' | 'or'
  children: TriggerCondition[]
}

export type TriggerCondition =
  | TriggerGroup
  | ({ type: 'event-type' | 'event' | 'name' | 'userId' } & TriggerTest)
  /** `name` is the path below `properties`, `traits` or `context`, joined by dots; a dot inside a key is `\.`. */
  | ({ type: 'event-property' | 'event-trait' | 'event-context'; name: string } & TriggerTest)
  | { type: 'fql'; expression: Expression }

export interface TriggerTest {
  operator: TriggerOperator
  value?: string | number | boolean
}

export type TriggerOperator =
  | ('=' | '!=' | '<' | '<=' | '>' | '>=' | 'number_equals' | 'number_not_equals')
  | ('contains' | 'not_contains' | 'starts_with' | 'not_starts_with' | 'ends_with' | 'not_ends_with')
  | ('exists' | 'not_exists' | 'is_true' | 'is_false')

export type TriggerParse = { ok: true; trigger: TriggerGroup } | { ok: false; message: string; position: number }

/** Never throws, whatever the text. */
export function parseTrigger(text: string): TriggerParse {
  const parsed = parseFql(text)
  if (!parsed.ok) return parsed
  const condition = conditionOf(parsed.expression)
  // Segment refuses a path alone (`typo`), and so a misspelt trigger is found when it is saved.
  if (parsed.expression.kind === 'path') {
    return { ok: false, message: 'The condition needs an operator after the path', position: text.length }
  }
  return {
    ok: true,
    trigger: condition.type === 'group' ? condition : { type: 'group', operator: 'and', children: [condition] },
  }
}

/** The text of a trigger. */
export function formatTrigger(trigger: TriggerGroup): string {
  return formatFql(expressionOf(trigger))
}

/** A function that never throws. A text that does not parse matches nothing. */
export function compileTrigger(text: string): (message: JsonObject) => boolean {
  const parsed = parseTrigger(text)
  return parsed.ok ? compileTriggerTree(parsed.trigger) : () => false
}

/** As `compileTrigger`, from the tree. */
export function compileTriggerTree(condition: TriggerCondition): (message: JsonObject) => boolean {
  switch (condition.type) {
    case 'group': {
      const children = condition.children.map(compileTriggerTree)
      return condition.operator === 'and'
        ? (message) => children.every((child) => child(message))
        : (message) => children.some((child) => child(message))
    }
    case 'fql':
      return orFalse(compileFql(condition.expression))
    default: {
      const read = compileOperandReader(subjectOf(condition))
      const test = compileTest(condition)
      return (message) => test(read(message))
    }
  }
}

/** What is wrong with the text, as a sentence for the person who wrote it; undefined when it is a trigger. */
export function checkTrigger(text: string): string | undefined {
  const parsed = parseTrigger(text)
  return parsed.ok ? undefined : `The trigger does not parse at character ${parsed.position + 1}: ${parsed.message}.`
}

/** The calls that match when the trigger looks at nothing but `type`, so that it can be decided without parsing the
 *  message; undefined when it looks at more. A text that does not parse matches no call. */
export function triggerNeedsOnlyType(text: string): ReadonlySet<Call> | undefined {
  const parsed = parseFql(text)
  if (parsed.ok && !pathsOf(parsed.expression).every(({ length, 0: root }) => length === 1 && root === 'type'))
    return undefined
  const matches = compileTrigger(text)
  return new Set(calls.filter((type) => matches({ type })))
}

function orFalse(decide: (message: JsonObject) => boolean): (message: JsonObject) => boolean {
  return (message) => {
    try {
      return decide(message)
    } catch (error) {
      if (error instanceof FqlEvaluationError) return false
      throw error
    }
  }
}

function compileTest({ operator, value }: TriggerTest): (actual: unknown) => boolean {
  const text = String(value)
  const number = Number(value)
  switch (operator) {
    case '=':
      return (actual) => actual === text
    case '!=':
      return (actual) => actual !== text
    case 'number_equals':
      return (actual) => actual === number
    case 'number_not_equals':
      return (actual) => typeof actual === 'number' && actual !== number
    case '<':
      return (actual) => typeof actual === 'number' && actual < number
    case '<=':
      return (actual) => typeof actual === 'number' && actual <= number
    case '>':
      return (actual) => typeof actual === 'number' && actual > number
    case '>=':
      return (actual) => typeof actual === 'number' && actual >= number
    case 'contains':
      return (actual) => typeof actual === 'string' && actual.includes(text)
    case 'not_contains':
      return (actual) => typeof actual === 'string' && !actual.includes(text)
    case 'starts_with':
      return (actual) => typeof actual === 'string' && actual.startsWith(text)
    case 'not_starts_with':
      return (actual) => typeof actual === 'string' && !actual.startsWith(text)
    case 'ends_with':
      return (actual) => typeof actual === 'string' && actual.endsWith(text)
    case 'not_ends_with':
      return (actual) => typeof actual === 'string' && !actual.endsWith(text)
    case 'exists':
      return (actual) => actual !== undefined && actual !== null
    case 'not_exists':
      return (actual) => actual === undefined || actual === null
    case 'is_true':
      return (actual) => actual === true
    case 'is_false':
      return (actual) => actual === false
  }
}

type Subject =
  | { type: 'event-type' | 'event' | 'name' | 'userId' }
  | { type: 'event-property' | 'event-trait' | 'event-context'; name: string }

const fields = { type: 'event-type', event: 'event', name: 'name', userId: 'userId' } as const
const containers = { properties: 'event-property', traits: 'event-trait', context: 'event-context' } as const

/** The subject that Segment's form knows a path by. */
function subjectAt([root = '', ...rest]: string[]): Subject | undefined {
  if (rest.length === 0) {
    return Object.hasOwn(fields, root) ? { type: fields[root as keyof typeof fields] } : undefined
  }
  if (!Object.hasOwn(containers, root)) return undefined
  return {
    type: containers[root as keyof typeof containers],
    name: rest.map((key) => key.replace(/[\\.]/g, '\\$&')).join('.'),
  }
}

function subjectOf(condition: Subject): string[] {
  const { type } = condition
  for (const [root, known] of Object.entries(fields)) if (known === type) return [root]
  const [root = ''] = Object.entries(containers).find(([, known]) => known === type) ?? []
  return [root, ...keysOfName('name' in condition ? condition.name : '')]
}

function keysOfName(name: string): string[] {
  return (name.match(/(?:\\.|[^.\\])+/gsu) ?? []).map((key) => key.replace(/\\(.)/gsu, '$1'))
}

function conditionOf(expression: Expression): TriggerCondition {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return { type: 'group', operator: expression.kind, children: expression.operands.map(conditionOf) }
    case 'compare':
      return leafOf(expression.left, testOfComparison(expression.operator, expression.right), expression)
    case 'call':
      return leafOf(expression.args[0], testOfCall(expression, false), expression)
    case 'not':
      if (expression.operand.kind !== 'call') return { type: 'fql', expression }
      return leafOf(expression.operand.args[0], testOfCall(expression.operand, true), expression)
    default:
      return { type: 'fql', expression }
  }
}

function leafOf(
  subject: Expression | undefined,
  test: TriggerTest | undefined,
  expression: Expression,
): TriggerCondition {
  const known = subject?.kind === 'path' ? subjectAt(subject.keys) : undefined
  return known && test ? { ...known, ...test } : { type: 'fql', expression }
}

function testOfComparison(operator: ComparisonOperator, right: Expression): TriggerTest | undefined {
  if (right.kind !== 'literal' || operator === 'in') return undefined
  const { value } = right
  if (value === null)
    return operator === '=' ? { operator: 'not_exists' } : operator === '!=' ? { operator: 'exists' } : undefined
  if (typeof value === 'boolean') return operator === '=' ? { operator: value ? 'is_true' : 'is_false' } : undefined
  if (operator === '=' && typeof value === 'number') return { operator: 'number_equals', value }
  if (operator === '!=' && typeof value === 'number') return { operator: 'number_not_equals', value }
  return { operator, value }
}

function testOfCall(
  { name, args }: Extract<Expression, { kind: 'call' }>,
  isNegated: boolean,
): TriggerTest | undefined {
  const argument = args[1]
  if (argument?.kind !== 'literal' || typeof argument.value !== 'string') return undefined
  if (name === 'contains') return { operator: isNegated ? 'not_contains' : 'contains', value: argument.value }
  const affix = name === 'match' ? compileGlob(argument.value).affix : undefined
  if (!affix) return undefined
  const operator = affix.kind === 'prefix' ? 'starts_with' : 'ends_with'
  return { operator: isNegated ? `not_${operator}` : operator, value: affix.text }
}

function expressionOf(condition: TriggerCondition): Expression {
  if (condition.type === 'fql') return condition.expression
  if (condition.type !== 'group') return expressionOfTest({ kind: 'path', keys: subjectOf(condition) }, condition)
  const [only, ...more] = condition.children.map(expressionOf)
  // A group of one says what its only child says; a group of none is what `every` and `some` make of nothing.
  if (!only) return { kind: 'literal', value: condition.operator === 'and' }
  return more.length === 0 ? only : { kind: condition.operator, operands: [only, ...more] }
}

function expressionOfTest(subject: Expression, { operator, value = '' }: TriggerTest): Expression {
  const compare = (comparison: ComparisonOperator, right: Scalar): Expression => ({
    kind: 'compare',
    operator: comparison,
    left: subject,
    right: { kind: 'literal', value: right },
  })
  const call = (name: string, argument: string): Expression => ({
    kind: 'call',
    name,
    args: [subject, { kind: 'literal', value: argument }],
  })
  const not = (operand: Expression): Expression => ({ kind: 'not', operand })
  const text = String(value)
  switch (operator) {
    case '=':
    case '!=':
      return compare(operator, text)
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compare(operator, value)
    case 'number_equals':
      return compare('=', Number(value))
    case 'number_not_equals':
      return compare('!=', Number(value))
    case 'contains':
      return call('contains', text)
    case 'not_contains':
      return not(call('contains', text))
    case 'starts_with':
      return call('match', `${escapeGlob(text)}*`)
    case 'not_starts_with':
      return not(call('match', `${escapeGlob(text)}*`))
    case 'ends_with':
      return call('match', `*${escapeGlob(text)}`)
    case 'not_ends_with':
      return not(call('match', `*${escapeGlob(text)}`))
    case 'exists':
      return compare('!=', null)
    case 'not_exists':
      return compare('=', null)
    case 'is_true':
      return compare('=', true)
    case 'is_false':
      return compare('=', false)
  }
}
