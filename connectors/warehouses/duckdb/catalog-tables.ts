/** What tables the file has, and which column types of DuckDB are ours. */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { ColumnType, TableSchema } from '../../../src/kit/index.ts'
import { CATALOG, quoteName, quoteTable, quoteText } from './quote.ts'

export const sqlTypes: Record<ColumnType, string> = {
  boolean: 'BOOLEAN',
  integer: 'BIGINT',
  float: 'DOUBLE',
  timestamp: 'TIMESTAMPTZ',
  varchar: 'VARCHAR',
  json: 'JSON',
}

const columnTypes = new Map<string, ColumnType>([
  ['BOOLEAN', 'boolean'],
  ['BIGINT', 'integer'],
  ['DOUBLE', 'float'],
  ['TIMESTAMP WITH TIME ZONE', 'timestamp'],
  ['JSON', 'json'],
])

/** Tables of the schemas with their columns in the order of the table. A type that we never make counts as text: DuckDB casts. */
export async function readTables(connection: DuckDBConnection, schemas: readonly string[]): Promise<TableSchema[]> {
  if (schemas.length === 0) return []
  const rows = await connection.runAndReadAll(
    `SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
     WHERE database_name = ${quoteText(CATALOG)} AND schema_name IN (${schemas.map(quoteText).join(', ')})
     ORDER BY schema_name, table_name, column_index`,
  )
  const tables = new Map<string, TableSchema>()
  for (const row of rows.getRows()) {
    const [schema, table, column, type] = row.map(String) as [string, string, string, string]
    const key = `${schema}.${table}`
    let known = tables.get(key)
    if (known === undefined) tables.set(key, (known = { schema, table, columns: new Map() }))
    known.columns.set(column, columnTypes.get(type) ?? 'varchar')
  }
  return [...tables.values()]
}

export function createTableSql({ schema, table, columns }: TableSchema): string {
  const list = [...columns].map(([name, type]) => `${quoteName(name)} ${sqlTypes[type]}`)
  return `CREATE TABLE ${quoteTable(schema, table)} (${list.join(', ')})`
}

/** Does nothing when the column is there. */
export function addColumnSql(schema: string, table: string, column: string, type: ColumnType): string {
  return `ALTER TABLE ${quoteTable(schema, table)} ADD COLUMN IF NOT EXISTS ${quoteName(column)} ${sqlTypes[type]}`
}

/** A timestamp turns into the text that the same value would have as varchar from the start. */
export function alterColumnSql(
  schema: string,
  table: string,
  column: string,
  from: ColumnType,
  to: ColumnType,
): string {
  const name = quoteName(column)
  const using = from === 'timestamp' ? ` USING strftime(${name}, '%Y-%m-%dT%H:%M:%S.%gZ')` : ''
  return `ALTER TABLE ${quoteTable(schema, table)} ALTER COLUMN ${name} TYPE ${sqlTypes[to]}${using}`
}
