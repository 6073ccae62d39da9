/** Queries of people: read-only, with limits, on a connection of their own so that loading goes on. */
import type { DuckDBConnection, DuckDBPreparedStatement, DuckDBResult } from '@duckdb/node-api'
import { BadPayload, type QueryLimits, type QueryResult } from '../../../src/kit/index.ts'
import type { OpenFile } from './open-file.ts'
import { jsonOf } from './read-cells.ts'

/** Queries that run at once; they share one memory limit with the loads. */
const QUERIES_MAX = 8

const runningIn = new WeakMap<OpenFile, number>()

/** Runs one statement that reads. Throws `BadPayload` for anything else and for what DuckDB refuses. */
export async function runQuery(file: OpenFile, sql: string, limits: QueryLimits): Promise<QueryResult> {
  const running = runningIn.get(file) ?? 0
  if (running >= QUERIES_MAX) throw new BadPayload(`${QUERIES_MAX} queries are running. Try again in a moment.`)
  runningIn.set(file, running + 1)
  const query = startQuery(await file.connect(), limits, () => runningIn.set(file, (runningIn.get(file) ?? 1) - 1))
  try {
    // The statement's type keeps out what is plainly no query, the transaction what writes all the same (EXPLAIN ANALYZE INSERT).
    await query.connection.run('BEGIN TRANSACTION READ ONLY')
    const statement = await prepareOne(file, query.connection, sql)
    const result = await statement.stream()
    query.state = 'ready'
    return { columns: result.deduplicatedColumnNames(), rows: readRows(result, query) }
  } catch (error) {
    const explained = query.explain(error)
    query.close()
    throw explained
  }
}

interface RunningQuery {
  connection: DuckDBConnection
  limits: QueryLimits
  /** `ready`: there are rows and nobody has asked for them yet. */
  state: 'running' | 'ready' | 'closed'
  explain(error: unknown): Error
  close(): void
}

function startQuery(connection: DuckDBConnection, limits: QueryLimits, closed: () => void): RunningQuery {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    connection.interrupt()
    // Whoever asked has gone away without reading a row. A connection that runs must not be closed under its statement.
    if (query.state === 'ready') query.close()
  }, limits.timeoutMs)
  timer.unref()
  const query: RunningQuery = {
    connection,
    limits,
    state: 'running',
    explain: (error) => (isLate ? tooLate(limits) : refused(error)),
    close() {
      if (query.state === 'closed') return
      query.state = 'closed'
      clearTimeout(timer)
      connection.closeSync()
      closed()
    },
  }
  return query
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

async function* readRows(result: DuckDBResult, query: RunningQuery): AsyncGenerator<unknown[][]> {
  const { rowsMax } = query.limits
  let left = rowsMax
  try {
    if (query.state === 'closed') throw tooLate(query.limits)
    query.state = 'running'
    for (;;) {
      const chunk = await result.fetchChunk()
      if (chunk === null || chunk.rowCount === 0) return
      const rows = chunk.getRows().map((row) => row.map(jsonOf))
      yield rows.length <= left ? rows : rows.slice(0, left)
      left -= rows.length
      // Silently fewer rows would be a wrong answer.
      if (left < 0) throw new BadPayload(`The query has more than ${rowsMax} rows. Add a LIMIT, or aggregate.`)
    }
  } catch (error) {
    throw query.explain(error)
  } finally {
    query.close()
  }
}

function tooLate({ timeoutMs }: QueryLimits): Error {
  return new BadPayload(`The query took longer than ${timeoutMs / 1000} s and was stopped.`)
}

function refused(error: unknown): Error {
  if (error instanceof BadPayload) return error
  return new BadPayload(error instanceof Error ? error.message : String(error), { cause: error })
}
