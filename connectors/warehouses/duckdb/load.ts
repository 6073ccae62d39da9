/**
 * One load, in one transaction: tables and columns, rows whose `id` is new, `users` and `accounts`, cursors. There is no unique index
 * (it would cost 14 times the time at 10 million rows); whether an id is there is looked up, for those few that `IdFilter`
 * does not know to be new.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { ColumnType, Load, LoadResult, TableRows, UpsertRows } from '../../../src/kit/index.ts'
import { writeCursors } from './bookkeeping.ts'
import { addColumnSql, alterColumnSql, createTableSql, readTables, sqlTypes } from './catalog-tables.ts'
import { mergeState, type StateRow } from './merge-state.ts'
import type { OpenFile } from './open-file.ts'
import { quoteName, quoteTable } from './quote.ts'
import { cellOf } from './read-cells.ts'
import type { KnownIds } from './known-ids.ts'
import { appendToTemporary, STAGED_IDS, stageIds, type WrittenColumn } from './write-rows.ts'

export interface LoadParts {
  file: OpenFile
  /** Used by loads only, one at a time. */
  connection: DuckDBConnection
  knownIds: KnownIds
}

/** Runs the load: all of it, or nothing and an error. */
export async function runLoad(parts: LoadParts, load: Load): Promise<LoadResult> {
  const { connection, knownIds } = parts
  await connection.run('BEGIN TRANSACTION')
  try {
    await changeTables(connection, load)
    const result = await writeRows(parts, load)
    const rowCount = [...result.inserted.values()].reduce((sum, count) => sum + count, 0)
    await writeCursors(connection, load, rowCount)
    await connection.run('COMMIT')
    return result
  } catch (error) {
    // The first error says more than a failing rollback; DuckDB has rolled back by itself then.
    await connection.run('ROLLBACK').catch(() => {})
    knownIds.forget()
    throw error
  }
}

async function changeTables(connection: DuckDBConnection, load: Load): Promise<void> {
  for (const schema of new Set(load.createTables.map((table) => table.schema))) {
    await connection.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`)
  }
  for (const table of load.createTables) await connection.run(createTableSql(table))
  for (const { schema, table, column, type } of load.addColumns) {
    await connection.run(addColumnSql(schema, table, column, type))
  }
  await alterColumns(connection, load.alterColumns)
}

/** Integers that become doubles must not lose their last digits: those that would are kept in `_unmapped`, as if they came now.
 *  They are set aside first, because DuckDB does not alter a table that the same transaction has updated. */
async function alterColumns(connection: DuckDBConnection, changes: Load['alterColumns']): Promise<void> {
  const long = new Map<string, Load['alterColumns'][number]>()
  for (const [i, change] of changes.entries()) {
    if (change.from !== 'integer' || change.to !== 'float') continue
    const aside = `_long_${i}`
    if (await setLongIntegersAside(connection, change, aside)) long.set(aside, change)
  }
  for (const { schema, table, column, from, to } of changes) {
    await connection.run(alterColumnSql(schema, table, column, from, to))
  }
  for (const { schema, table } of long.values()) await connection.run(addColumnSql(schema, table, '_unmapped', 'json'))
  for (const [aside, { schema, table, path }] of long) {
    await connection.run(
      `UPDATE ${quoteTable(schema, table)} t
       SET _unmapped = json_merge_patch(coalesce(t._unmapped, '{}'::JSON), json_object($1, l.value))
       FROM temp.main.${aside} l WHERE t.id = l.id`,
      [path],
    )
  }
}

/** Copies the integers of a column that no double holds into a temporary table; false when there are none. */
async function setLongIntegersAside(
  connection: DuckDBConnection,
  { schema, table, column }: Load['alterColumns'][number],
  aside: string,
): Promise<boolean> {
  const name = quoteName(column)
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE ${aside} AS SELECT id, ${name} AS value FROM ${quoteTable(schema, table)}
     WHERE ${name} > ${Number.MAX_SAFE_INTEGER} OR ${name} < ${Number.MIN_SAFE_INTEGER}`,
  )
  const found = await connection.runAndReadAll(`SELECT 1 FROM temp.main.${aside} LIMIT 1`)
  return found.currentRowCount > 0
}

async function writeRows(parts: LoadParts, load: Load): Promise<LoadResult> {
  const inserted = new Map<string, number>()
  const newIds = new Map<string, ReadonlySet<string>>()
  const created = new Set(load.createTables.map(({ schema, table }) => `${schema}.${table}`))
  for (const [schema, tables] of bySchema(load.append)) {
    const seen = await parts.knownIds.find(schema, tables, (table) => created.has(`${schema}.${table}`))
    for (const rows of tables) {
      const isSeen = seen.get(rows.table)
      const fresh = newRows(rows, isSeen)
      const name = `${schema}.${rows.table}`
      newIds.set(name, fresh.ids)
      inserted.set(name, fresh.rows.length)
      await insert(parts, rows, rows.columns, fresh.rows)
    }
  }
  for (const upsert of load.upsert) {
    const { schema, table } = upsert
    const ids = upsert.onlyIfNew && newIds.get(`${schema}.${upsert.onlyIfNew.table}`)
    inserted.set(`${schema}.${table}`, await mergeRows(parts, upsert, ids))
  }
  return { inserted }
}

function bySchema(append: readonly TableRows[]): Map<string, TableRows[]> {
  return Map.groupBy(append, ({ schema }) => schema)
}

/** Rows whose id is neither in the table nor in an earlier row. */
function newRows({ columns, rowCount }: TableRows, seen: ReadonlySet<string> | undefined) {
  const ids = new Set<string>()
  const rows: number[] = []
  const cells = idCells(columns)
  for (let row = 0; row < rowCount; row += 1) {
    const id = cells[row]!
    if (seen?.has(id) === true || ids.has(id)) continue
    ids.add(id)
    rows.push(row)
  }
  return { ids, rows }
}

/** The kit promises the column, filled with text. */
function idCells(columns: TableRows['columns']): string[] {
  return columns.find(({ name }) => name === 'id')!.cells as string[]
}

interface NamedColumn extends WrittenColumn {
  name: string
}

const STAGE = '_stage'

/** Adds rows by way of a temporary table: the appender alone would have to be given every column that the table has. */
async function insert(
  { file, connection }: LoadParts,
  { schema, table }: { schema: string; table: string },
  columns: readonly NamedColumn[],
  rows: readonly number[],
): Promise<void> {
  if (rows.length === 0) return
  const list = columns.map(({ name }) => quoteName(name)).join(', ')
  const types = columns.map(({ name, type }) => `${quoteName(name)} ${sqlTypes[type]}`).join(', ')
  await connection.run(`CREATE OR REPLACE TEMP TABLE ${STAGE} (${types})`)
  await appendToTemporary(file.duckdb, connection, STAGE, columns, rows)
  await connection.run(`INSERT INTO ${quoteTable(schema, table)} (${list}) SELECT ${list} FROM temp.main.${STAGE}`)
  await connection.run(`DROP TABLE temp.main.${STAGE}`)
}

/** Merges the calls into `users` or `accounts`; returns how many rows changed. */
async function mergeRows(
  parts: LoadParts,
  calls: UpsertRows,
  newIds: ReadonlySet<string> | undefined,
): Promise<number> {
  const { connection } = parts
  const { schema, table, onlyIfNew } = calls
  const isNew = (row: number): boolean =>
    onlyIfNew === undefined || newIds === undefined || newIds.has(onlyIfNew.ids[row]!)
  const columns = await columnsOf(connection, schema, table)
  const existing = await readState(parts, calls, columns)
  const names = columns.map(({ name }) => name)
  const changed = mergeState({ columns: names, existing, calls, isNew: firstOf(isNew, onlyIfNew?.ids) })
  if (changed.size === 0) return 0
  const replaced = [...changed.keys()].filter((id) => existing.has(id))
  if (replaced.length > 0) {
    await stageIds(parts.file.duckdb, connection, replaced)
    await connection.run(`DELETE FROM ${quoteTable(schema, table)} WHERE id IN (SELECT id FROM ${STAGED_IDS})`)
  }
  const rows = [...changed.values()]
  const written = columns.map((column, at) => ({ ...column, cells: rows.map((row) => row[at]) }))
  await insert(parts, calls, written, [...rows.keys()])
  return changed.size
}

/** A message that is twice in the load counts once. */
function firstOf(isNew: (row: number) => boolean, ids: readonly string[] | undefined): (row: number) => boolean {
  const counted = new Set<string>()
  return (row) => {
    const id = ids?.[row]
    if (id === undefined) return isNew(row)
    if (counted.has(id) || !isNew(row)) return false
    counted.add(id)
    return true
  }
}

async function columnsOf(
  connection: DuckDBConnection,
  schema: string,
  table: string,
): Promise<{ name: string; type: ColumnType }[]> {
  const tables = await readTables(connection, [schema])
  const columns = tables.find((one) => one.table === table)?.columns ?? []
  return [...columns].map(([name, type]) => ({ name, type }))
}

async function readState(
  parts: LoadParts,
  calls: UpsertRows,
  columns: readonly { name: string; type: ColumnType }[],
): Promise<Map<string, StateRow>> {
  await stageIds(parts.file.duckdb, parts.connection, [...new Set(idCells(calls.columns))])
  const list = columns.map(({ name, type }) => `t.${quoteName(name)}${type === 'json' ? '::VARCHAR' : ''}`).join(', ')
  const result = await parts.connection.runAndReadAll(
    `SELECT ${list} FROM ${quoteTable(calls.schema, calls.table)} t SEMI JOIN ${STAGED_IDS} USING (id)`,
  )
  const idAt = columns.findIndex(({ name }) => name === 'id')
  const rows = result.getRows().map((row) => row.map(cellOf))
  return new Map(rows.map((row) => [row[idAt] as string, row]))
}
