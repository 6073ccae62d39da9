/** Which ids of a load are in the warehouse already, table by table. */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { TableRows } from '../../../src/kit/index.ts'
import { IdFilter } from './id-filter.ts'
import type { OpenFile } from './open-file.ts'
import { CATALOG, quoteTable, quoteText } from './quote.ts'
import { STAGED_IDS, stageIds } from './write-rows.ts'

/** A schema with fewer rows is looked up directly: that takes some milliseconds and no memory. */
export const FILTER_FROM_ROWS = 200_000

/** Of all filters of one warehouse. 64 MiB is 18 million messages with next to no false alarms. */
export const FILTER_BYTES_MAX = 64 * 1024 * 1024

export interface KnownIds {
  /** Table -> those ids of its rows that it has. Tables for which `isCreated` holds are empty and not asked. */
  find(
    schema: string,
    tables: readonly TableRows[],
    isCreated: (table: string) => boolean,
  ): Promise<Map<string, ReadonlySet<string>>>
  /** Drops what is remembered, after a load that was rolled back. */
  forget(): void
}

interface Options {
  file: OpenFile
  connection: DuckDBConnection
  filterFromRows?: number
  filterBytesMax?: number
}

const HALVES = '(hash(id) >> 32)::UINTEGER, (hash(id) & 4294967295)::UINTEGER'

export function createKnownIds(options: Options): KnownIds {
  const { file, connection, filterFromRows = FILTER_FROM_ROWS, filterBytesMax = FILTER_BYTES_MAX } = options
  // One for each schema: a message has the same id in `tracks` and in the table of its event.
  const filters = new Map<string, IdFilter>()

  async function find(
    schema: string,
    tables: readonly TableRows[],
    isCreated: (table: string) => boolean,
  ): Promise<Map<string, ReadonlySet<string>>> {
    const found = new Map<string, ReadonlySet<string>>()
    const asked = tables.filter(({ table }) => !isCreated(table))
    const ids = [...new Set(tables.flatMap(idsOf))]
    const filter = await filterFor(schema)
    if (filter === undefined && asked.length === 0) return found
    await stage(ids)
    const suspects = filter === undefined ? undefined : await takeIn(filter)
    for (const rows of asked) {
      const candidates = suspects === undefined ? idsOf(rows) : idsOf(rows).filter((id) => suspects.has(id))
      if (candidates.length === 0) continue
      if (suspects !== undefined || asked.length > 1) await stage(candidates)
      found.set(rows.table, await lookUp(schema, rows.table))
    }
    return found
  }

  const stage = (ids: readonly string[]): Promise<void> => stageIds(file.duckdb, connection, ids)

  /** The staged ids that the filter may know; then it knows all of them. */
  async function takeIn(filter: IdFilter): Promise<ReadonlySet<string>> {
    const suspects = new Set<string>()
    const hashed = await connection.runAndReadAll(`SELECT id, ${HALVES} FROM ${STAGED_IDS}`)
    for (const [id, high, low] of hashed.getRows() as [string, number, number][]) {
      if (filter.mayHave(high, low)) suspects.add(id)
      else filter.add(high, low)
    }
    return suspects
  }

  /** The staged ids that the table has. The few are the built side of the join, whatever the size of the table. */
  async function lookUp(schema: string, table: string): Promise<ReadonlySet<string>> {
    const rows = await connection.runAndReadAll(
      `SELECT t.id FROM ${quoteTable(schema, table)} t SEMI JOIN ${STAGED_IDS} USING (id)`,
    )
    return new Set(rows.getRows().map(([id]) => id as string))
  }

  async function filterFor(schema: string): Promise<IdFilter | undefined> {
    const known = filters.get(schema)
    if (known !== undefined && (known.count < known.capacity || known.capacity * 4 > filterBytesMax)) return known
    const sizes = await tableSizes(schema)
    const rowCount = sizes.reduce((sum, { rows }) => sum + rows, 0)
    if (rowCount < filterFromRows) return undefined
    // Room to grow by half; a message of an event takes two rows.
    const filter = new IdFilter(Math.ceil(rowCount * 1.5), filterBytesMax)
    for (const { table } of sizes) await fill(filter, schema, table)
    filters.set(schema, filter)
    return filter
  }

  async function fill(filter: IdFilter, schema: string, table: string): Promise<void> {
    const hashes = await connection.stream(`SELECT ${HALVES} FROM ${quoteTable(schema, table)}`)
    for (;;) {
      const chunk = await hashes.fetchChunk()
      if (chunk === null || chunk.rowCount === 0) return
      const highs = chunk.getColumnVector(0)
      const lows = chunk.getColumnVector(1)
      // Both are UINTEGER and never NULL.
      for (let i = 0; i < chunk.rowCount; i += 1) filter.add(highs.getItem(i) as number, lows.getItem(i) as number)
    }
  }

  /** Append tables of the schema, with their rows. */
  async function tableSizes(schema: string): Promise<{ table: string; rows: number }[]> {
    const result = await connection.runAndReadAll(
      `SELECT table_name, estimated_size FROM duckdb_tables()
       WHERE database_name = ${quoteText(CATALOG)} AND schema_name = ${quoteText(schema)}
         AND table_name NOT IN ('users', 'accounts')`,
    )
    return (result.getRows() as [string, bigint][]).map(([table, rows]) => ({ table, rows: Number(rows) }))
  }

  return { find, forget: () => filters.clear() }
}

function idsOf({ columns }: TableRows): string[] {
  // The kit promises the column, filled with text.
  return columns.find(({ name }) => name === 'id')!.cells as string[]
}
