/** Conditions and messages that meet often enough for a comparison of two readers of FQL to mean something. */
import fc from 'fast-check'

// Plain ones come often, since a condition with one of the others is mostly refused.
const plainNames = ['a', 'b', 'order_id', 'name', 'and_so', 'nullable', 'o', 'in']
const names = [...plainNames, ...plainNames, ...plainNames, 'length', 'constructor', '1st', 'x-y']
const plainWords = ['', 'x', 'xy', 'Order Completed', 'true', 'null', '5', 'x)', "it's", 'zoë']
const words = [...plainWords, ...plainWords, 'a*b', '*', 'say "hi"', 'back\\slash']
const numbers = [0, 5, -2, 1.5, 1e30]

const name = fc.constantFrom(...names)
const operators = fc.array(fc.constantFrom('and', 'or'), { minLength: 2, maxLength: 2 })
const container = fc.constantFrom('properties', 'traits', 'context')
const path = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('type', 'event', 'name', 'userId') },
  { weight: 6, arbitrary: fc.tuple(container, name).map((keys) => keys.join('.')) },
  { weight: 3, arbitrary: fc.tuple(container, name).map(([root, key]) => `${root}.deep.${key}`) },
  { weight: 1, arbitrary: fc.constantFrom('messageId', 'properties.a\\.b', 'properties') },
)
const quoted = fc.constantFrom(...words).map((word) => JSON.stringify(word))
const literal = fc.oneof(quoted, fc.constantFrom(...numbers).map(String), fc.constantFrom('true', 'false', 'null'))
const comparison = fc
  .tuple(path, fc.constantFrom('=', '!=', '<', '<=', '>', '>='), literal)
  .map(([left, operator, right]) => `${left} ${operator} ${right}`)
const membership = fc
  .tuple(path, fc.array(literal, { minLength: 1, maxLength: 3 }))
  .map(([left, items]) => `${left} in [${items.join(', ')}]`)
const star = fc.constantFrom('', '*')
const pattern = fc
  .tuple(star, fc.constantFrom('', 'x', 'Ord', 'eted', 'a?c', '5', 'x*y', '[a-z]'), star)
  .map((parts) => JSON.stringify(parts.join('')))
const call = fc
  .tuple(fc.constantFrom('', '!'), fc.constantFrom('contains', 'match'), path, fc.oneof(quoted, pattern))
  .map(([not, called, left, text]) => `${not}${called}(${left}, ${text})`)
const otherCall = fc
  .tuple(path, fc.constantFrom('length', 'lowercase', 'typeof'))
  .map(([left, called]) => `${called}(${left}) = "x"`)
const leaf = fc.oneof(
  { weight: 12, arbitrary: comparison },
  { weight: 4, arbitrary: call },
  { weight: 1, arbitrary: membership },
  { weight: 1, arbitrary: otherCall },
  { weight: 1, arbitrary: path },
)

function chain(nodes: readonly string[], between: readonly string[]): string {
  return nodes.map((node, i) => (i === 0 ? node : `${between[i - 1]} ${node}`)).join(' ')
}

const { node } = fc.letrec<{ group: string; node: string }>((tie) => ({
  node: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, tie('group')),
  group: fc
    .tuple(fc.constantFrom('', '', '', '!'), fc.array(tie('node'), { minLength: 1, maxLength: 3 }), operators)
    .map(([not, nodes, between]) => `${not}(${chain(nodes, between)})`),
}))

/** FQL of some levels; not all of it parses. */
export const conditions = fc
  .tuple(fc.array(node, { minLength: 1, maxLength: 3 }), operators)
  .map(([nodes, between]) => chain(nodes, between))

const scalar = fc.constantFrom<string | number | boolean | null>(
  ...words,
  ...numbers,
  ...[true, false, null],
  ...['Order', 'Completed', 'xay', 'order'],
)
const value = fc.oneof(
  { weight: 5, arbitrary: scalar as fc.Arbitrary<unknown> },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 2 }) },
)
const values = fc.dictionary(name, value, { maxKeys: 4 })
// What is on the way of a path is an object, or something that holds nothing.
const deep = fc.oneof({ weight: 4, arbitrary: values as fc.Arbitrary<unknown> }, fc.constantFrom(null, 'x', 5, true))
const contents = fc
  .tuple(values, fc.option(deep, { nil: undefined }))
  .map(([shallow, inner]) => (inner === undefined ? shallow : { ...shallow, deep: inner }))

export const messages = fc
  .record(
    {
      type: fc.constantFrom('track', 'identify', 'page'),
      event: fc.constantFrom('Order Completed', 'x', 'xy', '5'),
      name: value,
      userId: value,
      properties: contents,
      traits: contents,
      context: contents,
    },
    { requiredKeys: ['type'] },
  )
  // As they come in: with the prototype of every object.
  .map((message) => JSON.parse(JSON.stringify(message)) as Record<string, unknown>)
