/**
 * Filters of a destination as the browser library reads them: `middlewareSettings.routingRules`, where a condition is a tree and not
 * a text. What the library decides otherwise than we do is written out (a missing value is not null to it), and so is our rule that
 * a condition which meets a value of the wrong type holds the message back; what cannot be written is refused with a sentence.
 */
import { parseFql, type Expression } from '../language/index.ts'
import type { FilterAction, FilterSnapshot } from '../snapshot/index.ts'
import { checkKey, orProblem, refuse, type ForPage } from './page-trigger.ts'

export interface RoutingRule {
  destinationName: string
  matchers: { type: 'all' | 'fql'; ir?: string }[]
  /** For each matcher, what is done to a message that it matches, in order. */
  transformers: { type: string; config?: Record<string, unknown> }[][]
}

/** A node of the library's tree: a path, a value, or an operator with its operands. */
type Node = string | { value: unknown } | Node[]

/** When a condition holds, and when it cannot be decided; undefined for never. */
interface Decided {
  holds: Node
  fails: Node | undefined
}

/** The rule for the enabled filters; undefined when there are none. */
export function routingRuleFor(
  destinationName: string,
  filters: readonly FilterSnapshot[],
): ForPage<RoutingRule | undefined> {
  return orProblem(() => {
    const enabled = filters.filter(({ isEnabled }) => isEnabled)
    if (enabled.length === 0) return undefined
    const changing = enabled.filter(({ actions }) => actions.some(isChange))
    // The library decides each filter on what the one before left, and we on the message as it came.
    if (changing.length > 1) refuse('more than one filter that drops or allows properties.')
    const steps = [...enabled.flatMap(holdBack), ...changing.flatMap(change)]
    return {
      destinationName,
      matchers: steps.map(({ matcher }) => matcher),
      transformers: steps.map(({ transformers }) => transformers),
    }
  })
}

interface Step {
  matcher: RoutingRule['matchers'][number]
  transformers: RoutingRule['transformers'][number]
}

function isChange({ type }: FilterAction): boolean {
  return type === 'DROP_PROPERTIES' || type === 'ALLOW_PROPERTIES'
}

/** What stops a message: the filter's drops and samples, and a condition that cannot be decided. */
function holdBack({ if: condition, actions }: FilterSnapshot): Step[] {
  const { matcher, fails } = matcherOf(condition)
  const transformers = actions.flatMap((action) => {
    if (action.type === 'DROP') return [{ type: 'drop' }]
    if (action.type !== 'SAMPLE') return []
    if (action.path !== undefined && action.path !== '') refuse('SAMPLE with a path.')
    return [{ type: 'sample_event', config: { sample: { percent: action.percent } } }]
  })
  return [
    ...(transformers.length === 0 ? [] : [{ matcher, transformers }]),
    ...(fails === undefined ? [] : [{ matcher: asMatcher(fails), transformers: [{ type: 'drop' }] }]),
  ]
}

function change({ if: condition, actions }: FilterSnapshot): Step[] {
  const { matcher } = matcherOf(condition)
  const listOf = (type: FilterAction['type'], name: 'drop' | 'allow') =>
    actions.flatMap((action) => {
      if (action.type !== type || !('fields' in action)) return []
      for (const [prefix, names] of Object.entries(action.fields)) checkNames(prefix, names)
      return [{ type: `${name}_properties`, config: { [name]: action.fields } }]
    })
  return [{ matcher, transformers: [...listOf('DROP_PROPERTIES', 'drop'), ...listOf('ALLOW_PROPERTIES', 'allow')] }]
}

function checkNames(prefix: string, names: readonly string[]): void {
  if (prefix !== '') prefix.split('.').forEach(checkKey)
  names.forEach(checkKey)
}

function matcherOf(text: string): { matcher: Step['matcher']; fails: Node | undefined } {
  if (text.trim() === 'all') return { matcher: { type: 'all' }, fails: undefined }
  const parsed = parseFql(text)
  if (!parsed.ok) return refuse(`the condition does not parse: ${parsed.message}.`)
  const { holds, fails } = decide(parsed.expression)
  return { matcher: asMatcher(holds), fails }
}

function asMatcher(node: Node): Step['matcher'] {
  return { type: 'fql', ir: JSON.stringify(node) }
}

const never: Node = { value: false }

function decide(expression: Expression): Decided {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return expression.operands
        .map(decide)
        .reduceRight((rest, first) => join(expression.kind as 'and' | 'or', first, rest))
    case 'not': {
      const { holds, fails } = decide(expression.operand)
      return { holds: ['!', holds], fails }
    }
    case 'compare':
      return compare(expression)
    case 'call':
      return call(expression)
    case 'path': {
      const path = pathOf(expression)
      return { holds: path, fails: noneOf(path, ['boolean']) }
    }
    case 'literal':
      return { holds: { value: expression.value === true }, fails: undefined }
    case 'list':
      return refuse('a list as a condition.')
  }
}

/** The second is looked at only when the first does not settle it. */
function join(operator: 'and' | 'or', first: Decided, second: Decided): Decided {
  const isOpen: Node = operator === 'and' ? first.holds : ['!', first.holds]
  const failures: Node[] = []
  if (first.fails !== undefined) failures.push(first.fails)
  if (second.fails !== undefined) failures.push(['and', isOpen, second.fails])
  return {
    holds: [operator, first.holds, second.holds],
    fails: failures.length === 0 ? undefined : failures.length === 1 ? failures[0] : ['or', ...failures],
  }
}

function compare({ operator, left, right }: Extract<Expression, { kind: 'compare' }>): Decided {
  const path = pathOf(left)
  if (operator === 'in') {
    if (right.kind !== 'list') return refuse('`in` without a list.')
    return { holds: ['or', never, ...right.items.map((item) => isEqual(path, item))], fails: undefined }
  }
  if (operator === '=') return { holds: isEqual(path, right), fails: undefined }
  if (operator === '!=') return { holds: ['!', isEqual(path, right)], fails: undefined }
  if (right.kind !== 'literal' || typeof right.value !== 'number')
    return refuse(`${operator} with anything but a number.`)
  return { holds: [operator, path, { value: right.value }], fails: noneOf(path, ['number']) }
}

function isEqual(path: string, right: Expression): Node {
  if (right.kind !== 'literal') return refuse('a path compared with anything but a plain value.')
  return right.value === null ? isNothing(path) : ['=', path, { value: right.value }]
}

function call({ name, args: [left, right] }: Extract<Expression, { kind: 'call' }>): Decided {
  if (name !== 'contains' && name !== 'match') return refuse(`${name}().`)
  if (left === undefined || right?.kind !== 'literal' || typeof right.value !== 'string')
    return refuse(`${name}() without a plain text as its second argument.`)
  if (name === 'match' && /[?[\]\\]/.test(right.value)) refuse('match() with anything but stars.')
  const path = pathOf(left)
  return { holds: [name, path, { value: right.value }], fails: noneOf(path, ['string']) }
}

function isNothing(path: string): Node {
  return ['or', ['=', path, { value: null }], ['=', ['typeof', path], { value: 'undefined' }]]
}

/** True when there is a value, and it has none of these types (in JavaScript's words). */
function noneOf(path: string, types: readonly string[]): Node {
  return ['!', ['or', isNothing(path), ...types.map((type): Node => ['=', ['typeof', path], { value: type }])]]
}

// What the server adds or makes anew, so that a page could only decide without it.
const ofTheServer = new Set(['receivedAt', 'received_at', 'sentAt', 'originalTimestamp', 'timestamp', 'context.ip'])

function pathOf(expression: Expression): string {
  if (expression.kind !== 'path') return refuse('anything but a path before the operator.')
  const { keys } = expression
  const path = keys.join('.')
  for (const key of keys) checkKey(key)
  if (ofTheServer.has(keys[0]!) || ofTheServer.has(path)) refuse(`${path}, which only the server knows.`)
  return path
}
