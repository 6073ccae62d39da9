/** Cells into DuckDB: by data chunks, because one call per vector costs a third less than one per cell. */
import type { DuckDBConnection, DuckDBDataChunk, DuckDBType, DuckDBValue, DuckDBVector } from '@duckdb/node-api'
import type { Cell, ColumnType } from '../../../src/kit/index.ts'
import type { DuckDb } from './open-file.ts'

export interface WrittenColumn {
  type: ColumnType
  cells: readonly Cell[]
}

/** Rows of a vector, DuckDB's own figure. */
const VECTOR_ROWS = 2048

/** Appends the given rows of the columns to a temporary table, which has exactly these columns. */
export async function appendToTemporary(
  duckdb: DuckDb,
  connection: DuckDBConnection,
  table: string,
  columns: readonly WrittenColumn[],
  rows: readonly number[],
): Promise<void> {
  const types = columns.map(({ type }) => typeOf(duckdb, type))
  const appender = await connection.createAppender(table, 'main', 'temp')
  try {
    for (let from = 0; from < rows.length; from += VECTOR_ROWS) {
      const slice = rows.length <= VECTOR_ROWS ? rows : rows.slice(from, from + VECTOR_ROWS)
      appender.appendDataChunk(createChunk(duckdb, types, columns, slice))
    }
    appender.flushSync()
  } finally {
    appender.closeSync()
  }
}

/** Name of the temporary table that `stageIds` fills, for use in SQL. */
export const STAGED_IDS = 'temp.main._ids'

/** Puts ids into a temporary table, so that a query can join them. */
export async function stageIds(duckdb: DuckDb, connection: DuckDBConnection, ids: readonly string[]): Promise<void> {
  await connection.run('CREATE OR REPLACE TEMP TABLE _ids (id VARCHAR)')
  await appendToTemporary(duckdb, connection, '_ids', [{ type: 'varchar', cells: ids }], [...ids.keys()])
}

function createChunk(
  duckdb: DuckDb,
  types: readonly DuckDBType[],
  columns: readonly WrittenColumn[],
  rows: readonly number[],
): DuckDBDataChunk {
  const chunk = duckdb.DuckDBDataChunk.create(types, rows.length)
  for (const [i, column] of columns.entries()) fill(duckdb, chunk.getColumnVector(i), column, rows)
  return chunk
}

function fill(duckdb: DuckDb, vector: DuckDBVector<DuckDBValue>, column: WrittenColumn, rows: readonly number[]): void {
  const { cells } = column
  const encode = encoderOf(duckdb, column.type)
  for (let i = 0; i < rows.length; i += 1) {
    const cell = cells[rows[i]!]
    vector.setItem(i, cell === undefined || cell === null ? null : encode === undefined ? cell : encode(cell))
  }
  vector.flush()
}

export function typeOf(duckdb: DuckDb, type: ColumnType): DuckDBType {
  switch (type) {
    case 'boolean':
      return duckdb.BOOLEAN
    case 'integer':
      return duckdb.BIGINT
    case 'float':
      return duckdb.DOUBLE
    case 'timestamp':
      return duckdb.TIMESTAMPTZ
    case 'varchar':
    case 'json':
      return duckdb.VARCHAR
  }
}

/** How a cell becomes what the vector takes; undefined when it is that already. */
function encoderOf(duckdb: DuckDb, type: ColumnType): ((cell: Cell) => DuckDBValue) | undefined {
  // The kit promises what a cell of each type is.
  if (type === 'integer') return (cell) => BigInt(cell as number | bigint)
  if (type === 'timestamp') {
    return (cell) => new duckdb.DuckDBTimestampTZValue(microseconds(cell as number))
  }
  return undefined
}

function microseconds(ms: number): bigint {
  return Number.isInteger(ms) ? BigInt(ms) * 1000n : BigInt(Math.round(ms * 1000))
}
