/**
 * From gathered rows to a load: what type each column gets, what the warehouse has to change for it, and the cells
 * (contract: warehouses.md §4). The first load that sees a column decides its type; later values are cast to it, or widen it where
 * that loses nothing.
 */
import {
  unmappedJson,
  type Cell,
  type ColumnRows,
  type ColumnType,
  type Load,
  type TableRows,
  type UpsertRows,
} from '../kit/index.ts'
import { castToTimestamp, castValue, jsonTextOf } from './cast.ts'
import type { Gathered, GatheredState } from './flatten.ts'
import { kinds } from './kinds.ts'
import { GatheredTable, type GatheredColumn } from './table-rows.ts'

/** The part of a load that comes from rows. */
export type TypedLoad = Pick<Load, 'createTables' | 'addColumns' | 'alterColumns' | 'append' | 'upsert'>

export interface TypeRules {
  /** `integer>float`, ... that the warehouse can alter in place. */
  canWiden: ReadonlySet<string>
}

/** Types the gathered rows of one source. The gathered rows must not be used afterwards. */
export function typeColumns(gathered: Gathered, rules: TypeRules): TypedLoad {
  const load: TypedLoad = { createTables: [], addColumns: [], alterColumns: [], append: [], upsert: [] }
  for (const table of gathered.append.values()) {
    if (table.rowCount > 0) load.append.push(typeTable(table, rules, load))
  }
  for (const state of gathered.state.values()) {
    load.upsert.push(typeState(state, gathered.append.has(state.appendTable), rules, load))
  }
  return load
}

function typeState(state: GatheredState, hasAppendTable: boolean, rules: TypeRules, load: TypedLoad): UpsertRows {
  const rows = sortByReceivedAt(typeTable(state.table, rules, load), state.ids)
  const upsert: UpsertRows = rows.table
  if (hasAppendTable) upsert.onlyIfNew = { table: state.appendTable, ids: rows.ids }
  return upsert
}

function typeTable(table: GatheredTable, rules: TypeRules, load: TypedLoad): TableRows {
  const { schema, table: name, known } = table.rules
  const created = new Map<string, ColumnType>()
  const columns: ColumnRows[] = []
  const emit = (column: string, type: ColumnType, cells: Cell[], path?: string): void => {
    const before = known?.get(column)
    if (known === undefined) created.set(column, type)
    else if (before === undefined) load.addColumns.push({ schema, table: name, column, type })
    else if (before !== type)
      load.alterColumns.push({ schema, table: name, column, from: before, to: type, path: path ?? column })
    columns.push(path === undefined ? { name: column, type, cells } : { name: column, type, cells, path })
  }
  for (const column of table.columns.values()) {
    const type = typeFor(column, known?.get(column.name), rules, table)
    // Undefined: nothing but nulls of a column that nobody has.
    if (type !== undefined) emit(column.name, type, toCells(column, type, table), column.place?.path)
  }
  // After the cells, because casts add to it.
  if (table.unmapped.size > 0) emit('_unmapped', 'json', unmappedCells(table))
  if (known === undefined) load.createTables.push({ schema, table: name, columns: created })
  return { schema, table: name, rowCount: table.rowCount, columns }
}

function typeFor(
  column: GatheredColumn,
  known: ColumnType | undefined,
  rules: TypeRules,
  table: GatheredTable,
): ColumnType | undefined {
  if (known === undefined) return column.type ?? inferType(column.kinds)
  // A column of ours holds what we put there; a property never reaches it.
  if (column.place === undefined || table.rules.settings.widenTypes === 'off') return known
  const wider = widerType(known, column)
  return wider !== undefined && rules.canWiden.has(`${known}>${wider}`) ? wider : known
}

/** The one type for the values of a new column: integers and floats together are floats, any other mixture is varchar. */
function inferType(seen: number): ColumnType | undefined {
  if (seen === 0) return undefined
  if (seen === kinds.boolean) return 'boolean'
  if (seen === kinds.integer) return 'integer'
  if (seen === kinds.timestamp) return 'timestamp'
  return (seen & ~(kinds.integer | kinds.float | kinds.hugeInteger)) === 0 ? 'float' : 'varchar'
}

/** The type that would hold the old values and the new ones, where the contract knows one. */
function widerType(known: ColumnType, column: GatheredColumn): ColumnType | undefined {
  if (known === 'integer') return (column.kinds & kinds.float) !== 0 ? 'float' : undefined
  if (known === 'boolean') return needsText(column, kinds.boolean) ? 'varchar' : undefined
  if (known === 'timestamp') return needsText(column, kinds.timestamp) ? 'varchar' : undefined
  return undefined
}

function needsText(column: GatheredColumn, fitting: number): boolean {
  if ((column.kinds & ~fitting) === 0) return false
  // "true" and "false" as text can be cast: they do not need a wider column.
  if (fitting !== kinds.boolean || (column.kinds & ~(kinds.boolean | kinds.text)) !== 0) return true
  return column.values.some((value) => typeof value === 'string' && !castValue(value, 'boolean').isExact)
}

function toCells(column: GatheredColumn, type: ColumnType, table: GatheredTable): Cell[] {
  const cells = column.values
  while (cells.length < table.rowCount) cells.push(undefined)
  // Values of our own columns are cells already.
  if (column.place !== undefined) castAll(column, type, table)
  // Every value is a cell of the type now.
  return cells as Cell[]
}

const asIs: Partial<Record<ColumnType, number>> = {
  boolean: kinds.boolean,
  varchar: kinds.text | kinds.timestamp,
}

/** Casts in place. Most columns hold one kind and need no look at each value. */
function castAll(column: GatheredColumn, type: ColumnType, table: GatheredTable): void {
  const { textLengthMax } = table.rules.settings
  const { values } = column
  const isCut = type === 'varchar' && textLengthMax !== undefined
  if (!isCut && (column.kinds & ~(asIs[type] ?? 0)) === 0) return
  if (type === 'integer' && column.kinds === kinds.integer && values.every(isSafeOrNothing)) return
  if (type === 'float' && (column.kinds & ~(kinds.integer | kinds.float)) === 0 && values.every(isPlainOrNothing))
    return
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row]
    if (value === undefined || value === null) continue
    if (isCut) values[row] = cutText(column, row, jsonTextOf(value), value, textLengthMax, table)
    else values[row] = castOne(column, row, value, type, table)
  }
}

function castOne(column: GatheredColumn, row: number, value: unknown, type: ColumnType, table: GatheredTable): Cell {
  const { cell, isExact } =
    type === 'timestamp' && column.kinds === kinds.timestamp ? castToTimestamp(value as string) : castValue(value, type)
  if (!isExact) {
    table.keepAt(row, pathAt(column, row), value, cell === null ? 'cast_failed' : 'precision_lost')
  }
  return cell
}

function cutText(
  column: GatheredColumn,
  row: number,
  text: string,
  value: unknown,
  lengthMax: number,
  table: GatheredTable,
): Cell {
  if (text.length <= lengthMax) return text
  table.keepAt(row, pathAt(column, row), value, 'text_cut')
  // A pair of surrogates is not cut in the middle.
  return text
    .slice(0, lengthMax)
    .toWellFormed()
    .replace(/\uFFFD$/, '')
}

function isSafeOrNothing(value: unknown): boolean {
  return value === undefined || value === null || Number.isSafeInteger(value)
}

function isPlainOrNothing(value: unknown): boolean {
  return value === undefined || value === null || typeof value === 'number'
}

function pathAt(column: GatheredColumn, row: number): string {
  // Only columns with a place are cast.
  return (column.otherPlaces?.get(row) ?? column.place)!.path
}

function unmappedCells(table: GatheredTable): Cell[] {
  const cells = new Array<Cell>(table.rowCount).fill(undefined)
  for (const [row, values] of table.unmapped) cells[row] = unmappedJson(values)
  return cells
}

/** Rows in the order of `received_at`; those of one moment keep theirs. */
function sortByReceivedAt(table: TableRows, ids: string[]): { table: TableRows; ids: string[] } {
  // A column of ours, always filled with milliseconds.
  const times = table.columns.find((column) => column.name === 'received_at')!.cells as number[]
  if (times.every((time, row) => row === 0 || times[row - 1]! <= time)) return { table, ids }
  const order = times.map((_, row) => row).sort((a, b) => times[a]! - times[b]! || a - b)
  return {
    table: {
      ...table,
      columns: table.columns.map((column) => ({ ...column, cells: order.map((row) => column.cells[row]) })),
    },
    ids: order.map((row) => ids[row]!),
  }
}
