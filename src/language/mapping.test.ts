import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileMapping, compileMappingValue, isWholeMessage, validateMapping } from './mapping.ts'
import { MappingError } from './mapping-place.ts'
import { parsePath } from './message-path.ts'

const message = {
  type: 'track',
  event: 'Order Completed',
  anonymousId: 'a1',
  userId: null,
  traits: { email: 'Jo@Example.ORG' },
  properties: {
    products: [{ product_id: 'p1', quantity: 2 }, { product_id: 'p2' }],
    pointer: '$.traits.email',
    zero: 0,
    no: false,
    empty: '',
    'key with.dot': 1,
    json: '{"a":[1,{"b":null}]}',
  },
}

const resolve = (mapping: unknown): unknown => compileMappingValue(mapping)(message)

test('the example of the contract resolves', () => {
  const mapping = compileMapping({
    external_id: {
      '@if': { exists: { '@path': '$.userId' }, then: { '@path': '$.userId' }, else: { '@path': '$.anonymousId' } },
    },
    email: { '@case': { operator: 'lower', value: { '@path': '$.traits.email' } } },
    items: {
      '@arrayPath': ['$.properties.products', { sku: { '@path': '$.product_id' }, qty: { '@path': '$.quantity' } }],
    },
    source: 'web',
  })
  assert.deepEqual(mapping.resolve(message), {
    external_id: 'a1',
    email: 'jo@example.org',
    items: [{ sku: 'p1', qty: 2 }, { sku: 'p2' }],
    source: 'web',
  })
})

test('paths take dots, brackets and quotes, with or without $.', () => {
  assert.deepEqual(parsePath('$.a.b[0].c'), ['a', 'b', '0', 'c'])
  assert.deepEqual(parsePath('a["b.c"][\'d\'].e f'), ['a', 'b.c', 'd', 'e f'])
  assert.deepEqual(parsePath('$.'), [])
  assert.equal(resolve({ '@path': '$.properties.products[1].product_id' }), 'p2')
  assert.equal(resolve({ '@path': "properties['key with.dot']" }), 1)
  assert.equal(resolve({ '@path': { '@path': '$.properties.pointer' } }), 'Jo@Example.ORG')
  assert.equal(resolve({ '@path': '$.constructor.name' }), undefined)
  assert.throws(
    () => resolve({ '@path': { '@path': '$.properties.zero' } }),
    /\/@path should give a string but it gives a number/,
  )
})

test('templates take two or three braces and write nothing for what is missing or null', () => {
  assert.equal(
    resolve({ '@template': '{{event}}/{{{ traits.email }}}/{{userId}}{{nope}}/{{properties.zero}}' }),
    'Order Completed/Jo@Example.ORG//0',
  )
  assert.equal(resolve({ '@template': 'open {{event' }), 'open {{event')
  assert.equal(
    resolve({ '@template': '{{properties.products}}' }),
    '[{"product_id":"p1","quantity":2},{"product_id":"p2"}]',
  )
})

test('@if blank takes else for 0, false and empty text, and a falsy else counts as missing', () => {
  const blank = (path: string): unknown => resolve({ '@if': { blank: { '@path': path }, then: 'then', else: 'else' } })
  for (const path of ['properties.zero', 'properties.no', 'properties.empty', 'userId', 'nope'])
    assert.equal(blank(path), 'else')
  for (const path of ['event', 'properties', 'properties.products']) assert.equal(blank(path), 'then')
  for (const otherwise of [false, 0, '', null]) {
    assert.deepEqual(resolve({ x: { '@if': { exists: { '@path': '$.nope' }, then: 1, else: otherwise } } }), {})
  }
  assert.deepEqual(resolve({ x: { '@if': { exists: { '@path': '$.event' }, then: null } } }), { x: null })
})

test('@replace is literal, replaces all unless told otherwise, and takes two pairs', () => {
  const replace = (value: unknown, options: object): unknown => resolve({ '@replace': { value, ...options } })
  assert.equal(replace('a.b.c', { pattern: '.', replacement: '$&' }), 'a$&b$&c')
  assert.equal(replace('a.b.c', { pattern: '.', global: false }), 'ab.c')
  assert.equal(replace('AaA', { pattern: 'a', replacement: '-', ignorecase: true }), '---')
  assert.equal(replace('a-b_c', { pattern: '-', pattern2: '_', replacement2: '+' }), 'ab+c')
  assert.equal(replace({ '@path': '$.properties.products' }, { pattern: 'a' }), '')
})

test('@json decodes what is JSON and leaves what is not, or nests too deep, as it is', () => {
  const decode = (value: unknown): unknown => resolve({ '@json': { mode: 'decode', value } })
  assert.deepEqual(decode({ '@path': '$.properties.json' }), { a: [1, { b: null }] })
  assert.equal(decode('{"a":'), '{"a":')
  const deep = '['.repeat(101) + ']'.repeat(101)
  assert.equal(decode(deep), deep)
  assert.equal(decode('"[[["'), '[[[')
  assert.equal(resolve({ '@json': { mode: 'encode', value: { '@path': '$.nope' } } }), undefined)
})

test('@merge is shallow, the chosen side wins, and what is no object adds nothing', () => {
  const objects = [{ a: 1, b: 1 }, { '@path': '$.nope' }, { b: 2, c: 2 }]
  assert.deepEqual(resolve({ '@merge': { objects, direction: 'right' } }), { a: 1, b: 2, c: 2 })
  assert.deepEqual(resolve({ '@merge': { objects, direction: 'left' } }), { a: 1, b: 1, c: 2 })
})

test('@excludeWhenNull leaves null items of arrays in their place', () => {
  assert.deepEqual(
    resolve({ '@excludeWhenNull': { '@json': { mode: 'decode', value: '{"a":null,"b":[null,{"c":null}]}' } } }),
    { b: [null, {}] },
  )
})

test('field names with dots and [n] build nested output, and names in quotes do not', () => {
  assert.deepEqual(
    resolve({ 'user.name': 'x', 'user.tags[1]': 'b', 'items[0].id': 1, 'items[0].n': 2, '"plain.key"': 3 }),
    {
      user: { name: 'x', tags: [null, 'b'] },
      items: [{ id: 1, n: 2 }],
      'plain.key': 3,
    },
  )
  assert.deepEqual(resolve({ 'a..b': 1, 'c.': 2, '.d': 3, 'e[x]': 4, 'f[1000]': 5 }), {
    'a..b': 1,
    'c.': 2,
    '.d': 3,
    'e[x]': 4,
    'f[1000]': 5,
  })
  assert.deepEqual(resolve({ '@literal': { 'a.b': { '@path': '$.event' } } }), { 'a.b': 'Order Completed' })
})

test('building below a part of the message copies it first', () => {
  const before = structuredClone(message)
  assert.deepEqual(resolve({ traits: { '@path': '$.traits' }, 'traits.plan': 'pro' }), {
    traits: { email: 'Jo@Example.ORG', plan: 'pro' },
  })
  assert.deepEqual(message, before)
})

test('no key, wherever it comes from, reaches a prototype', () => {
  const hostile = JSON.parse(
    '{"a":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}},"key":"__proto__"}',
  ) as Record<string, unknown>
  const mapping = JSON.parse(`{
    "__proto__": {"@path":"$.a"}, "__proto__.polluted": 1, "x.__proto__.polluted": 1, "constructor.prototype.polluted": 1,
    "m": {"@merge":{"objects":[{"@path":"$.a"}]}}, "f": {"@flatten":{"value":{"@path":"$.a"},"separator":"."}},
    "e": {"@excludeWhenNull":{"@path":"$.a"}}, "j": {"@json":{"mode":"decode","value":"{\\"__proto__\\":{\\"polluted\\":1}}"}},
    "p": {"@path":{"@path":"$.key"}}}`) as Record<string, unknown>
  const payload = compileMapping(mapping).resolve(hostile)
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  assert.equal(Object.getPrototypeOf(payload), Object.prototype)
  assert.equal(payload['polluted'], undefined)
  assert.equal(payload['p'], undefined)
})

test('an exact number passes through unharmed', () => {
  const raw = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON('12345678901234567890')
  const paths = {
    n: { '@path': '$.n' },
    t: { '@template': '{{n}}' },
    f: { '@flatten': { value: { '@path': '$.' }, separator: '.' } },
    l: { '@liquid': '{{ n }}' },
  }
  const digits = '12345678901234567890'
  assert.equal(
    JSON.stringify(compileMapping(paths).resolve({ n: raw })),
    `{"n":${digits},"t":"${digits}","f":{"n":${digits}},"l":"${digits}"}`,
  )
})

test('every problem of a mapping is told with its place', () => {
  const problems = validateMapping({
    a: { '@path': '$.x', b: 1 },
    c: [{ '@nope': 1 }],
    d: { '@case': { operator: 'title', value: 'x' } },
    e: { '@flatten': { value: {} } },
    f: { '@json': 'x' },
    g: { '@liquid': '{% for x in y %}{% endfor %}' },
    h: { '@transform': { apply: {} } },
    i: { '@merge': { objects: 'x', direction: 'up' } },
    j: { '@if': { then: 1 } },
    k: { '@path': 'x'.repeat(1001) },
    l: { '@liquid': { '@path': '$.x' } },
  })
  assert.deepEqual(
    problems.map(({ path, problem }) => `${path} ${problem}`),
    [
      '/a should only have one @-prefixed key but it has 2 keys',
      '/c/0 has an invalid directive: @nope',
      '/d/@case/operator should be "lower" or "upper"',
      '/e/@flatten should have field "separator" but it doesn\'t',
      '/f/@json should be an object but it is a string',
      '/g/@liquid cannot be used: tag "for" not found, line:1, col:1',
      '/h/@transform should have field "mapping" but it doesn\'t',
      '/i/@merge/direction should be "left" or "right"',
      '/i/@merge/objects should be an array but it is a string',
      '/j/@if should have field "exists" or "blank" but it has neither',
      '/k/@path cannot be used: The path is longer than 1000 characters',
      '/l/@liquid should be a string but it is an object',
    ],
  )
  assert.throws(() => compileMapping({ a: { '@nope': 1 } }), MappingError)
})

test('a mapping nested without end is refused', () => {
  let mapping: unknown = 1
  for (let depth = 0; depth < 200; depth++) mapping = { '@literal': mapping }
  assert.match(validateMapping(mapping)[0]?.problem ?? '', /nested deeper than 100/)
})

test('only the path to the root is the whole message', () => {
  for (const path of ['$.', '$', '']) assert.equal(isWholeMessage({ '@path': path }), true)
  for (const other of [{ '@path': '$.a' }, { '@literal': '$.' }, '$.', null, { '@path': { '@path': '$.' } }])
    assert.equal(isWholeMessage(other), false)
})

test('resolving never changes the message and fails only with a MappingError', () => {
  const path = fc.constantFrom('$.', 'a', '$.a.b', 'a[0].b', 'b["a"]')
  const { mapping } = fc.letrec<{ mapping: unknown }>((tie) => ({
    mapping: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.record({ '@path': path }),
      fc.record({ '@path': tie('mapping') }),
      fc.record({ '@template': path.map((text) => `{{${text}}}`) }),
      fc.record({ '@if': fc.record({ blank: tie('mapping'), then: tie('mapping'), else: tie('mapping') }) }),
      fc.record({ '@arrayPath': fc.tuple(path, tie('mapping')).map((pair) => [...pair]) }),
      fc.record({ '@merge': fc.record({ objects: fc.array(tie('mapping'), { maxLength: 3 }) }) }),
      fc.record({ '@flatten': fc.record({ value: tie('mapping'), separator: fc.constant('.') }) }),
      fc.record({ '@json': fc.record({ mode: fc.constantFrom('encode', 'decode'), value: tie('mapping') }) }),
      fc.record({ '@excludeWhenNull': tie('mapping') }),
      fc.dictionary(fc.oneof(path, fc.constantFrom('x', 'x.y', 'x[1]', '__proto__')), tie('mapping'), { maxKeys: 3 }),
    ),
  }))
  fc.assert(
    fc.property(mapping, fc.dictionary(fc.constantFrom('a', 'b'), fc.jsonValue()), (fields, about) => {
      const before = JSON.stringify(about)
      try {
        JSON.stringify(compileMappingValue(fields)(about))
      } catch (error) {
        assert.ok(error instanceof MappingError, String(error))
      }
      assert.equal(JSON.stringify(about), before)
    }),
    { numRuns: 3000 },
  )
})
