/** Our own tables in the file, in the schema `_tributary`: how far each source is loaded, and by which loads. */
import type { DuckDBConnection, DuckDBTimestampTZValue } from '@duckdb/node-api'
import type { Load, LoadCursor, LoadRecord } from '../../../src/kit/index.ts'
import { quoteName, quoteTable } from './quote.ts'

const SCHEMA = '_tributary'
const CURSORS = quoteTable(SCHEMA, '_tributary_cursors')
const LOADS = quoteTable(SCHEMA, '_tributary_loads')

/** Loads are remembered this long, for `trace`. */
const LOADS_KEPT_DAYS = 90

/** Makes the tables where they are missing, and forgets old loads. */
export async function prepareBookkeeping(connection: DuckDBConnection): Promise<void> {
  await connection.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(SCHEMA)}`)
  await connection.run(
    `CREATE TABLE IF NOT EXISTS ${CURSORS} (journal_id VARCHAR, source VARCHAR, "partition" INTEGER, next_offset BIGINT,
     ledger JSON, updated_at TIMESTAMPTZ)`,
  )
  await connection.run(
    `CREATE TABLE IF NOT EXISTS ${LOADS} (id VARCHAR, journal_id VARCHAR, source VARCHAR, "partition" INTEGER, from_offset BIGINT,
     to_offset BIGINT, "rows" BIGINT, started_at TIMESTAMPTZ, committed_at TIMESTAMPTZ)`,
  )
  await connection.run(`DELETE FROM ${LOADS} WHERE committed_at < now() - INTERVAL ${LOADS_KEPT_DAYS} DAY`)
}

export async function readCursors(connection: DuckDBConnection): Promise<LoadCursor[]> {
  const result = await connection.runAndReadAll(
    `SELECT journal_id, source, "partition", next_offset, ledger::VARCHAR FROM ${CURSORS}`,
  )
  // The columns are those of the table above.
  return (result.getRows() as [string, string, number, bigint, string][]).map(
    ([journalId, source, partition, offset, ledger]) => {
      return { journalId, source, partition, offset: Number(offset), ledger: JSON.parse(ledger) as unknown }
    },
  )
}

/** Moves the cursors of a load and notes it; inside the load's transaction. */
export async function writeCursors(connection: DuckDBConnection, load: Load, rowCount: number): Promise<void> {
  for (const { journalId, source, partition, fromOffset, offset, ledger } of load.cursors) {
    await connection.run(`DELETE FROM ${CURSORS} WHERE source = $1 AND "partition" = $2`, [source, partition])
    await connection.run(`INSERT INTO ${CURSORS} VALUES ($1, $2, $3, $4, $5, now())`, [
      journalId,
      source,
      partition,
      BigInt(offset),
      JSON.stringify(ledger),
    ])
    await connection.run(
      `INSERT INTO ${LOADS} VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8::BIGINT / 1000.0), now())`,
      [
        load.id,
        journalId,
        source,
        partition,
        BigInt(fromOffset),
        BigInt(offset),
        BigInt(rowCount),
        BigInt(load.startedAt.getTime()),
      ],
    )
  }
}

export async function readLoads(
  connection: DuckDBConnection,
  journalId: string,
  source: string,
  partition: number,
  offset: number,
): Promise<LoadRecord[]> {
  const result = await connection.runAndReadAll(
    `SELECT id, from_offset, to_offset, committed_at FROM ${LOADS}
     WHERE journal_id = $1 AND source = $2 AND "partition" = $3 AND from_offset <= $4 AND to_offset > $4
     ORDER BY committed_at DESC`,
    [journalId, source, partition, BigInt(offset)],
  )
  return (result.getRows() as [string, bigint, bigint, DuckDBTimestampTZValue][]).map(([id, from, to, committedAt]) => {
    const ms = Number(committedAt.micros / 1000n)
    return { id, fromOffset: Number(from), toOffset: Number(to), committedAt: new Date(ms) }
  })
}
