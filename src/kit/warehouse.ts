/** What the author of a warehouse connector writes. The loader flattens messages, names and types columns, remembers the
 *  schema and decides what is new; a connector speaks the dialect. */

import type { Fields } from './field.ts'

/** Types of the contract (warehouses.md §4). `json` is used for `_unmapped` only. */
export type ColumnType = 'boolean' | 'integer' | 'float' | 'timestamp' | 'varchar' | 'json'

export type Cell = boolean | number | bigint | string | Date | null

export interface WarehouseDefinition {
  name: string
  description: string
  /** Absent: settings are checked by `connect` only. */
  settings?: Fields
  /** Reserved words of the dialect, lower case: a table, column or schema so named gets the prefix `_`. */
  reservedWords: ReadonlySet<string>
  /** Longest identifier, in bytes of UTF-8. */
  identifierBytesMax: number
  /** Types that can be altered to another in place: `integer>float`, ... */
  canWiden: ReadonlySet<string>
  connect(settings: Record<string, unknown>, environment: WarehouseEnvironment): Promise<WarehouseConnection>
}

export interface WarehouseEnvironment {
  /** Relative paths in settings start here. */
  dataDirectory: string
}

export interface TableSchema {
  schema: string
  table: string
  columns: Map<string, ColumnType>
}

/** Rows for one table, all with the same columns in the same order. */
export interface TableRows {
  schema: string
  table: string
  columns: { name: string; type: ColumnType }[]
  rows: Cell[][]
}

export interface UpsertRows extends TableRows {
  /** Per row, which columns this call carries (an explicit null clears; a column not carried keeps its value). Same order as `columns`. */
  carries: boolean[][]
}

export interface LoadCursor {
  journalId: string
  source: string
  partition: number
  /** One past the last `events` offset that this load covers. */
  offset: number
  /** Ledger of the connection as of this cursor (`delivered`, `dropped` by code, ...), for exact accounting. JSON. */
  ledger: unknown
}

export interface LoadResult {
  /** Rows really added, per `schema.table`. */
  inserted: Map<string, number>
}

export interface WarehouseConnection {
  /** Tables and columns of the given schemas as they are now. */
  readSchema(schemas: string[]): Promise<TableSchema[]>
  readCursors(): Promise<LoadCursor[]>
  /** All in one transaction (where the vendor has one): creates schemas and tables, adds and alters columns, inserts `append`
   *  rows whose `id` is not there yet (also deduplicated among themselves, first one wins), merges `upsert` rows for those
   *  messages only, moves the cursors, records the load. */
  load(load: Load): Promise<LoadResult>
  /** Runs one read-only statement. */
  query(sql: string, limits: QueryLimits): Promise<QueryResult>
  /** When each of the given ranges was loaded, newest first, for `trace`. */
  readLoads(journalId: string, source: string, partition: number, offset: number): Promise<LoadRecord[]>
  close(): Promise<void>
}

export interface Load {
  id: string
  startedAt: Date
  createTables: TableSchema[]
  addColumns: { schema: string; table: string; column: string; type: ColumnType }[]
  alterColumns: { schema: string; table: string; column: string; from: ColumnType; to: ColumnType }[]
  append: TableRows[]
  /** `users` and `accounts`. Rows come in the order of `received_at`; `onlyIfNew` names the append table and row id that must
   *  be new in this load for the upsert to count (a message seen before must never touch `users` again). */
  upsert: (UpsertRows & { onlyIfNew: { table: string; ids: string[] } })[]
  cursors: (LoadCursor & { fromOffset: number })[]
}

export interface LoadRecord {
  id: string
  fromOffset: number
  toOffset: number
  committedAt: Date
}

export interface QueryLimits {
  timeoutMs: number
  rowsMax: number
}

export interface QueryResult {
  columns: string[]
  /** Rows in chunks; cells are JSON-ready (timestamps ISO 8601 UTC, integers beyond 2^53 as strings). */
  rows: AsyncIterable<unknown[][]>
}

export function defineWarehouse(definition: WarehouseDefinition): WarehouseDefinition {
  return definition
}
