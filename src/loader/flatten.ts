/**
 * From a message to rows (contract: warehouses.md §2, §3.3). Pure: rows are gathered in memory, table by table; nothing here knows
 * of a database. This is the loader's hot path: per value one look-up of its place and one of its column.
 */
import type { ColumnType } from '../kit/index.ts'
import { isJsonObject, isRawNumber, parseTimestamp, type JsonObject, type Message } from '../protocol/index.ts'
import { kindOf } from './kinds.ts'
import type { LoadSettings } from './load-settings.ts'
import { fixedTables, type Names, type Place } from './names.ts'
import { noticeOf, type Notices } from './notices.ts'
import { GatheredTable } from './table-rows.ts'

export type KnownTables = ReadonlyMap<string, ReadonlyMap<string, ColumnType>>

export interface FlattenOptions {
  schema: string
  names: Names
  settings: LoadSettings
  /** Tables of the schema as they are in the warehouse. */
  known: KnownTables
  /** Whether rows of a table are wanted (selective sync). */
  isTableOn(table: string): boolean
  /** Becomes `uuid_ts`. */
  loadedAtMs: number
  notices: Notices
}

/** Rows of `users` and `accounts`, with the id of the message behind each. */
export interface GatheredState {
  table: GatheredTable
  /** The append table that says whether the message is new. */
  appendTable: string
  ids: string[]
}

export interface Gathered {
  append: Map<string, GatheredTable>
  state: Map<string, GatheredState>
}

export interface Flattener {
  /** Adds the rows of one message. */
  add(message: Message): void
  readonly gathered: Gathered
}

/** Objects below this level of properties, traits or context are stored as JSON text. */
export const FLATTEN_LEVELS_MAX = 20

const EVENT_COLUMNS = [
  ['id', 'varchar'],
  ['anonymous_id', 'varchar'],
  ['user_id', 'varchar'],
  ['received_at', 'timestamp'],
  ['sent_at', 'timestamp'],
  ['original_timestamp', 'timestamp'],
  ['timestamp', 'timestamp'],
  ['uuid_ts', 'timestamp'],
] as const satisfies [string, ColumnType][]
const STATE_COLUMNS = [
  ['id', 'varchar'],
  ['received_at', 'timestamp'],
  ['uuid_ts', 'timestamp'],
] as const satisfies [string, ColumnType][]
const TRACK_COLUMNS = [...EVENT_COLUMNS, ['event', 'varchar'], ['event_text', 'varchar']] as const
const PAGE_COLUMNS = [...EVENT_COLUMNS, ['name', 'varchar'], ['category', 'varchar']] as const
const GROUP_COLUMNS = [...EVENT_COLUMNS, ['group_id', 'varchar']] as const
const ALIAS_COLUMNS = [
  ...EVENT_COLUMNS.filter(([name]) => name !== 'anonymous_id'),
  ['previous_id', 'varchar'],
] as const satisfies (readonly [string, ColumnType])[]

/** Names that a property or trait has no column for, in any table; the columns of ours in its table come on top. */
const RESERVED_EVERYWHERE = [...TRACK_COLUMNS.map(([name]) => name), 'uuid']

/** Gathers rows of messages of one source. */
export function createFlattener(options: FlattenOptions): Flattener {
  return new SourceFlattener(options)
}

/** Values of one part of a message, flattened. The arrays are used again for each message: three pushes cost less than an object. */
interface Leaves {
  places: Place[]
  values: unknown[]
  kinds: number[]
}

class SourceFlattener implements Flattener {
  readonly gathered: Gathered = { append: new Map(), state: new Map() }
  readonly #options: FlattenOptions
  readonly #context = emptyLeaves()
  readonly #body = emptyLeaves()
  #eventTableCount: number

  constructor(options: FlattenOptions) {
    this.#options = options
    this.#eventTableCount = [...options.known.keys()].filter((table) => !fixedTables.has(table)).length
  }

  add(message: Message): void {
    this.#collect(message.context, 'context', this.#context)
    switch (message.type) {
      case 'track':
        this.#addTrack(message)
        break
      case 'identify':
        this.#collect(message.traits, 'traits', this.#body)
        this.#addCall(message, 'identifies', EVENT_COLUMNS)
        if (isFilled(message.userId)) this.#addState(message, 'users', 'identifies', message.userId, true)
        break
      case 'group':
        this.#collect(message.traits, 'traits', this.#body)
        this.#addCall(message, 'groups', GROUP_COLUMNS)?.setFixed('group_id', message.groupId)
        if (isFilled(message.groupId)) this.#addState(message, 'accounts', 'groups', message.groupId, false)
        break
      case 'page':
      case 'screen':
        this.#addView(message)
        break
      case 'alias':
        this.#collect(message.traits, 'traits', this.#body)
        this.#addCall(message, 'aliases', ALIAS_COLUMNS)?.setFixed('previous_id', message.previousId)
        break
    }
  }

  #addTrack(message: Message): void {
    // Normalisation has seen that a track call has an event.
    const event = this.#options.names.event(message.event!)
    this.#collect(message.properties, 'properties', this.#body)
    const own = event.table === undefined ? undefined : this.#eventTable(event.table)
    if (own !== undefined) {
      this.#startCall(own, message)
      this.#setEvent(own, event.slug, message)
      place(own, this.#context)
      place(own, this.#body)
    }
    const tracks = this.#appendTable('tracks', TRACK_COLUMNS)
    if (tracks === undefined) return
    this.#startCall(tracks, message)
    this.#setEvent(tracks, event.slug, message)
    place(tracks, this.#context)
    if (own === undefined && (event.table === undefined || this.#options.isTableOn(event.table))) {
      keepWhole(tracks, message.properties, event.slug === '' ? 'empty_name' : 'too_many_tables')
    }
  }

  #setEvent(table: GatheredTable, slug: string, message: Message): void {
    table.setFixed('event', slug)
    table.setFixed('event_text', message.event)
  }

  /** The table of an event; undefined when it is switched off or one too many. */
  #eventTable(name: string): GatheredTable | undefined {
    const gathered = this.gathered.append.get(name)
    if (gathered !== undefined) return gathered
    const { known, settings, notices } = this.#options
    if (!known.has(name)) {
      // The fixed tables come into being whatever the number of events, so there is always room left for them.
      const room = settings.tablesMax - fixedTables.size
      if (this.#eventTableCount >= room) return undefined
      if (this.#eventTableCount >= room * 0.8) noticeOf(notices, name, 'many_tables')
    }
    return this.#appendTable(name, TRACK_COLUMNS)
  }

  #addView(message: Message): void {
    this.#collect(message.properties, 'properties', this.#body)
    const table = this.#appendTable(message.type === 'page' ? 'pages' : 'screens', PAGE_COLUMNS)
    if (table === undefined) return
    this.#startCall(table, message)
    table.setFixed('name', message.name)
    table.setFixed('category', message.category)
    place(table, this.#context)
    // analytics.js repeats name and category among the properties: the same value again is not a value without a place.
    place(
      table,
      this.#body,
      (at, value) =>
        at.depth === 1 && (at.column === 'name' || at.column === 'category') && value === message[at.column],
    )
  }

  #addCall(message: Message, name: string, fixed: TableColumns): GatheredTable | undefined {
    const table = this.#appendTable(name, fixed)
    if (table === undefined) return undefined
    this.#startCall(table, message)
    place(table, this.#context)
    place(table, this.#body)
    return table
  }

  #addState(message: Message, name: string, appendTable: string, id: string, hasContext: boolean): void {
    let state = this.gathered.state.get(name)
    if (state === undefined) {
      if (!this.#options.isTableOn(name)) return
      state = { table: this.#createTable(name, STATE_COLUMNS, true), appendTable, ids: [] }
      this.gathered.state.set(name, state)
    }
    const { table } = state
    table.startRow()
    table.setFixed('id', id)
    table.setFixed('received_at', timeOf(message.receivedAt))
    table.setFixed('uuid_ts', this.#options.loadedAtMs)
    state.ids.push(message.messageId)
    if (hasContext) place(table, this.#context)
    place(table, this.#body)
  }

  #startCall(table: GatheredTable, message: Message): void {
    table.startRow()
    table.setFixed('id', message.messageId)
    if (message.type !== 'alias') table.setFixed('anonymous_id', message.anonymousId)
    table.setFixed('user_id', message.userId)
    table.setFixed('received_at', timeOf(message.receivedAt))
    table.setFixed('sent_at', timeOf(message.sentAt))
    table.setFixed('original_timestamp', timeOf(message.originalTimestamp))
    table.setFixed('timestamp', timeOf(message.timestamp))
    table.setFixed('uuid_ts', this.#options.loadedAtMs)
  }

  #appendTable(name: string, fixed: TableColumns): GatheredTable | undefined {
    const gathered = this.gathered.append.get(name)
    if (gathered !== undefined) return gathered
    if (!this.#options.isTableOn(name)) return undefined
    const made = this.#createTable(name, fixed, false)
    this.gathered.append.set(name, made)
    return made
  }

  #createTable(name: string, fixed: TableColumns, isState: boolean): GatheredTable {
    const { schema, known, settings, notices } = this.#options
    if (!known.has(name) && !fixedTables.has(name)) this.#eventTableCount += 1
    return new GatheredTable({
      schema,
      table: name,
      known: known.get(name),
      fixed,
      reserved: new Set([...RESERVED_EVERYWHERE, ...fixed.map(([column]) => column)]),
      isState,
      settings,
      notices,
    })
  }

  #collect(object: unknown, part: 'properties' | 'traits' | 'context', leaves: Leaves): void {
    leaves.places.length = 0
    leaves.values.length = 0
    leaves.kinds.length = 0
    if (isJsonObject(object)) this.#walk(object, this.#options.names.root(part), leaves)
  }

  #walk(object: JsonObject, parent: Place, leaves: Leaves): void {
    for (const key in object) {
      const value = object[key]
      const at = this.#options.names.child(parent, key)
      if (typeof value !== 'object' || value === null || Array.isArray(value) || isRawNumber(value)) {
        push(leaves, at, value)
      } else if (at.joined === undefined) {
        // A key without a letter has no column, and so has nothing below it.
        if (!isEmpty(value)) push(leaves, at, value)
      } else if (at.depth < FLATTEN_LEVELS_MAX) {
        this.#walk(value as JsonObject, at, leaves)
      } else if (!isEmpty(value)) {
        push(leaves, at, value)
      }
    }
  }
}

type TableColumns = readonly (readonly [string, ColumnType])[]

function emptyLeaves(): Leaves {
  return { places: [], values: [], kinds: [] }
}

function push(leaves: Leaves, at: Place, value: unknown): void {
  leaves.places.push(at)
  leaves.values.push(value)
  leaves.kinds.push(value === null ? 0 : kindOf(value))
}

function place(table: GatheredTable, leaves: Leaves, isElsewhere?: (at: Place, value: unknown) => boolean): void {
  const { places, values } = leaves
  const { isState } = table.rules
  for (let i = 0; i < places.length; i += 1) {
    const value = values[i]
    // Null says something in a table of states only.
    if (value === null && !isState) continue
    // All three arrays have the same length.
    const at = places[i]!
    if (isElsewhere?.(at, value) !== true) table.set(at, value, leaves.kinds[i]!)
  }
}

/** Properties of an event that has no table of its own: all of them in `_unmapped` of its row in `tracks`. */
function keepWhole(tracks: GatheredTable, properties: unknown, why: 'empty_name' | 'too_many_tables'): void {
  if (!isJsonObject(properties)) return
  for (const [key, value] of Object.entries(properties)) {
    if (value !== null) tracks.keepAt(tracks.rowCount - 1, `properties.${key}`, value, why)
  }
}

function timeOf(text: unknown): number | undefined {
  return typeof text === 'string' ? parseTimestamp(text) : undefined
}

function isFilled(id: string | null | undefined): id is string {
  return id !== null && id !== undefined && id !== ''
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
