import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { message, ownCells, rowsOf, track, type RowsOptions } from './testing/rows-of.ts'

/** The row of the event `E` with these properties, without the columns that every table has. */
function cellsOf(properties: Record<string, unknown>, options?: RowsOptions): Record<string, unknown> {
  return ownCells(rowsOf([track(properties)], options).tables['e']?.[0])
}

describe('flattening (contract §3.3)', () => {
  test('objects are flattened to any depth, with each part in snake case', () => {
    const { tables } = rowsOf([track({}, { context: { field: { nestedA: { nestedB: 1 } } } })])
    assert.deepEqual(ownCells(tables['e']?.[0]), { context_field_nested_a_nested_b: 1 })
    assert.deepEqual(cellsOf({ shipTo: { zipCode: '94103' } }), { ship_to_zip_code: '94103' })
  })

  test('an array is JSON text, at any level, and an empty one is []', () => {
    assert.deepEqual(cellsOf({ products: [{ sku: 'G' }], a: { list: [1, 'x', null] }, none: [] }), {
      products: '[{"sku":"G"}]',
      a_list: '[1,"x",null]',
      none: '[]',
    })
  })

  test('an empty object and null make no column', () => {
    assert.deepEqual(cellsOf({ empty: {}, a: { b: {} }, note: null }), {})
  })

  test('below 20 levels an object is JSON text in the column of that level', () => {
    const nested = (levels: number): Record<string, unknown> => (levels === 0 ? { x: 1 } : { a: nested(levels - 1) })
    assert.deepEqual(cellsOf(nested(19)), { [`${'a_'.repeat(19)}x`]: 1 })
    assert.deepEqual(cellsOf(nested(20)), { [Array(20).fill('a').join('_')]: '{"x":1}' })
  })

  test('tracks has the context and no property', () => {
    const { tables } = rowsOf([track({ total: 3 }, { context: { ip: '1.2.3.4' } })])
    assert.deepEqual(ownCells(tables['tracks']?.[0]), { context_ip: '1.2.3.4' })
    assert.deepEqual(ownCells(tables['e']?.[0]), { context_ip: '1.2.3.4', total: 3 })
  })
})

describe('names (contract §3.2)', () => {
  test('a digit in front and a reserved word get an underscore', () => {
    assert.deepEqual(cellsOf({ '2nd_purchase': 1, group: 'g', Order: 'o' }), {
      _2nd_purchase: 1,
      _group: 'g',
      _order: 'o',
    })
  })

  test('a property named like a column of ours is kept in _unmapped', () => {
    for (const name of [
      'id',
      'userId',
      'anonymous_id',
      'event',
      'receivedAt',
      'sent_at',
      'timestamp',
      'uuid',
      'uuid_ts',
    ]) {
      assert.deepEqual(cellsOf({ [name]: 'evil' }), { _unmapped: { [`properties.${name}`]: 'evil' } }, name)
    }
  })

  test('or stored with an underscore where the warehouse wants that', () => {
    assert.deepEqual(cellsOf({ userId: 'evil' }, { settings: { reservedColumns: 'prefix' } }), { _user_id: 'evil' })
  })

  test('of two keys with one name the exact one wins, else the later one', () => {
    assert.deepEqual(cellsOf({ user_name: 'exact', userName: 'other' }), {
      user_name: 'exact',
      _unmapped: { 'properties.userName': 'other' },
    })
    assert.deepEqual(cellsOf({ userName: 'other', user_name: 'exact' }), {
      user_name: 'exact',
      _unmapped: { 'properties.userName': 'other' },
    })
    assert.deepEqual(cellsOf({ 'user name': 'first', userName: 'later' }), {
      user_name: 'later',
      _unmapped: { 'properties.user name': 'first' },
    })
    assert.deepEqual(cellsOf({ address: { city: 'nested' }, address_city: 'flat' }), {
      address_city: 'flat',
      _unmapped: { 'properties.address.city': 'nested' },
    })
  })

  test('a null never takes a column from a value', () => {
    assert.deepEqual(cellsOf({ userName: 'x', user_name: null }), { user_name: 'x' })
  })

  test('a property cannot take the column of a context field', () => {
    const { tables } = rowsOf([track({ context_ip: 'mine' }, { context: { ip: '1.2.3.4' } })])
    assert.deepEqual(ownCells(tables['e']?.[0]), {
      context_ip: '1.2.3.4',
      _unmapped: { 'properties.context_ip': 'mine' },
    })
  })

  test('a name without a letter or digit of ASCII has no column, nor has what is below it', () => {
    assert.deepEqual(cellsOf({ 日本語: 1, $: { a: 2 }, ok: { '!': 3 } }), {
      _unmapped: { 'properties.日本語': 1, 'properties.$': { a: 2 }, 'properties.ok.!': 3 },
    })
  })

  test('a name that is too long is cut and gets a hash, so that two of them stay apart', () => {
    const [a, b] = [`${'x'.repeat(70)}_a`, `${'x'.repeat(70)}_b`]
    const names = Object.keys(cellsOf({ [a]: 1, [b]: 2 }, { identifierBytesMax: 63 }))
    assert.equal(names.length, 2)
    for (const name of names) assert.match(name, /^x{54}_[0-9a-f]{8}$/)
  })

  test('two paths that print alike both stay in _unmapped', () => {
    assert.deepEqual(cellsOf({ 'user.id': 1, user: { id: 2 } }), {
      _unmapped: { 'properties.user.id': 1, 'properties.user.id\\': 2 },
    })
  })
})

describe('events', () => {
  test('an event named like a fixed table goes to a table with an underscore', () => {
    const { tables } = rowsOf([message({ type: 'track', event: 'Users', properties: { a: 1 } })])
    assert.deepEqual(Object.keys(tables).sort(), ['_users', 'tracks'])
    assert.equal(tables['_users']?.[0]?.['event'], 'users')
  })

  test('two names with one slug share a table; event_text tells them apart', () => {
    const of = (event: string) => message({ type: 'track', event })
    const { tables } = rowsOf([of('Order Completed'), of('order-completed')])
    assert.deepEqual(
      tables['order_completed']?.map((row) => row['event_text']),
      ['Order Completed', 'order-completed'],
    )
  })

  test('an event whose name becomes empty is in tracks only, its properties in _unmapped', () => {
    const { tables } = rowsOf([
      message({ type: 'track', event: '日本語', properties: { a: 1, b: { c: [2] }, n: null } }),
    ])
    assert.deepEqual(Object.keys(tables), ['tracks'])
    assert.deepEqual(ownCells(tables['tracks']?.[0]), { _unmapped: { 'properties.a': 1, 'properties.b': { c: [2] } } })
  })

  test('past tablesMax events are whole in tracks, with a warning before', () => {
    const events = Array.from({ length: 12 }, (_, i) => message({ type: 'track', event: `E ${i}`, properties: { i } }))
    const { tables, notices } = rowsOf(events, { settings: { tablesMax: 18 } })
    assert.equal(Object.keys(tables).length, 11)
    assert.deepEqual(ownCells(tables['tracks']?.[11]), { _unmapped: { 'properties.i': 11 } })
    assert.deepEqual(notices, { 'e_8: many_tables': 1, 'e_9: many_tables': 1, 'tracks: too_many_tables': 2 })
  })

  test('past columnsMax values are in _unmapped', () => {
    const properties = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, i]))
    const cells = cellsOf(properties, { settings: { columnsMax: 60 } })
    assert.equal(Object.keys(cells).length, 60 - 10)
    assert.equal(Object.keys(cells['_unmapped'] as object).length, 100 - 49)
  })

  test('keepUnmapped: false drops what does not fit, and says so', () => {
    const { tables, notices } = rowsOf([track({ userId: 'evil' })], { settings: { keepUnmapped: false } })
    assert.deepEqual(ownCells(tables['e']?.[0]), {})
    assert.deepEqual(notices, { 'e: reserved_name': 1 })
  })

  test('a table that is switched off gets no rows, and costs tracks nothing', () => {
    const { tables } = rowsOf([track({ a: 1 })], { off: ['e'] })
    assert.deepEqual(Object.keys(tables), ['tracks'])
    assert.deepEqual(ownCells(tables['tracks']?.[0]), {})
  })
})

describe('calls (contract §2.4)', () => {
  test('identify calls', () => {
    const { tables } = rowsOf([
      message({
        type: 'identify',
        messageId: 'i1',
        userId: 'u1',
        traits: { email: 'j@x.io', firstName: 'Jo', address: { city: 'Rome' } },
      }),
      message({
        type: 'identify',
        messageId: 'i2',
        userId: 'u1',
        anonymousId: null,
        traits: { plan: 'pro', email: null },
      }),
      message({ type: 'identify', messageId: 'i3', anonymousId: 'a2', traits: { plan: 'free' } }),
    ])
    assert.deepEqual(
      tables['identifies']?.map((row) => [row['id'], row['user_id'], row['anonymous_id'], row['email'], row['plan']]),
      [
        ['i1', 'u1', 'a1', 'j@x.io', undefined],
        ['i2', 'u1', undefined, undefined, 'pro'],
        ['i3', undefined, 'a2', undefined, 'free'],
      ],
    )
    // One row a call that may change a user: the warehouse merges them. None for an anonymous one.
    assert.deepEqual(
      tables['users']?.map((row) => [row['id'], row['first_name'], row['address_city'], row['plan']]),
      [
        ['u1', 'Jo', 'Rome', undefined],
        ['u1', undefined, undefined, 'pro'],
      ],
    )
  })

  test('columns of identifies and users', () => {
    const { load } = rowsOf([
      message({ type: 'identify', userId: 'u1', traits: { email: 'j@x.io', id: 't' }, context: { ip: '::1' } }),
    ])
    const columns = Object.fromEntries(load.createTables.map(({ table, columns }) => [table, [...columns.keys()]]))
    assert.deepEqual(columns, {
      identifies: [
        'id',
        'anonymous_id',
        'user_id',
        'received_at',
        'sent_at',
        'original_timestamp',
        'timestamp',
        'uuid_ts',
        'context_ip',
        'email',
        '_unmapped',
      ],
      users: ['id', 'received_at', 'uuid_ts', 'context_ip', 'email', '_unmapped'],
    })
  })

  test('a group call makes a row in groups and a state of the account, without context', () => {
    const { tables } = rowsOf([
      message({
        type: 'group',
        messageId: 'g1',
        userId: 'u1',
        groupId: 'org9',
        traits: { name: 'Acme', employees: 20 },
        context: { ip: '::1' },
      }),
    ])
    assert.deepEqual(ownCells(tables['groups']?.[0]), {
      group_id: 'org9',
      name: 'Acme',
      employees: 20,
      context_ip: '::1',
    })
    assert.deepEqual(ownCells(tables['accounts']?.[0]), { name: 'Acme', employees: 20 })
    assert.equal(tables['accounts']?.[0]?.['id'], 'org9')
  })

  test('a page call', () => {
    const page = message({
      type: 'page',
      name: 'Pricing',
      category: 'Docs',
      properties: { url: 'https://x.io/p', utm: { source: 'ad' }, name: 'Pricing', category: 'Other' },
    })
    assert.deepEqual(ownCells(rowsOf([page]).tables['pages']?.[0]), {
      name: 'Pricing',
      category: 'Docs',
      url: 'https://x.io/p',
      utm_source: 'ad',
      // `properties.name` says what the column says; `properties.category` does not.
      _unmapped: { 'properties.category': 'Other' },
    })
  })

  test('an alias call has no anonymous_id', () => {
    const { tables, load } = rowsOf([message({ type: 'alias', previousId: 'a1', userId: 'u1' })])
    assert.equal(tables['aliases']?.[0]?.['previous_id'], 'a1')
    assert.equal(load.createTables[0]?.columns.has('anonymous_id'), false)
  })

  test('sent_at is NULL when the client did not say', () => {
    assert.equal(rowsOf([track({})]).tables['e']?.[0]?.['sent_at'], undefined)
  })
})
