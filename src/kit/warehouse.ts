/** What the author of a warehouse connector writes. The loader flattens messages, names and types columns, remembers the
 *  schema and decides what is new; a connector speaks the dialect. */

import { field, type Fields } from './field.ts'

/** Types of the contract (warehouses.md §4). `json` is used for `_unmapped` only. */
export type ColumnType = 'boolean' | 'integer' | 'float' | 'timestamp' | 'varchar' | 'json'

/** What a row holds in a column: boolean; integer as number or bigint; float as number; timestamp as milliseconds since the
 *  epoch; varchar and json as text without U+0000 and lone surrogates. `null` is NULL; `undefined` means that the message says
 *  nothing: NULL in a row that is added, the old value in a row that is merged. */
export type Cell = boolean | number | bigint | string | null | undefined

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

/** Rows for one table, column by column: that is how columnar engines take them, and how they are typed. */
export interface TableRows {
  schema: string
  table: string
  rowCount: number
  /** Always with `id` and `received_at`. */
  columns: ColumnRows[]
}

export interface ColumnRows {
  name: string
  type: ColumnType
  /** Where the values come from in a message (`traits.email`); the key under which `_unmapped` would hold one. */
  path?: string
  /** One for each row. */
  cells: Cell[]
}

/** Rows of `users` or `accounts`, each the state that one call describes, in the order of `received_at`. A newer call
 *  overwrites what it carries, an older one only fills NULLs. */
export interface UpsertRows extends TableRows {
  /** The append table and, for each row, the id there of the message that the row comes from. A row counts only when its message
   *  is new in that table with this load: a message seen before must never touch the state again. Absent when the append
   *  table is switched off. */
  onlyIfNew?: { table: string; ids: string[] }
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
  /** Of `integer>float` values that no double holds exactly are kept in `_unmapped`, under `path`. */
  alterColumns: { schema: string; table: string; column: string; from: ColumnType; to: ColumnType; path: string }[]
  append: TableRows[]
  /** `users` and `accounts`. */
  upsert: UpsertRows[]
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

/** Settings that the loader reads whatever the warehouse (`loader/load-settings.ts`); every warehouse has them among its own. */
export const loadFields = {
  widenTypes: field.string({
    label: 'Widen types',
    description:
      'safe: a column is altered from integer to float, or from boolean or timestamp to text, when a value needs it. off: never.',
    choices: [
      { label: 'Safe', value: 'safe' },
      { label: 'Off', value: 'off' },
    ],
  }),
  reservedColumns: field.string({
    label: 'Reserved columns',
    description:
      'What happens to a property that is named like one of our columns: kept in _unmapped, or stored with the prefix _.',
    choices: [
      { label: 'Keep in _unmapped', value: 'unmapped' },
      { label: 'Prefix with _', value: 'prefix' },
    ],
  }),
  keepUnmapped: field.boolean({
    label: 'Keep what does not fit',
    description: 'Values that fit no column are kept as JSON in the column _unmapped. Default: true.',
  }),
  columnsMax: field.integer({
    label: 'Columns of a table',
    description: 'Values of further columns go to _unmapped. Default: 1500.',
  }),
  tablesMax: field.integer({
    label: 'Tables of a source',
    description: 'Events beyond it have rows in tracks only. Default: 5000.',
  }),
  textLengthMax: field.integer({
    label: 'Characters of a text cell',
    description: 'Longer text is cut, and kept whole in _unmapped. Default: no limit.',
  }),
}

export function defineWarehouse(definition: WarehouseDefinition): WarehouseDefinition {
  return definition
}
