/**
 * What `users` and `accounts` become through new calls (contract: warehouses.md §5). Pure: rows as they are go in, rows as they
 * shall be come out. A newer call overwrites what it carries, null included; an older one (late or replayed) makes a missing row
 * or fills NULLs.
 */
import { unmappedJson, type Cell, type UpsertRows } from '../../../src/kit/index.ts'
import { parseExactly } from '../../../src/protocol/index.ts'

/** A row of state: its cells in the order of the table's columns. */
export type StateRow = Cell[]

export interface MergeInput {
  /** Columns of the table, the call's ones among them. */
  columns: readonly string[]
  /** Rows that exist, by id. */
  existing: ReadonlyMap<string, StateRow>
  /** Calls in the order of `received_at`. */
  calls: UpsertRows
  /** Whether the call of a row counts. */
  isNew(row: number): boolean
}

/** The rows that change, as they shall be. */
export function mergeState(input: MergeInput): Map<string, StateRow> {
  const { calls, columns, existing } = input
  const places = placesOf(calls, columns)
  const changed = new Map<string, StateRow>()
  for (let row = 0; row < calls.rowCount; row += 1) {
    if (!input.isNew(row)) continue
    // The kit promises an id in every row.
    const id = places.id.cells[row] as string
    const before = changed.get(id) ?? existing.get(id)
    changed.set(id, before === undefined ? created(places, row, columns.length) : merged(before, places, row))
  }
  return changed
}

interface Place {
  name: string
  /** Where the column is in the table. */
  index: number
  path: string | undefined
  cells: readonly Cell[]
}

interface Places {
  id: Place
  receivedAt: Place
  unmapped: Place | undefined
  unmappedIndex: number
  /** The rest. */
  values: Place[]
}

function placesOf(calls: UpsertRows, columns: readonly string[]): Places {
  const indexOf = new Map(columns.map((name, index) => [name, index]))
  const all = calls.columns.map(({ name, path, cells }): Place => {
    // The load has created every column that it fills.
    return { name, index: indexOf.get(name)!, path, cells }
  })
  const named = (name: string) => all.find((place) => place.name === name)
  return {
    // The kit promises these two.
    id: named('id')!,
    receivedAt: named('received_at')!,
    unmapped: named('_unmapped'),
    unmappedIndex: indexOf.get('_unmapped') ?? -1,
    values: all.filter(({ name }) => name !== 'id' && name !== 'received_at' && name !== '_unmapped'),
  }
}

function created(places: Places, row: number, columnCount: number): StateRow {
  const result = new Array<Cell>(columnCount).fill(null)
  for (const place of [places.id, places.receivedAt, ...places.values]) result[place.index] = place.cells[row] ?? null
  if (places.unmapped !== undefined) result[places.unmapped.index] = places.unmapped.cells[row] ?? null
  return result
}

function merged(before: StateRow, places: Places, row: number): StateRow {
  // Both are milliseconds; a row of ours always has one.
  const time = places.receivedAt.cells[row] as number
  const isNewer = time >= (before[places.receivedAt.index] as number)
  const result = [...before]
  mergeUnmapped(result, places, row, isNewer)
  for (const { name, index, cells } of places.values) {
    const cell = cells[row]
    if (cell === undefined) continue
    if (isNewer || name === 'uuid_ts') result[index] = cell
    else if (before[index] === null || before[index] === undefined) result[index] = cell
  }
  if (isNewer) result[places.receivedAt.index] = time
  return result
}

/** `_unmapped` is replaced key by key: a newer call also ends what an older one left under a path that now has a cell. */
function mergeUnmapped(result: StateRow, places: Places, row: number, isNewer: boolean): void {
  const old = parseObject(result[places.unmappedIndex])
  const patch = parseObject(places.unmapped?.cells[row])
  if (old === undefined && patch === undefined) return
  const values = new Map(Object.entries(old ?? {}))
  if (isNewer) {
    for (const { path, cells } of places.values) if (path !== undefined && cells[row] !== undefined) values.delete(path)
    for (const [path, value] of Object.entries(patch ?? {})) values.set(path, value)
  } else {
    const filled = new Set(places.values.filter(({ index }) => result[index] !== null).map(({ path }) => path))
    for (const [path, value] of Object.entries(patch ?? {})) {
      if (!values.has(path) && !filled.has(path)) values.set(path, value)
    }
  }
  result[places.unmappedIndex] = values.size === 0 ? null : unmappedJson(values)
}

function parseObject(cell: Cell): Record<string, unknown> | undefined {
  // Written by us: JSON of an object.
  return typeof cell === 'string' ? (parseExactly(cell) as Record<string, unknown>) : undefined
}
