/**
 * Rows of one table on their way into a load, gathered column by column as the messages said them. What type a column gets is
 * decided when all rows are there (`type-columns.ts`).
 */
import type { ColumnType } from '../kit/index.ts'
import type { LoadSettings } from './load-settings.ts'
import type { Place } from './names.ts'
import { noticeOf, type Notices } from './notices.ts'

/** One column of the rows. */
export interface GatheredColumn {
  name: string
  /** Type in the warehouse, or of a column of ours; undefined for a new column, whose type is still open. */
  type: ColumnType | undefined
  /** Bits of `kinds.ts`: what values there are. */
  kinds: number
  /** Values as in the message; undefined where it says nothing, null where it says null. Shorter than the rows when the last ones
   *  say nothing. */
  values: unknown[]
  /** Where the values come from. */
  place: Place | undefined
  /** Other places that some rows have the value from (`userName` beside `user_name`). */
  otherPlaces: Map<number, Place> | undefined
}

export interface TableRules {
  schema: string
  table: string
  /** Columns that the table has in the warehouse; undefined when it has to be created. */
  known: ReadonlyMap<string, ColumnType> | undefined
  /** Columns of ours, always there. */
  fixed: readonly (readonly [string, ColumnType])[]
  /** Names that a property or trait may not have here. */
  reserved: ReadonlySet<string>
  /** True for `users` and `accounts`, where null clears. */
  isState: boolean
  settings: LoadSettings
  notices: Notices
}

export class GatheredTable {
  readonly rules: TableRules
  readonly columns = new Map<string, GatheredColumn>()
  /** Row -> path -> value as sent. */
  readonly unmapped = new Map<number, Map<string, unknown>>()
  rowCount = 0
  readonly #columnOf = new Map<Place, GatheredColumn | Refusal>()
  #columnCount: number

  constructor(rules: TableRules) {
    this.rules = rules
    for (const [name, type] of rules.fixed) this.columns.set(name, createColumn(name, type, undefined))
    this.#columnCount = rules.known?.size ?? rules.fixed.length
  }

  /** Begins the next row; its cells are set by the calls that follow. */
  startRow(): void {
    this.rowCount += 1
  }

  /** Sets a cell of a column of ours. */
  setFixed(name: string, value: unknown): void {
    if (value === null || value === undefined) return
    // Only the names of `rules.fixed` are used.
    pushAt(this.columns.get(name)!.values, this.rowCount - 1, value)
  }

  /** Sets the cell of a value of the message, or keeps the value in `_unmapped` when it has no column. */
  set(place: Place, value: unknown, kind: number): void {
    let column = this.#columnOf.get(place)
    if (column === undefined) {
      column = this.#resolve(place, value)
      if (column === undefined) return
      this.#columnOf.set(place, column)
    }
    if (typeof column === 'string') {
      if (value !== null) this.keep(place, value, column)
      return
    }
    const row = this.rowCount - 1
    if (column.values.length > row) {
      this.#collide(column, place, value, kind, row)
      return
    }
    pushAt(column.values, row, value)
    column.kinds |= kind
    if (column.place !== place) notePlace(column, place, row)
  }

  /** Keeps a value of the newest row in `_unmapped`. */
  keep(place: Place, value: unknown, why: Refusal): void {
    this.keepAt(this.rowCount - 1, place.path, value, why)
  }

  keepAt(row: number, path: string, value: unknown, why: Refusal): void {
    noticeOf(this.rules.notices, this.rules.table, why)
    if (!this.rules.settings.keepUnmapped) return
    let ofRow = this.unmapped.get(row)
    if (ofRow === undefined) {
      ofRow = new Map()
      this.unmapped.set(row, ofRow)
    }
    // `a.b` may be one key or a key of an object: the second one that needs the path is marked.
    let free = path
    while (ofRow.has(free) && ofRow.get(free) !== value) free += '\\'
    ofRow.set(free, value)
  }

  /** The column of a place, why it has none, or undefined when a null should not make one. */
  #resolve(place: Place, value: unknown): GatheredColumn | Refusal | undefined {
    const name = this.#nameFor(place)
    if (name === undefined) return place.column === undefined ? 'empty_name' : 'reserved_name'
    const gathered = this.columns.get(name)
    if (gathered !== undefined) return gathered
    const type = this.rules.known?.get(name)
    if (type === undefined) {
      if (value === null) return undefined
      // One more stays free for `_unmapped` itself.
      if (this.#columnCount >= this.rules.settings.columnsMax - 1) return 'too_many_columns'
      this.#columnCount += 1
    }
    const column = createColumn(name, type, place)
    this.columns.set(name, column)
    return column
  }

  #nameFor(place: Place): string | undefined {
    const name = place.column
    if (name === undefined || !this.rules.reserved.has(name)) return name
    return this.rules.settings.reservedColumns === 'prefix' ? `_${name}` : undefined
  }

  /** Two keys of one message with one column: the better one stays, the other goes to `_unmapped`. */
  #collide(column: GatheredColumn, place: Place, value: unknown, kind: number, row: number): void {
    if (value === null) return
    const holder = column.otherPlaces?.get(row) ?? column.place
    const held = column.values[row]
    if (held !== null && holder !== undefined && holder.rank > place.rank) {
      this.keep(place, value, 'name_collision')
      return
    }
    if (held !== null && holder !== undefined) this.keep(holder, held, 'name_collision')
    column.values[row] = value
    column.kinds |= kind
    notePlace(column, place, row)
  }
}

/** Why a value is in `_unmapped`. */
export type Refusal =
  | 'empty_name'
  | 'reserved_name'
  | 'name_collision'
  | 'too_many_columns'
  | 'too_many_tables'
  | 'cast_failed'
  | 'precision_lost'
  | 'text_cut'

export function createColumn(name: string, type: ColumnType | undefined, place: Place | undefined): GatheredColumn {
  return { name, type, kinds: 0, values: [], place, otherPlaces: undefined }
}

function notePlace(column: GatheredColumn, place: Place, row: number): void {
  column.otherPlaces ??= new Map()
  column.otherPlaces.set(row, place)
}

function pushAt(values: unknown[], row: number, value: unknown): void {
  while (values.length < row) values.push(undefined)
  values.push(value)
}
