import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkFilter, checkFilters, compileFilters, type Filter, type FilterAction } from './filter.ts'
import { hashShare } from './hash-share.ts'
import { dropPath, splitPath } from './properties.ts'

const message = {
  type: 'track',
  userId: 'u1',
  context: { ip: '1.2.3.4', traits: { email: 'jo@corp.example', plan: 'pro' } },
  properties: { price: 20, total: 30, 'a.b': 1, products: [{ sku: 's', price: 1 }, { sku: 't', price: 2 }, 'odd'] },
}

const filter = (condition: string, ...actions: FilterAction[]): Filter => ({
  title: condition,
  if: condition,
  actions,
  isEnabled: true,
})

function noChance(): number {
  throw new Error('nothing here is left to chance')
}

function keptBy(...filters: Filter[]): unknown {
  const before = structuredClone(message)
  const verdict = compileFilters(filters, noChance)(message)
  assert.deepEqual(message, before, 'the shared message is as it was')
  assert.equal(verdict.kind, 'keep')
  return verdict.kind === 'keep' ? verdict.message : undefined
}

test('without filters, or when none matches, the very same message goes on', () => {
  assert.equal(keptBy(), message)
  assert.equal(keptBy(filter('type = "page"', { type: 'DROP' })), message)
  assert.equal(keptBy(filter('all', { type: 'DROP_PROPERTIES', fields: { properties: ['nope'] } })), message)
  assert.equal(keptBy({ ...filter('not FQL', { type: 'DROP' }), isEnabled: false }), message)
})

test('a filter whose condition holds drops the message and is named', () => {
  const decide = compileFilters([filter('match(context.traits.email, "*@corp.example")', { type: 'DROP' })], noChance)
  assert.deepEqual(decide(message), { kind: 'drop', title: 'match(context.traits.email, "*@corp.example")' })
  assert.equal(compileFilters([filter('all', { type: 'DROP' })], noChance)(message).kind, 'drop')
})

test('a filter that does not parse, cannot be decided or cannot be applied drops the message and says why', () => {
  const broken: [Filter, RegExp][] = [
    [filter('userId = oops"', { type: 'DROP_PROPERTIES', fields: {} }), /no closing "/],
    [filter('length(properties) > 1', { type: 'DROP' }), /takes a string or a list/],
    [filter('all', { type: 'SAMPLE', percent: 2 }), /from 0 to 1/],
    [filter('all', { type: 'NOPE' } as unknown as FilterAction), /type is DROP/],
    [
      filter('all', { type: 'DROP_PROPERTIES', fields: { properties: 'price' } } as unknown as FilterAction),
      /lists of names/,
    ],
  ]
  for (const [bad, why] of broken) {
    const verdict = compileFilters([filter('all', { type: 'SAMPLE', percent: 1 }), bad], () => 0)(message)
    assert.equal(verdict.kind, 'drop')
    assert.match(verdict.kind === 'drop' ? (verdict.error ?? '') : '', why)
  }
})

test('dropped properties go at the top, below a prefix, in every item of an array, in both shapes of fields', () => {
  const kept = keptBy(
    filter('all', {
      type: 'DROP_PROPERTIES',
      fields: {
        '': ['userId'],
        properties: ['total', 'products.price', 'a.b'],
        'context.traits': { fields: ['email'] },
      },
    }),
  )
  assert.deepEqual(kept, {
    type: 'track',
    context: { ip: '1.2.3.4', traits: { plan: 'pro' } },
    properties: { price: 20, products: [{ sku: 's' }, { sku: 't' }, 'odd'] },
  })
})

test('a prefix that leads into an array means each of its objects, and a whole array can go', () => {
  assert.deepEqual(
    keptBy(
      filter('all', { type: 'DROP_PROPERTIES', fields: { 'properties.products': ['price'], context: ['traits'] } }),
    ),
    {
      ...message,
      context: { ip: '1.2.3.4' },
      properties: { ...message.properties, products: [{ sku: 's' }, { sku: 't' }, 'odd'] },
    },
  )
  assert.deepEqual(
    keptBy(filter('all', { type: 'DROP_PROPERTIES', fields: { properties: ['products', 'price', 'total', 'a.b'] } })),
    { ...message, properties: {} },
  )
})

test('allowed properties are all that is left below their prefix, and other objects stay', () => {
  assert.deepEqual(
    keptBy(
      filter('all', {
        type: 'ALLOW_PROPERTIES',
        fields: { properties: ['price', 'products.sku', 'a.b'], 'context.traits': { fields: [] } },
      }),
    ),
    {
      type: 'track',
      userId: 'u1',
      context: { ip: '1.2.3.4', traits: {} },
      properties: { price: 20, 'a.b': 1, products: [{ sku: 's' }, { sku: 't' }, 'odd'] },
    },
  )
})

test('conditions see the message as it came, and dropping properties comes before allowing them', () => {
  const allow = filter('all', { type: 'ALLOW_PROPERTIES', fields: { properties: ['price', 'total'] } })
  const drop = filter('properties.total = 30', { type: 'DROP_PROPERTIES', fields: { properties: ['total'] } })
  const onTotal = filter('properties.total = 30', { type: 'DROP_PROPERTIES', fields: { context: ['ip'] } })
  assert.deepEqual(keptBy(allow, drop, onTotal), {
    ...message,
    context: { traits: message.context.traits },
    properties: { price: 20 },
  })
})

test('a sample with a path decides alike for the same value and keeps about its share', () => {
  const decide = compileFilters([filter('all', { type: 'SAMPLE', percent: 0.25, path: 'userId' })], noChance)
  const kept = Array.from({ length: 10_000 }, (_, user) => ({ userId: `user-${user}` })).filter(
    (about) => decide(about).kind === 'keep',
  )
  assert.ok(Math.abs(kept.length - 2500) < 150, `${kept.length} of 10000`)
  for (const about of kept.slice(0, 100)) assert.equal(decide({ ...about, event: 'other' }).kind, 'keep')
})

test('a sample without a path, or without a value there, is left to chance', () => {
  const decide = (chance: number, path?: string): string => {
    const action: FilterAction =
      path === undefined ? { type: 'SAMPLE', percent: 0.5 } : { type: 'SAMPLE', percent: 0.5, path }
    return compileFilters([filter('all', action)], () => chance)(message).kind
  }
  assert.deepEqual(
    [decide(0.49), decide(0.5), decide(0.49, 'nope'), decide(0.5, 'nope')],
    ['keep', 'drop', 'keep', 'drop'],
  )
})

test('a share of 1 keeps everything and a share of 0 nothing', () => {
  for (const path of [undefined, 'userId']) {
    const action = (percent: number): FilterAction => ({ type: 'SAMPLE', percent, ...(path && { path }) })
    assert.equal(compileFilters([filter('all', action(1))], () => 0.999)(message).kind, 'keep')
    assert.equal(compileFilters([filter('all', action(0))], () => 0)(message).kind, 'drop')
  }
})

test('the hash of a sample never changes, since the same people must stay in it', () => {
  assert.deepEqual(
    ['', 'u1', 'ü😀'].map((text) => Math.floor(hashShare(text) * 2 ** 32).toString(16)),
    ['ab3e7c0b', '2488b117', '4493b0b2'],
  )
})
test('what cannot be saved is told with its place', () => {
  assert.equal(checkFilter('all'), undefined)
  assert.equal(checkFilter('type = "track"'), undefined)
  assert.equal(
    checkFilter('userId = oops"'),
    'The condition does not parse at character 14: The string that starts here has no closing ".',
  )
  const bad = { ...filter('x =', { type: 'SAMPLE', percent: NaN }), title: 'x'.repeat(65) }
  assert.deepEqual(
    checkFilters([bad, filter('all')]).map(({ path }) => path),
    ['0.title', '0.if', '0.actions.0.percent', '1.actions'],
  )
  const eleven = Array.from({ length: 11 }, () => filter('all', { type: 'DROP' }))
  assert.deepEqual(checkFilters(eleven), [{ path: '', problem: 'A destination has at most 10 filters.' }])
})

test('dropping a path removes exactly what it leads to and shares the rest', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.jsonValue()),
      fc.constantFrom('a', 'a.b', 'a.b.c', 'c.a'),
      (value, path) => {
        const before = JSON.stringify(value)
        const dropped = dropPath(value, splitPath(path))
        assert.equal(JSON.stringify(value), before)
        assert.equal(dropPath(dropped, splitPath(path)), dropped, 'a second time there is nothing left to drop')
      },
    ),
  )
})
