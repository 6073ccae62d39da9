/** Queries of people: read-only, with limits, on a connection of their own so that loading goes on. */
import type { DuckDBConnection, DuckDBPreparedStatement, DuckDBResult } from '@duckdb/node-api'
import { BadPayload, type QueryLimits, type QueryResult } from '../../../src/kit/index.ts'
import type { OpenFile } from './open-file.ts'
import { jsonOf } from './read-cells.ts'

/** Runs one statement that reads. Throws `BadPayload` for anything else and for what DuckDB refuses. */
export async function runQuery(file: OpenFile, sql: string, limits: QueryLimits): Promise<QueryResult> {
  const connection = await file.connect()
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    connection.interrupt()
  }, limits.timeoutMs)
  timer.unref()
  const close = (): void => {
    clearTimeout(timer)
    connection.closeSync()
  }
  const explain = (error: unknown): Error => (isLate ? tooLate(limits) : refused(error))
  try {
    // The statement's type keeps out what is plainly no query, the transaction what writes all the same (EXPLAIN ANALYZE INSERT).
    await connection.run('BEGIN TRANSACTION READ ONLY')
    const statement = await prepareOne(file, connection, sql)
    const result = await statement.stream()
    return { columns: result.deduplicatedColumnNames(), rows: readRows(result, limits, explain, close) }
  } catch (error) {
    const explained = explain(error)
    close()
    throw explained
  }
}

async function prepareOne(file: OpenFile, connection: DuckDBConnection, sql: string): Promise<DuckDBPreparedStatement> {
  const { StatementType } = file.duckdb
  const extracted = await connection.extractStatements(sql)
  if (extracted.count !== 1) throw new BadPayload('One statement at a time, please.')
  const statement = await extracted.prepare(0)
  const type = statement.statementType
  // SHOW, DESCRIBE, SUMMARIZE, VALUES and FROM are SELECTs to DuckDB.
  if (type !== StatementType.SELECT && type !== StatementType.EXPLAIN) {
    throw new BadPayload('Only queries are allowed here: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN.')
  }
  return statement
}

async function* readRows(
  result: DuckDBResult,
  limits: QueryLimits,
  explain: (error: unknown) => Error,
  close: () => void,
): AsyncGenerator<unknown[][]> {
  let left = limits.rowsMax
  try {
    for (;;) {
      const chunk = await result.fetchChunk()
      if (chunk === null || chunk.rowCount === 0) return
      const rows = chunk.getRows().map((row) => row.map(jsonOf))
      yield rows.length <= left ? rows : rows.slice(0, left)
      left -= rows.length
      // Silently fewer rows would be a wrong answer.
      if (left < 0) throw new BadPayload(`The query has more than ${limits.rowsMax} rows. Add a LIMIT, or aggregate.`)
    }
  } catch (error) {
    throw explain(error)
  } finally {
    close()
  }
}

function tooLate({ timeoutMs }: QueryLimits): Error {
  return new BadPayload(`The query took longer than ${timeoutMs / 1000} s and was stopped.`)
}

function refused(error: unknown): Error {
  if (error instanceof BadPayload) return error
  return new BadPayload(error instanceof Error ? error.message : String(error), { cause: error })
}
