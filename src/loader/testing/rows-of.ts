/** Messages through the pure half of the loader: what rows they become, as plain objects. For tests. */
import { parseExactly, type Message } from '../../protocol/index.ts'
import type { ColumnType, TableRows } from '../../kit/index.ts'
import { createFlattener } from '../flatten.ts'
import { defaultLoadSettings, type LoadSettings } from '../load-settings.ts'
import { createNames } from '../names.ts'
import { typeColumns, type TypedLoad } from '../type-columns.ts'

export interface RowsOptions {
  settings?: Partial<LoadSettings>
  /** table -> column -> type. */
  known?: Record<string, Record<string, ColumnType>>
  off?: string[]
  identifierBytesMax?: number
}

export interface Rows {
  /** table -> rows; cells that are NULL are left out. */
  tables: Record<string, Record<string, unknown>[]>
  /** table -> column -> type, of columns with a value. */
  types: Record<string, Record<string, ColumnType>>
  load: TypedLoad
  notices: Record<string, number>
}

export const receivedAt = '2024-03-01T10:00:07.000Z'

/** A message with the fields that normalisation adds. */
export function message(fields: Record<string, unknown>): Message {
  return {
    messageId: 'm1',
    userId: null,
    anonymousId: 'a1',
    timestamp: receivedAt,
    originalTimestamp: receivedAt,
    receivedAt,
    context: {},
    integrations: {},
    version: 2,
    ...fields,
  } as Message
}

/** A track call of the event `E` with these properties. */
export function track(properties: Record<string, unknown>, fields: Record<string, unknown> = {}): Message {
  return message({ type: 'track', event: 'E', properties, ...fields })
}

/** The same from JSON text, so that numbers keep their digits. */
export function trackText(properties: string): Message {
  return track(parseExactly(properties) as Record<string, unknown>)
}

export function rowsOf(messages: readonly Message[], options: RowsOptions = {}): Rows {
  const notices = new Map<string, number>()
  const known = Object.entries(options.known ?? {}).map(([table, columns]) => {
    return [table, new Map(Object.entries(columns))] as const
  })
  const flattener = createFlattener({
    schema: 's',
    names: createNames({
      reservedWords: new Set(['group', 'order']),
      identifierBytesMax: options.identifierBytesMax ?? 255,
    }),
    settings: { ...defaultLoadSettings, ...options.settings },
    known: new Map(known),
    isTableOn: (table) => options.off?.includes(table) !== true,
    loadedAtMs: 0,
    notices,
  })
  for (const each of messages) flattener.add(each)
  const load = typeColumns(flattener.gathered, {
    canWiden: new Set(['integer>float', 'boolean>varchar', 'timestamp>varchar']),
  })
  const all: TableRows[] = [...load.append, ...load.upsert]
  return {
    tables: Object.fromEntries(all.map((rows) => [rows.table, objectsOf(rows)])),
    types: Object.fromEntries(
      all.map(({ table, columns }) => [
        table,
        Object.fromEntries(
          columns
            .filter(({ cells }) => cells.some((cell) => cell !== undefined && cell !== null))
            .map(({ name, type }) => [name, type]),
        ),
      ]),
    ),
    load,
    notices: Object.fromEntries(notices),
  }
}

function objectsOf({ rowCount, columns }: TableRows): Record<string, unknown>[] {
  return Array.from({ length: rowCount }, (_, row) => {
    const cells = columns.map(({ name, cells }) => [name, cells[row]] as const)
    return Object.fromEntries(cells.filter(([, cell]) => cell !== undefined && cell !== null))
  })
}

const ours = ['id', 'anonymous_id', 'user_id', 'received_at', 'sent_at', 'original_timestamp', 'timestamp', 'uuid_ts']

/** A row without the columns that every event table has; `_unmapped` parsed. */
export function ownCells(row: Record<string, unknown> | undefined): Record<string, unknown> {
  const own = Object.entries(row ?? {}).filter(([name]) => ![...ours, 'event', 'event_text'].includes(name))
  return Object.fromEntries(own.map(([name, cell]) => [name, name === '_unmapped' ? JSON.parse(String(cell)) : cell]))
}
