/**
 * What every warehouse connector must do, as tests: `warehouseSuite(type, definition, open)` in a test file registers them.
 * They speak to a real warehouse through the interface that the loader uses.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { checkWarehouse } from '../check-definition.ts'
import type {
  Cell,
  ColumnRows,
  ColumnType,
  Load,
  LoadCursor,
  TableRows,
  TableSchema,
  UpsertRows,
  WarehouseConnection,
  WarehouseDefinition,
} from '../warehouse.ts'

/** An empty warehouse that can be opened again and again until `remove`. */
export interface TestWarehouse {
  connect(): Promise<WarehouseConnection>
  remove(): Promise<void>
}

/** Registers the tests. `create` makes a new, empty warehouse. */
export function warehouseSuite(
  type: string,
  definition: WarehouseDefinition,
  create: () => Promise<TestWarehouse>,
): void {
  const it = (
    title: string,
    run: (connection: WarehouseConnection, warehouse: TestWarehouse) => Promise<void>,
  ): void => {
    test(`${type}: ${title}`, async (t) => {
      const warehouse = await create()
      t.after(() => warehouse.remove())
      const connection = await warehouse.connect()
      closeAfter(t, connection)
      await run(connection, warehouse)
    })
  }

  test(`${type}: labels, descriptions and settings are sound`, () => {
    assert.deepEqual(checkWarehouse(definition), [])
  })

  testRows(it)
  testState(it)
  testSchema(it, definition)
  testCursors(it)
  testQueries(it)
}

type It = (title: string, run: (connection: WarehouseConnection, warehouse: TestWarehouse) => Promise<void>) => void

function closeAfter(t: TestContext, connection: WarehouseConnection): void {
  // A test may have closed it itself.
  t.after(() => connection.close().catch(() => {}))
}

function testRows(it: It): void {
  it('cells of every type come back as they were written', async (connection) => {
    const columns: ColumnRows[] = [
      { name: 'flag', type: 'boolean', cells: [true, null] },
      { name: 'count', type: 'integer', cells: [-12, 9223372036854775807n] },
      { name: 'ratio', type: 'float', cells: [1.5, 1e300] },
      {
        name: 'moment',
        type: 'timestamp',
        cells: [Date.UTC(2024, 1, 29, 12, 0, 0, 7), Date.parse('0001-01-01T00:00:00.000Z')],
      },
      { name: 'text', type: 'varchar', cells: [`it's "x"; 😀 \\ \n`, ''] },
      { name: '_unmapped', type: 'json', cells: ['{"a":[1]}', undefined] },
    ]
    await connection.load(aLoad({ append: [rowsOf('t', ['a', 'b'], columns)] }))
    const rows = await ask(connection, `SELECT flag, count, ratio, moment, text, _unmapped FROM s.t ORDER BY id`)
    assert.deepEqual(rows, [
      [true, -12, 1.5, '2024-02-29T12:00:00.007Z', `it's "x"; 😀 \\ \n`, '{"a":[1]}'],
      [null, '9223372036854775807', 1e300, '0001-01-01T00:00:00.000Z', '', null],
    ])
  })

  it('an id is one row for ever: in one load, in the next, and after a restart', async (connection, warehouse) => {
    const first = await connection.load(
      aLoad({ append: [rowsOf('t', ['a', 'b', 'a'], [texts('v', ['1', '2', '3'])])] }),
    )
    assert.deepEqual([...first.inserted], [['s.t', 2]])
    const again = aLoad({ append: [rowsOf('t', ['b', 'c'], [texts('v', ['4', '5'])])], createTables: [] })
    assert.deepEqual([...(await connection.load(again)).inserted], [['s.t', 1]])
    await connection.close()
    const reopened = await warehouse.connect()
    await reopened.load(aLoad({ append: [rowsOf('t', ['a', 'c'], [texts('v', ['6', '7'])])], createTables: [] }))
    assert.deepEqual(await ask(reopened, 'SELECT id, v FROM s.t ORDER BY id'), [
      ['a', '1'],
      ['b', '2'],
      ['c', '5'],
    ])
    await reopened.close()
  })

  it('an id counts for each table on its own', async (connection) => {
    await connection.load(aLoad({ append: [rowsOf('t', ['a'], [])] }))
    const both = aLoad({ append: [rowsOf('t', ['a'], []), rowsOf('other', ['a'], [])] })
    both.createTables = both.createTables.filter(({ table }) => table === 'other')
    assert.deepEqual(
      [...(await connection.load(both)).inserted],
      [
        ['s.t', 0],
        ['s.other', 1],
      ],
    )
  })

  it('more rows than any batch of the engine arrive in full', async (connection) => {
    const ids = Array.from({ length: 5_000 }, (_, i) => `id-${i}`)
    await connection.load(
      aLoad({ append: [rowsOf('t', ids, [{ name: 'n', type: 'integer', cells: [...ids.keys()] }])] }),
    )
    assert.deepEqual(await ask(connection, 'SELECT count(*), count(DISTINCT id), sum(n) FROM s.t'), [
      [5000, 5000, 12497500],
    ])
  })
}

function testState(it: It): void {
  it('a newer call overwrites what it carries, null included, and leaves the rest', async (connection) => {
    await connection.load(aLoad({ upsert: [stateOf(['u'], [1000], [texts('plan', ['free']), texts('name', ['Jo'])])] }))
    await connection.load(
      aLoad({
        createTables: [],
        upsert: [stateOf(['u'], [2000], [texts('plan', ['pro']), texts('name', [undefined])])],
      }),
    )
    assert.deepEqual(await ask(connection, usersSql), [['u', 'pro', 'Jo', '1970-01-01T00:00:02.000Z']])
    await connection.load(aLoad({ createTables: [], upsert: [stateOf(['u'], [3000], [texts('name', [null])])] }))
    assert.deepEqual(await ask(connection, usersSql), [['u', 'pro', null, '1970-01-01T00:00:03.000Z']])
  })

  it('an older call makes a missing row and fills NULLs only', async (connection) => {
    await connection.load(aLoad({ upsert: [stateOf(['u'], [2000], [texts('plan', ['pro']), texts('name', [null])])] }))
    const late = stateOf(['u', 'w'], [1000, 1000], [texts('plan', ['free', 'free']), texts('name', ['Jo', undefined])])
    await connection.load(aLoad({ createTables: [], upsert: [late] }))
    assert.deepEqual(await ask(connection, usersSql), [
      ['u', 'pro', 'Jo', '1970-01-01T00:00:02.000Z'],
      ['w', 'free', null, '1970-01-01T00:00:01.000Z'],
    ])
  })

  it('several calls of one user in one load apply in the order given', async (connection) => {
    const calls = stateOf(
      ['u', 'u', 'u'],
      [1000, 1000, 2000],
      [texts('plan', ['a', 'b', undefined]), texts('name', ['x', undefined, 'y'])],
    )
    const { inserted } = await connection.load(aLoad({ upsert: [calls] }))
    assert.deepEqual([...inserted], [['s.users', 1]])
    assert.deepEqual(await ask(connection, usersSql), [['u', 'b', 'y', '1970-01-01T00:00:02.000Z']])
  })

  it('a message that is in the append table already never touches the state again', async (connection) => {
    const load = (ms: number, plan: string, createTables?: []): Load => {
      const state = stateOf(['u'], [ms], [texts('plan', [plan]), texts('name', ['Jo'])])
      state.onlyIfNew = { table: 'identifies', ids: ['i1'] }
      return aLoad({
        append: [rowsOf('identifies', ['i1'], [])],
        upsert: [state],
        ...(createTables && { createTables }),
      })
    }
    await connection.load(load(1000, 'free'))
    await connection.load(load(5000, 'hacked', []))
    assert.deepEqual(await ask(connection, usersSql), [['u', 'free', 'Jo', '1970-01-01T00:00:01.000Z']])
  })

  it('_unmapped of a state is replaced key by key, and a value that fits ends what did not', async (connection) => {
    const call = (ms: number, total: number | null | undefined, unmapped: string | undefined): UpsertRows => {
      return stateOf(
        ['u'],
        [ms],
        [
          { name: 'total', type: 'integer', path: 'traits.total', cells: [total] },
          { name: '_unmapped', type: 'json', cells: [unmapped] },
        ],
      )
    }
    const read = async (): Promise<unknown> => (await ask(connection, 'SELECT total, _unmapped FROM s.users'))[0]
    await connection.load(aLoad({ upsert: [call(1000, null, '{"traits.total":"12 EUR","traits.id":"x"}')] }))
    await connection.load(aLoad({ createTables: [], upsert: [call(2000, undefined, '{"traits.id":"y"}')] }))
    assert.deepEqual(await read(), [null, '{"traits.total":"12 EUR","traits.id":"y"}'])
    await connection.load(aLoad({ createTables: [], upsert: [call(3000, 12, undefined)] }))
    assert.deepEqual(await read(), [12, '{"traits.id":"y"}'])
    await connection.load(
      aLoad({ createTables: [], upsert: [call(2500, undefined, '{"traits.total":"13 EUR","traits.z":1}')] }),
    )
    assert.deepEqual(await read(), [12, '{"traits.id":"y","traits.z":1}'])
  })
}

const usersSql = 'SELECT id, plan, name, received_at FROM s.users ORDER BY id'

function testSchema(it: It, definition: WarehouseDefinition): void {
  it('tables and columns that were made are read back with their types', async (connection) => {
    const types: ColumnType[] = ['boolean', 'integer', 'float', 'timestamp', 'varchar', 'json']
    const columns = types.map((type): ColumnRows => ({ name: `c_${type}`, type, cells: [null] }))
    await connection.load(aLoad({ append: [rowsOf('t', ['a'], columns)] }))
    await connection.load(
      aLoad({ createTables: [], addColumns: [{ schema: 's', table: 't', column: 'later', type: 'float' }] }),
    )
    const tables = await connection.readSchema(['s', 'not_there'])
    assert.equal(tables.length, 1)
    const read = tables[0]!.columns
    for (const { name, type } of columns) assert.equal(read.get(name), type)
    assert.equal(read.get('later'), 'float')
  })

  for (const change of definition.canWiden) {
    const [from, to] = change.split('>') as [ColumnType, ColumnType]
    it(`a column is altered from ${from} to ${to} with its values`, async (connection) => {
      const before = {
        integer: 12,
        boolean: true,
        timestamp: Date.UTC(2024, 0, 1),
        float: 1,
        varchar: 'x',
        json: '{}',
      }[from]
      const after = { float: 12, varchar: from === 'timestamp' ? '2024-01-01T00:00:00.000Z' : 'true' }[String(to)]
      await connection.load(aLoad({ append: [rowsOf('t', ['a'], [{ name: 'c', type: from, cells: [before] }])] }))
      const newCell = to === 'float' ? 1.5 : 'new'
      await connection.load(
        aLoad({
          createTables: [],
          alterColumns: [{ schema: 's', table: 't', column: 'c', from, to, path: 'properties.c' }],
          append: [rowsOf('t', ['b'], [{ name: 'c', type: to, cells: [newCell] }])],
        }),
      )
      assert.deepEqual(await ask(connection, 'SELECT c FROM s.t ORDER BY id'), [[after], [newCell]])
    })
  }

  it('hostile names are names and nothing else', async (connection) => {
    const names = [
      `"; DROP SCHEMA s CASCADE; --`,
      `'; DROP TABLE s.t; --`,
      'a"b',
      `x" VARCHAR); CREATE TABLE evil(a INT); --`,
      '😀',
      '$1',
      '?',
      '\\',
      'line\nbreak',
      'Ünïcödé',
      'é'.repeat(Math.min(100, Math.floor(definition.identifierBytesMax / 2))),
      'select',
    ]
    const columns = names.map((name) => texts(name, [name]))
    const append = names.map((name) =>
      rowsOf(
        name,
        ['a'],
        columns.map((column) => ({ ...column })),
      ),
    )
    await connection.load(aLoad({ append }))
    const tables = await connection.readSchema(['s'])
    assert.deepEqual(tables.map(({ table }) => table).sort(), [...names].sort())
    for (const { columns: read } of tables)
      assert.deepEqual([...read.keys()].sort(), ['id', 'received_at', ...names].sort())
  })
}

function testCursors(it: It): void {
  it('a load that fails leaves nothing: no table, no row, no cursor', async (connection) => {
    await connection.load(aLoad({ append: [rowsOf('t', ['a'], [])], cursors: [aCursor(0, 10)] }))
    const bad = aLoad({ append: [rowsOf('t', ['b'], []), rowsOf('u', ['b'], [])], cursors: [aCursor(10, 20)] })
    bad.createTables = [{ schema: 's', table: 'v', columns: new Map([['id', 'varchar']]) }]
    await assert.rejects(connection.load(bad))
    assert.deepEqual(
      (await connection.readSchema(['s'])).map(({ table }) => table),
      ['t'],
    )
    assert.deepEqual(await ask(connection, 'SELECT id FROM s.t'), [['a']])
    assert.deepEqual(await connection.readCursors(), [stored(10)])
    // And the next one works.
    await connection.load(aLoad({ createTables: [], append: [rowsOf('t', ['b'], [])], cursors: [aCursor(10, 20)] }))
    assert.deepEqual(await connection.readCursors(), [stored(20)])
  })

  it('cursors outlive the connection, one for each source and partition', async (connection, warehouse) => {
    const others = [
      { ...aCursor(0, 7), partition: 1 },
      { ...aCursor(0, 8), source: 'src_2' },
    ]
    await connection.load(aLoad({ cursors: [aCursor(0, 5), ...others] }))
    await connection.load(aLoad({ cursors: [{ ...aCursor(0, 3), journalId: 'restored' }] }))
    await connection.close()
    const reopened = await warehouse.connect()
    const read = await reopened.readCursors()
    assert.deepEqual(
      read.map(({ journalId, source, partition, offset }) => [journalId, source, partition, offset]).sort(),
      [
        ['j', 'src_1', 1, 7],
        ['j', 'src_2', 0, 8],
        ['restored', 'src_1', 0, 3],
      ],
    )
    assert.deepEqual(read[0]?.ledger, { delivered: 3 })
    await reopened.close()
  })

  it('the load of an offset is found', async (connection) => {
    await connection.load({ ...aLoad({ cursors: [aCursor(0, 10)] }), id: 'one' })
    await connection.load({ ...aLoad({ cursors: [aCursor(10, 20)] }), id: 'two' })
    const at = async (offset: number): Promise<string[]> => {
      return (await connection.readLoads('j', 'src_1', 0, offset)).map(({ id }) => id)
    }
    assert.deepEqual(await at(9), ['one'])
    assert.deepEqual(await at(10), ['two'])
    assert.deepEqual(await at(20), [])
    const [load] = await connection.readLoads('j', 'src_1', 0, 0)
    assert.deepEqual([load?.fromOffset, load?.toOffset, load!.committedAt.getTime() > 0], [0, 10, true])
  })
}

function testQueries(it: It): void {
  it('statements that write are refused and change nothing', async (connection) => {
    await connection.load(aLoad({ append: [rowsOf('t', ['a'], [])] }))
    for (const sql of [
      'DELETE FROM s.t',
      'DROP TABLE s.t',
      `INSERT INTO s.t (id) VALUES ('x')`,
      `WITH x AS (SELECT 1) INSERT INTO s.t (id) SELECT 'y' FROM x`,
      'EXPLAIN ANALYZE DELETE FROM s.t',
      'CREATE TABLE s.u (a INTEGER)',
      'SELECT 1; DROP TABLE s.t',
      'not sql at all',
      '',
    ]) {
      await assert.rejects(ask(connection, sql), { name: 'BadPayload' }, sql)
    }
    assert.deepEqual(await ask(connection, 'SELECT id FROM s.t'), [['a']])
  })

  it('a query with more rows than allowed fails rather than giving fewer', async (connection) => {
    await connection.load(aLoad({ append: [rowsOf('t', ['a', 'b', 'c'], [])] }))
    assert.equal((await ask(connection, 'SELECT * FROM s.t', { timeoutMs: 5_000, rowsMax: 3 })).length, 3)
    await assert.rejects(ask(connection, 'SELECT * FROM s.t', { timeoutMs: 5_000, rowsMax: 2 }), /more than 2 rows/)
  })

  it('a query does not see a load before it is committed, and does not hold it up', async (connection) => {
    await connection.load(aLoad({ append: [rowsOf('t', ['a', 'b'], [])] }))
    const open = await connection.query('SELECT id FROM s.t', { timeoutMs: 5_000, rowsMax: 10 })
    await connection.load(aLoad({ createTables: [], append: [rowsOf('t', ['c'], [])] }))
    let count = 0
    for await (const rows of open.rows) count += rows.length
    assert.equal(count, 2)
    assert.deepEqual(await ask(connection, 'SELECT count(*) FROM s.t'), [[3]])
  })
}

function texts(name: string, cells: Cell[]): ColumnRows {
  return { name, type: 'varchar', cells }
}

function rowsOf(table: string, ids: string[], columns: ColumnRows[]): TableRows {
  const receivedAt: ColumnRows = { name: 'received_at', type: 'timestamp', cells: ids.map(() => 0) }
  return { schema: 's', table, rowCount: ids.length, columns: [texts('id', ids), receivedAt, ...columns] }
}

/** Rows of `users`. */
function stateOf(ids: string[], receivedAtMs: number[], columns: ColumnRows[]): UpsertRows {
  const rows = rowsOf('users', ids, columns)
  rows.columns[1]!.cells = receivedAtMs
  return rows
}

/** A load that makes the tables of its rows, unless told otherwise. */
function aLoad(parts: Partial<Load>): Load {
  const { append = [], upsert = [] } = parts
  const createTables = [...append, ...upsert].map(({ schema, table, columns }): TableSchema => {
    return { schema, table, columns: new Map(columns.map(({ name, type }) => [name, type])) }
  })
  const nothing = { addColumns: [], alterColumns: [], cursors: [] }
  return { id: 'load', startedAt: new Date(0), createTables, append, upsert, ...nothing, ...parts }
}

function aCursor(fromOffset: number, offset: number): LoadCursor & { fromOffset: number } {
  return { journalId: 'j', source: 'src_1', partition: 0, fromOffset, offset, ledger: { delivered: 3 } }
}

function stored(offset: number): LoadCursor {
  return { journalId: 'j', source: 'src_1', partition: 0, offset, ledger: { delivered: 3 } }
}

async function ask(
  connection: WarehouseConnection,
  sql: string,
  limits = { timeoutMs: 10_000, rowsMax: 100_000 },
): Promise<unknown[][]> {
  const result = await connection.query(sql, limits)
  const all: unknown[][] = []
  for await (const rows of result.rows) all.push(...rows)
  return all
}
