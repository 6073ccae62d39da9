/**
 * Triggers as the bundles of browser destinations read them. Their parser is smaller than FQL and never complains: it takes the last
 * `and` or `or` for all of a level, ends a group at the first `)`, takes `!(a)` for `a`, and knows no `in` and no functions but two.
 * So a trigger is written anew from its tree, in words that it reads as we do, or refused with a sentence. One difference is left:
 * a path through "", 0 or false (`properties.a.b` where `a` is 0) gives that value in the page, and nothing here.
 */
import { parseTrigger, type TriggerCondition, type TriggerGroup } from '../language/index.ts'

export type ForPage<T> = { ok: true; value: T } | { ok: false; problem: string }

type Leaf = Exclude<TriggerCondition, TriggerGroup | { type: 'fql' }>

class NotInPage extends Error {}

/** The text that the page gets, for a trigger that parses. */
export function triggerForPage(text: string): ForPage<string> {
  const parsed = parseTrigger(text)
  if (!parsed.ok) return { ok: false, problem: `The trigger does not parse: ${parsed.message}.` }
  return orProblem(() => writeGroup(parsed.trigger, 0))
}

/** Turns what `run` refuses into a problem. */
export function orProblem<T>(run: () => T): ForPage<T> {
  try {
    return { ok: true, value: run() }
  } catch (error) {
    if (!(error instanceof NotInPage)) throw error
    return { ok: false, problem: error.message }
  }
}

export function refuse(reason: string): never {
  throw new NotInPage(`Web pages cannot decide this: ${reason}`)
}

function writeGroup({ operator, children }: TriggerGroup, depth: number): string {
  const texts = children.map((child) => {
    if (child.type !== 'group') return writeCondition(child, depth)
    if (child.children.length === 1 || child.operator === operator) return writeGroup(child, depth)
    if (depth > 0) refuse('parentheses inside parentheses, or `and` mixed with `or` inside them.')
    return `(${writeGroup(child, depth + 1)})`
  })
  return texts.join(` ${operator} `)
}

function writeCondition(condition: Exclude<TriggerCondition, TriggerGroup>, depth: number): string {
  if (condition.type === 'fql') {
    refuse('a condition compares one of type, event, name, userId, properties…, traits…, context… with a value.')
  }
  const path = pathOf(condition)
  const { operator } = condition
  const text = String(condition.value)
  switch (operator) {
    case '=':
    case '!=':
      return `${path} ${operator} ${quote(text)}`
    case '<':
    case '<=':
    case '>':
    case '>=':
      return `${path} ${operator} ${numberText(condition)}`
    case 'number_equals':
    case 'number_not_equals':
      if (!isContainer(condition)) refuse(`${path} with a number.`)
      return `${path} ${operator === 'number_equals' ? '=' : '!='} ${numberText(condition)}`
    case 'exists':
    case 'not_exists':
      if (condition.type === 'event' || condition.type === 'event-type') refuse(`${path} with null.`)
      return `${path} ${operator === 'exists' ? '!=' : '='} null`
    case 'is_true':
    case 'is_false':
      if (!isContainer(condition) && condition.type !== 'userId') refuse(`${path} with true or false.`)
      return `${path} = ${operator === 'is_true'}`
    default:
      return writeCall(condition, path, text, depth)
  }
}

function writeCall({ type, operator }: Leaf, path: string, text: string, depth: number): string {
  if (depth > 0) refuse('contains() or match() inside parentheses.')
  if (type === 'event-type') refuse('contains() or match() with type.')
  const [negation, name] = operator.startsWith('not_') ? ['!', operator.slice(4)] : ['', operator]
  if (name === 'contains') return `${negation}contains(${path}, ${quote(text)})`
  if (name === 'starts_with') return `${negation}match(${path}, ${quote(`${text}*`)})`
  // What ends with a star is taken for a beginning.
  if (text.endsWith('*')) refuse('match() with a text that ends with a star.')
  return `${negation}match(${path}, ${quote(`*${text}`)})`
}

function isContainer(leaf: Leaf): leaf is Extract<Leaf, { name: string }> {
  return 'name' in leaf
}

const roots = { 'event-property': 'properties', 'event-trait': 'traits', 'event-context': 'context' } as const

function pathOf(leaf: Leaf): string {
  if (!isContainer(leaf)) return leaf.type === 'event-type' ? 'type' : leaf.type
  for (const key of leaf.name.split('.')) checkKey(key)
  return `${roots[leaf.type]}.${leaf.name}`
}

// A page would read these of every object, and the length of every text and list; we read own properties only.
const inherited = new Set([...Object.getOwnPropertyNames(Object.prototype), 'length'])

/** Refuses a key that a page would not read, or not as we do. */
export function checkKey(key: string): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || inherited.has(key) || /^(?:and|or|null|true|false)$/.test(key)) {
    refuse(`the name ${JSON.stringify(key)}.`)
  }
}

function numberText({ value }: Leaf): string {
  const text = String(value)
  if (typeof value !== 'number' || !/^-?\d+(?:\.\d+)?$/.test(text))
    refuse(`the value ${text} where a plain number is needed.`)
  return text
}

function quote(text: string): string {
  if (/["\\]/.test(text)) refuse('a text with a double quote or a backslash in it.')
  return `"${text}"`
}
