/**
 * The schema of all sources in SQLite, with the place in `events` up to which it counts. Both change in the same transaction, and a
 * commit is synced: retention may remove what lies below the place (when there is no archive), so it must not be taken back by a
 * power cut. All of it can be made again from what the journal and its archive keep.
 *
 * Bounds: of a source 4,000 events with 300 properties each, 300 traits of identify and 300 of group calls; of each name at most 49
 * counts by the hour and 31 by the day. A name of a property seen every day takes about 2 KB.
 */
import { rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { List } from './read-message.ts'

export const eventsMax = 4_000
export const propertiesMax = 300

const HOURS_KEPT = 48
const DAYS_KEPT = 31

export interface StoredName {
  id: number
  name: string
  /** Types seen of its values, as bits; 0 of an event. */
  types: number
  firstMs: number
}

export interface StoredEvent extends StoredName {
  overflow: Overflow
}

/** What is beyond a bound: counted and not listed. */
export interface Overflow {
  messages: number
  /** Sketch of the different names; null for none. */
  sketch: Uint8Array | null
}

export interface CountedName {
  name: string
  types: number
  firstMs: number
  lastMs: number
  allowed: number
  blocked: number
}

export interface CountedEvent extends CountedName {
  isArchived: boolean
  /** Listed properties. */
  properties: number
}

export interface SchemaStore {
  /** Per partition, where counting goes on; empty for another journal, whose names are then gone, too. */
  open(journalId: string): Map<number, number>
  event(source: number, list: List, name: string): StoredEvent | undefined
  propertiesOf(event: number): StoredName[]
  /** Listed track events of a source, and what is beyond. */
  source(source: number): { events: number; overflow: Overflow }
  begin(): void
  commit(): void
  rollback(): void
  addEvent(source: number, list: List, name: string, firstMs: number): number
  addProperty(event: number, name: string, types: number, firstMs: number): number
  changeEvent(id: number, firstMs: number, overflow: Overflow): void
  changeProperty(id: number, types: number, firstMs: number): void
  changeSource(source: number, overflow: Overflow): void
  /** Adds to the counts of an hour. `group`: see `eventGroup` and `propertyGroup`. */
  count(group: number, hour: number, name: number, allowed: number, blocked: number, lastMs: number): void
  setPosition(partition: number, offset: number): void
  /** Events of a list with their counts since an hour. */
  countedEvents(source: number, list: List, sinceHour: number): CountedEvent[]
  countedProperties(event: number, sinceHour: number): CountedName[]
  /** False when the event is not known. */
  setArchived(source: number, name: string, isArchived: boolean): boolean
  /** Forgets what was seen of a source. */
  clear(source: number): void
  sources(): number[]
  /** Turns old hours into days and removes old days, of some groups behind `after`. Returns the last of them; undefined at the end. */
  expire(hour: number, after: number): number | undefined
  close(): void
}

/** Counts of the events of a source lie together, and those of the properties of an event, as they are read. */
export const eventGroup = (source: number, list: List) => -(source * 4 + list)
export const propertyGroup = (event: number) => event

const SCHEMA_VERSION = 1
const schema = `
  CREATE TABLE meta (journal TEXT NOT NULL);
  CREATE TABLE positions (partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
  CREATE TABLE sources (source INTEGER PRIMARY KEY, overflow INTEGER NOT NULL, sketch BLOB);
  CREATE TABLE events (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, list INTEGER NOT NULL, name TEXT NOT NULL, first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL DEFAULT 0, is_archived INTEGER NOT NULL DEFAULT 0, overflow INTEGER NOT NULL DEFAULT 0, sketch BLOB,
    UNIQUE (source, list, name)
  );
  CREATE TABLE properties (
    id INTEGER PRIMARY KEY, event INTEGER NOT NULL, name TEXT NOT NULL, types INTEGER NOT NULL, first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL DEFAULT 0, UNIQUE (event, name)
  );
  -- A row whose hour begins a day holds that whole day once the day is old.
  CREATE TABLE counts (
    grp INTEGER NOT NULL, hour INTEGER NOT NULL, name INTEGER NOT NULL, allowed INTEGER NOT NULL, blocked INTEGER NOT NULL,
    last_ms INTEGER NOT NULL, PRIMARY KEY (grp, hour, name)
  ) WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** Opens the database at `path`, or makes it; one that cannot be read or has another version is made anew. One process only. */
export function openSchemaStore(path: string): SchemaStore {
  const db = openDatabase(path)
  const sql = prepareStatements(db)

  function transaction(run: () => void): void {
    db.exec('BEGIN IMMEDIATE')
    try {
      run()
      db.exec('COMMIT')
    } catch (error) {
      rollback()
      throw error
    }
  }

  function rollback(): void {
    // A full disk has ended the transaction already.
    if (db.isTransaction) db.exec('ROLLBACK')
  }

  return {
    open(journalId) {
      if (sql.journal.get()?.['journal'] !== journalId)
        transaction(() => {
          for (const table of tables) db.exec(`DELETE FROM ${table}`)
          sql.setJournal.run(journalId)
        })
      return new Map(sql.positions.all().map((row) => [row['partition'] as number, row['offset'] as number]))
    },
    event(source, list, name) {
      const row = sql.event.get(source, list, name)
      return row === undefined ? undefined : { ...storedName(row, name), overflow: overflowOf(row) }
    },
    propertiesOf: (event) => sql.propertiesOf.all(event).map((row) => storedName(row, row['name'] as string)),
    source: (source) => ({
      events: sql.countEvents.get(source)!['events'] as number,
      overflow: overflowOf(sql.source.get(source) ?? { overflow: 0, sketch: null }),
    }),
    begin: () => db.exec('BEGIN IMMEDIATE'),
    commit: () => db.exec('COMMIT'),
    rollback,
    addEvent: (source, list, name, firstMs) => Number(sql.addEvent.run(source, list, name, firstMs).lastInsertRowid),
    addProperty: (event, name, types, firstMs) =>
      Number(sql.addProperty.run(event, name, types, firstMs).lastInsertRowid),
    changeEvent: (id, firstMs, { messages, sketch }) => void sql.changeEvent.run(firstMs, messages, sketch, id),
    changeProperty: (id, types, firstMs) => void sql.changeProperty.run(types, firstMs, id),
    changeSource: (source, { messages, sketch }) => void sql.changeSource.run(source, messages, sketch),
    count: (group, hour, name, allowed, blocked, lastMs) =>
      void sql.count.run(group, hour, name, allowed, blocked, lastMs),
    setPosition: (partition, offset) => void sql.setPosition.run(partition, offset),
    countedEvents: (source, list, sinceHour) =>
      sql.countedEvents.all(sinceHour, eventGroup(source, list), source, list).map((row) => ({
        ...countedName(row),
        isArchived: row['is_archived'] === 1,
        properties: row['properties'] as number,
      })),
    countedProperties: (event, sinceHour) => sql.countedProperties.all(sinceHour, event, event).map(countedName),
    setArchived: (source, name, isArchived) => sql.setArchived.run(isArchived ? 1 : 0, source, name).changes > 0,
    clear: (source) =>
      transaction(() => {
        for (const statement of [sql.clearPropertyCounts, sql.clearProperties, sql.clearEvents, sql.clearSource])
          statement.run(source)
        for (const list of [1, 2, 3] as const) sql.clearGroup.run(eventGroup(source, list))
      }),
    sources: () => sql.sources.all().map((row) => row['source'] as number),
    expire(hour, after) {
      const groups = sql.groups.all(after).map((row) => row['grp'] as number)
      transaction(() => {
        for (const group of groups) expireGroup(sql, group, hour)
      })
      return groups.at(-1)
    },
    close: () => db.close(),
  }
}

const tables = ['meta', 'positions', 'sources', 'events', 'properties', 'counts']

function openDatabase(path: string): DatabaseSync {
  try {
    return prepared(new DatabaseSync(path))
  } catch {
    // What is in it comes again from the journal. If the folder is at fault, the second try says so.
    for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
    return prepared(new DatabaseSync(path))
  }
}

function prepared(db: DatabaseSync): DatabaseSync {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384')
  const version = db.prepare('PRAGMA user_version').get()?.['user_version']
  if (version !== SCHEMA_VERSION) {
    for (const table of tables) db.exec(`DROP TABLE IF EXISTS ${table}`)
    db.exec(schema)
  }
  return db
}

function expireGroup(sql: ReturnType<typeof prepareStatements>, group: number, hour: number): void {
  const oldHour = hour - HOURS_KEPT
  // Whole days only: a day whose hours are partly needed stays as hours.
  const oldDay = oldHour - (oldHour % 24)
  sql.makeDays.run(group, oldDay)
  sql.dropHours.run(group, oldDay)
  const tooOld = oldDay - (DAYS_KEPT - HOURS_KEPT / 24) * 24
  for (const keep of [sql.keepLastOfEvents, sql.keepLastOfProperties]) keep.run(group, tooOld)
  sql.dropDays.run(group, tooOld)
}

/** Counts of one group (filled in: the hour since when, the group), for all its names. */
const sums = `SELECT name AS id, sum(iif(hour >= ?, allowed, 0)) AS allowed, sum(iif(hour >= ?1, blocked, 0)) AS blocked,
  max(last_ms) AS last_ms FROM counts WHERE grp = ? GROUP BY name`
const counted = `name.name, name.first_ms, max(name.last_ms, coalesce(sums.last_ms, 0)) AS last_ms,
  coalesce(sums.allowed, 0) AS allowed, coalesce(sums.blocked, 0) AS blocked`

function prepareStatements(db: DatabaseSync) {
  return {
    journal: db.prepare('SELECT journal FROM meta'),
    setJournal: db.prepare('INSERT INTO meta (journal) VALUES (?)'),
    positions: db.prepare('SELECT partition, offset FROM positions'),
    setPosition: db.prepare('INSERT OR REPLACE INTO positions (partition, offset) VALUES (?, ?)'),
    event: db.prepare('SELECT id, first_ms, overflow, sketch FROM events WHERE source = ? AND list = ? AND name = ?'),
    propertiesOf: db.prepare('SELECT id, name, types, first_ms FROM properties WHERE event = ?'),
    countEvents: db.prepare('SELECT count(*) AS events FROM events WHERE source = ? AND list = 1'),
    source: db.prepare('SELECT overflow, sketch FROM sources WHERE source = ?'),
    sources: db.prepare('SELECT DISTINCT source FROM events UNION SELECT source FROM sources'),
    addEvent: db.prepare('INSERT INTO events (source, list, name, first_ms) VALUES (?, ?, ?, ?)'),
    addProperty: db.prepare('INSERT INTO properties (event, name, types, first_ms) VALUES (?, ?, ?, ?)'),
    changeEvent: db.prepare('UPDATE events SET first_ms = ?, overflow = ?, sketch = ? WHERE id = ?'),
    changeProperty: db.prepare('UPDATE properties SET types = ?, first_ms = ? WHERE id = ?'),
    changeSource: db.prepare('INSERT OR REPLACE INTO sources (source, overflow, sketch) VALUES (?, ?, ?)'),
    count: db.prepare(
      `INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET allowed = allowed + excluded.allowed,
       blocked = blocked + excluded.blocked, last_ms = max(last_ms, excluded.last_ms)`,
    ),
    countedEvents: db.prepare(
      `WITH sums AS MATERIALIZED (${sums}) SELECT ${counted}, 0 AS types, name.is_archived,
       (SELECT count(*) FROM properties WHERE event = name.id) AS properties
       FROM events AS name LEFT JOIN sums USING (id) WHERE name.source = ? AND name.list = ? ORDER BY name.name`,
    ),
    countedProperties: db.prepare(
      `WITH sums AS MATERIALIZED (${sums}) SELECT ${counted}, name.types
       FROM properties AS name LEFT JOIN sums USING (id) WHERE name.event = ? ORDER BY name.name`,
    ),
    setArchived: db.prepare('UPDATE events SET is_archived = ? WHERE source = ? AND list = 1 AND name = ?'),
    clearPropertyCounts: db.prepare('DELETE FROM counts WHERE grp IN (SELECT id FROM events WHERE source = ?)'),
    clearProperties: db.prepare('DELETE FROM properties WHERE event IN (SELECT id FROM events WHERE source = ?)'),
    clearEvents: db.prepare('DELETE FROM events WHERE source = ?'),
    clearSource: db.prepare('DELETE FROM sources WHERE source = ?'),
    clearGroup: db.prepare('DELETE FROM counts WHERE grp = ?'),
    groups: db.prepare('SELECT DISTINCT grp FROM counts WHERE grp > ? ORDER BY grp LIMIT 20'),
    makeDays: db.prepare(
      `INSERT INTO counts SELECT grp, hour / 24 * 24, name, sum(allowed), sum(blocked), max(last_ms) FROM counts
       WHERE grp = ? AND hour < ? AND hour % 24 <> 0 GROUP BY hour / 24, name
       ON CONFLICT DO UPDATE SET allowed = allowed + excluded.allowed, blocked = blocked + excluded.blocked,
       last_ms = max(last_ms, excluded.last_ms)`,
    ),
    dropHours: db.prepare('DELETE FROM counts WHERE grp = ? AND hour < ? AND hour % 24 <> 0'),
    // Names stay after their last count has gone, and when they were seen last.
    keepLastOfEvents: db.prepare(lastSeenOf('events', '?1 < 0')),
    keepLastOfProperties: db.prepare(lastSeenOf('properties', '?1 > 0')),
    dropDays: db.prepare('DELETE FROM counts WHERE grp = ? AND hour < ?'),
  } satisfies Record<string, StatementSync>
}

function lastSeenOf(table: string, condition: string): string {
  return `UPDATE ${table} SET last_ms = max(${table}.last_ms, old.last_ms) FROM
    (SELECT name AS id, max(last_ms) AS last_ms FROM counts WHERE grp = ?1 AND hour < ?2 AND ${condition} GROUP BY name) AS old
    WHERE ${table}.id = old.id`
}

type Row = Record<string, unknown>

const storedName = (row: Row, name: string): StoredName => ({
  id: row['id'] as number,
  name,
  types: (row['types'] as number | undefined) ?? 0,
  firstMs: row['first_ms'] as number,
})

const overflowOf = (row: Row): Overflow => ({
  messages: row['overflow'] as number,
  sketch: row['sketch'] as Uint8Array | null,
})

const countedName = (row: Row): CountedName => ({
  name: row['name'] as string,
  types: row['types'] as number,
  firstMs: row['first_ms'] as number,
  lastMs: row['last_ms'] as number,
  allowed: row['allowed'] as number,
  blocked: row['blocked'] as number,
})
