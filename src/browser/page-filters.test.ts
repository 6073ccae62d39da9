import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFilters } from '../language/index.ts'
import type { FilterAction, FilterSnapshot } from '../snapshot/index.ts'
import { routingRuleFor, type RoutingRule } from './page-filters.ts'
import { conditions, messages } from './testing/fql-arbitraries.ts'

type Message = Record<string, unknown>

interface Library {
  matches(message: Message, matcher: unknown): boolean
  transform(message: Message, transformers: unknown): Message | null
}

/** The part of the browser library that runs the rules; it takes the global object to be called `self`. */
const { matches, transform } = (() => {
  const scope = globalThis as Record<string, unknown>
  const before = scope['self']
  scope['self'] = scope
  try {
    const require = createRequire(import.meta.resolve('@segment/analytics-next/package.json'))
    const file = new URL('dist/pkg/vendor/tsub/tsub.js', import.meta.resolve('@segment/analytics-next/package.json'))
    return require(file.pathname) as Library
  } finally {
    scope['self'] = before
  }
})()

/** What the library makes of a message under a rule. */
function runInPage({ matchers, transformers }: RoutingRule, message: Message): Message | null {
  let left: Message | null = structuredClone(message)
  for (const [i, matcher] of matchers.entries()) {
    if (left !== null && matches(left, matcher)) left = transform(left, transformers[i])
  }
  return left
}

const filter = (condition: string, actions: FilterAction[] = [{ type: 'DROP' }]): FilterSnapshot => ({
  ...{ title: 'a filter', if: condition, isEnabled: true },
  actions,
})

const fields = fc.constantFrom<Record<string, string[]>>(
  { properties: ['a', 'b'] },
  { 'properties.deep': ['a'], traits: ['b', 'o'] },
  { context: ['name'] },
)
const actionLists = fc.oneof(
  fc.constant<FilterAction[]>([{ type: 'DROP' }]),
  fc
    .tuple(fc.constantFrom('DROP_PROPERTIES' as const, 'ALLOW_PROPERTIES' as const), fields)
    .map(([type, names]): FilterAction[] => [{ type, fields: names }]),
  fc.constant<FilterAction[]>([{ type: 'SAMPLE', percent: 0 }]),
  fc.constant<FilterAction[]>([{ type: 'SAMPLE', percent: 1 }]),
)

test('whatever reaches a page leaves of a message what the filters leave of it here', () => {
  let compared = 0
  const filterLists = fc.array(fc.tuple(conditions, actionLists), { minLength: 1, maxLength: 2 })
  fc.assert(
    fc.property(filterLists, fc.array(messages, { minLength: 1, maxLength: 8 }), (list, some) => {
      const filters = list.map(([condition, actions]) => filter(condition, actions))
      const forPage = routingRuleFor('Heap', filters)
      if (!forPage.ok) return
      const rule = forPage.value
      assert.ok(rule !== undefined)
      const decide = compileFilters(filters, () => 0.5)
      for (const message of some) {
        compared += 1
        const verdict = decide(message)
        assert.deepEqual(runInPage(rule, message), verdict.kind === 'drop' ? null : verdict.message)
      }
    }),
    { numRuns: 10_000 },
  )
  assert.ok(compared > 2_000, `${compared} decisions compared`)
})

test('a filter that is off leaves no rule', () => {
  assert.deepEqual(routingRuleFor('Heap', [{ ...filter('all'), isEnabled: false }]), { ok: true, value: undefined })
})

test('conditions with negation, lists and missing values are written out for the page', () => {
  const decides = (condition: string, message: Message) => {
    const forPage = routingRuleFor('Heap', [filter(condition)])
    assert.ok(forPage.ok && forPage.value !== undefined)
    return runInPage(forPage.value, message) === null
  }
  assert.equal(decides('!(type = "track")', { type: 'page' }), true)
  assert.equal(decides('event in ["A", "B"]', { type: 'track', event: 'B' }), true)
  assert.equal(decides('properties.total = null', { type: 'track', properties: {} }), true)
  assert.equal(decides('properties.total > 5', { type: 'track', properties: { total: 'much' } }), true, 'held back')
  assert.equal(decides('properties.total > 5', { type: 'track', properties: {} }), false)
})

const refused: [filters: FilterSnapshot[], reason: RegExp][] = [
  [[filter('lowercase(event) = "a"')], /anything but a path/],
  [[filter('length(properties.list) > 2')], /anything but a path/],
  [[filter('properties.at > "2026"')], /anything but a number/],
  [[filter('match(event, "[A-Z]*")')], /anything but stars/],
  [[filter('context.ip = "1.2.3.4"')], /only the server knows/],
  [[filter('properties.length = 1')], /the name "length"/],
  [[filter('all', [{ type: 'SAMPLE', percent: 0.5, path: 'userId' }])], /SAMPLE with a path/],
  [[filter('all', [{ type: 'DROP_PROPERTIES', fields: { properties: ['a.b'] } }])], /the name "a.b"/],
  [
    ['a', 'b'].map((name) => filter('all', [{ type: 'DROP_PROPERTIES', fields: { properties: [name] } }])),
    /more than one filter/,
  ],
]
for (const [filters, reason] of refused) {
  test(`${JSON.stringify(filters.map(({ if: condition, actions }) => [condition, actions]))} is refused`, () => {
    const forPage = routingRuleFor('Heap', filters)
    assert.ok(!forPage.ok)
    assert.match(forPage.problem, reason)
  })
}
