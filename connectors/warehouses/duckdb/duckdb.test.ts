/** What is particular to DuckDB; what every warehouse must do is in the suite of the kit. */
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { TableRows, WarehouseConnection } from '../../../src/kit/index.ts'
import duckdb from './index.ts'
import { createKnownIds } from './known-ids.ts'
import { openFile, type OpenFile } from './open-file.ts'

async function aDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-duckdb-'))
  t.after(() => rm(directory, { recursive: true }))
  return directory
}

async function ask(connection: WarehouseConnection, sql: string, timeoutMs = 10_000): Promise<unknown[][]> {
  const result = await connection.query(sql, { timeoutMs, rowsMax: 1_000_000 })
  const all: unknown[][] = []
  for await (const rows of result.rows) all.push(...rows)
  return all
}

test('cells of a query are JSON: times, big numbers, decimals, lists and structs', async (t) => {
  const connection = await duckdb.connect({}, { dataDirectory: await aDirectory(t) })
  t.after(() => connection.close())
  const cases: [string, unknown][] = [
    ['9007199254740993', '9007199254740993'],
    ['-9007199254740991', -9007199254740991],
    ['sum(5)', 5],
    ['170141183460469231731687303715884105727::HUGEINT', '170141183460469231731687303715884105727'],
    ['1.50::DECIMAL(9,2)', 1.5],
    ['1234567890123456.78::DECIMAL(38,2)', '1234567890123456.78'],
    [`TIMESTAMPTZ '2024-03-01 12:00:00+02'`, '2024-03-01T10:00:00.000Z'],
    [`TIMESTAMPTZ '2024-03-01 10:00:00.123456+00'`, '2024-03-01T10:00:00.123456Z'],
    [`TIMESTAMP '1969-12-31 23:59:59.999999'`, '1969-12-31T23:59:59.999999Z'],
    [`'infinity'::TIMESTAMPTZ`, 'infinity'],
    [`DATE '2024-03-01'`, '2024-03-01'],
    ['[1, NULL, 3]', [1, null, 3]],
    [`{'a': 9007199254740993, 'b': ['x']}`, { a: '9007199254740993', b: ['x'] }],
    [`MAP {'k': 1}`, [{ key: 'k', value: 1 }]],
    [`'NaN'::DOUBLE`, 'NaN'],
    [`'{"a":1}'::JSON`, '{"a":1}'],
    ['NULL', null],
    ["date_trunc('day', TIMESTAMPTZ '2024-03-01 23:30:00+00')", '2024-03-01T00:00:00.000Z'],
  ]
  for (const [sql, expected] of cases) assert.deepEqual(await ask(connection, `SELECT ${sql}`), [[expected]], sql)
})

test('queries reach no other file, change no setting and end in time', async (t) => {
  const directory = await aDirectory(t)
  await writeFile(join(directory, 'secret.csv'), 'a\n1\n')
  const connection = await duckdb.connect({}, { dataDirectory: directory })
  t.after(() => connection.close())
  for (const sql of [
    `SELECT * FROM read_csv('${join(directory, 'secret.csv')}')`,
    `SELECT * FROM '${join(directory, 'secret.csv')}'`,
    `SELECT * FROM read_text('${join(directory, 'secret.csv')}')`,
    `SELECT * FROM glob('${directory}/*')`,
    `COPY (SELECT 1) TO '${join(directory, 'out.csv')}'`,
    `ATTACH '${join(directory, 'other.duckdb')}'`,
    `SET memory_limit = '9GB'`,
    'INSTALL httpfs',
    'LOAD httpfs',
    'PRAGMA enable_profiling',
    'CHECKPOINT',
  ]) {
    await assert.rejects(ask(connection, sql), { name: 'BadPayload' }, sql)
  }
  const endless = 'SELECT count(*) FROM range(1000000000) a, range(1000000000) b'
  await assert.rejects(ask(connection, endless, 100), /took longer than 0\.1 s/)
  assert.deepEqual(await ask(connection, 'SHOW TABLES'), [])
})

test('a file that another program has open is named as such', async (t) => {
  const directory = await aDirectory(t)
  const connection = await duckdb.connect({}, { dataDirectory: directory })
  t.after(() => connection.close())
  // DuckDB's own lock is per process, so the other program has to be one.
  const { spawnSync } = await import('node:child_process')
  const script = `
    import duckdb from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
    await duckdb.connect({}, { dataDirectory: ${JSON.stringify(directory)} }).catch((error) => console.log(error.message))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.match(stdout, /is open in another program/)
})

test('a file that is no database is explained', async (t) => {
  const directory = await aDirectory(t)
  await writeFile(join(directory, 'warehouse.duckdb'), 'this is no database, but a text of some length'.repeat(300))
  await assert.rejects(duckdb.connect({}, { dataDirectory: directory }), /could not be opened/)
})

test('a write-ahead log with damage in its middle is explained', async (t) => {
  const directory = await aDirectory(t)
  const connection = await duckdb.connect({}, { dataDirectory: directory })
  t.after(() => connection.close())
  // What a kill leaves: the file and its log, copied while both are in use.
  await copyFile(join(directory, 'warehouse.duckdb'), join(directory, 'copy.duckdb'))
  const log = await readFile(join(directory, 'warehouse.duckdb.wal'))
  log[Math.floor(log.byteLength / 2)]! ^= 0xff
  await writeFile(join(directory, 'copy.duckdb.wal'), log)
  await assert.rejects(
    duckdb.connect({ path: 'copy.duckdb' }, { dataDirectory: directory }),
    /write-ahead log .*copy\.duckdb\.wal is damaged/,
  )
})

test('a schema may be called like the file', async (t) => {
  const connection = await duckdb.connect({ path: 'web.duckdb' }, { dataDirectory: await aDirectory(t) })
  t.after(() => connection.close())
  const columns = new Map([
    ['id', 'varchar'],
    ['received_at', 'timestamp'],
  ] as const)
  await connection.load({
    id: 'l',
    startedAt: new Date(0),
    createTables: [{ schema: 'web', table: 'tracks', columns }],
    addColumns: [],
    alterColumns: [],
    append: [],
    upsert: [],
    cursors: [],
  })
  assert.deepEqual(await ask(connection, 'SELECT count(*) FROM web.tracks'), [[0]])
})

test('with the filter in front, exactly the ids of each table are found', async (t) => {
  const file: OpenFile = await openFile({
    path: join(await aDirectory(t), 'x.duckdb'),
    memoryLimit: '256MB',
    threads: 1,
  })
  t.after(() => file.close())
  const connection = await file.connect()
  t.after(() => connection.closeSync())
  await connection.run(`CREATE SCHEMA s`)
  await connection.run(`CREATE TABLE s.tracks AS SELECT 'id-' || i AS id FROM range(3000) r(i)`)
  await connection.run(`CREATE TABLE s.e AS SELECT 'id-' || i AS id FROM range(0, 3000, 3) r(i)`)
  const knownIds = createKnownIds({ file, connection, filterFromRows: 1000, filterBytesMax: 64 * 1024 })
  const rows = (table: string, ids: string[]): TableRows => {
    return { schema: 's', table, rowCount: ids.length, columns: [{ name: 'id', type: 'varchar', cells: ids }] }
  }
  const find = async (ids: string[]) => {
    const found = await knownIds.find('s', [rows('tracks', ids), rows('e', ids)], () => false)
    return ['tracks', 'e'].map((table) => [...(found.get(table) ?? [])].sort())
  }
  assert.deepEqual(await find(['id-1', 'id-3', 'new-1']), [['id-1', 'id-3'], ['id-3']])
  assert.deepEqual(await find(['new-2', 'new-3']), [[], []])
  // Asked about once, `new-2` is suspected; the table decides.
  assert.deepEqual(await find(['new-2', 'id-6']), [['id-6'], ['id-6']])
  await connection.run(`INSERT INTO s.tracks VALUES ('new-2')`)
  assert.deepEqual(await find(['new-2']), [['new-2'], []])
})
