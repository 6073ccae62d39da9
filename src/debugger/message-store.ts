/**
 * The kept messages, in SQLite: the newest of each source, within bounds. It is a sample of what the journal holds and can be lost
 * without harm, so nothing waits for the disk, and a file that cannot be used is thrown away.
 *
 * Bounds: of a source 500 messages and 4 MiB; of all sources 256 MiB, then those lose theirs whose last message is oldest; 30 days.
 */
import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { KeptMessage, MessageHead, MissingReason, NewMessage, Place } from './kept-message.ts'

export interface StoreLimits {
  messagesPerSource: number
  bytesPerSource: number
  bytes: number
  ageMs: number
}

export const defaultStoreLimits: StoreLimits = {
  messagesPerSource: 500,
  bytesPerSource: 4 * 1024 * 1024,
  bytes: 256 * 1024 * 1024,
  ageMs: 30 * 86_400_000,
}

export interface MessageStore {
  /** Where reading goes on, per partition; empty for another journal. */
  positions(): Map<number, number>
  /** Adds messages in their order, notes where reading goes on, and removes what is over the bounds; all or nothing. */
  add(messages: readonly NewMessage[], positions: ReadonlyMap<number, number>): void
  /** Those of a source with a larger ordinal, oldest first, or with a smaller one, newest first; read while it is iterated. */
  after(source: number, ordinal: number): IterableIterator<KeptMessage>
  before(source: number, ordinal: number): IterableIterator<KeptMessage>
  /** The newest ordinal of a source, 0 when it has none. */
  newest(source: number): number
  /** Ordinal of the newest message of a source that stands at or before a place of the partition. */
  ordinalAt(source: number, place: Place): number | undefined
  /** What is kept of a source: how many, since when, and the oldest running total of each partition. */
  extent(source: number): {
    kept: number
    sinceMs: number | undefined
    oldestTotals: Map<number, [oldest: number, newest: number]>
  }
  /** Removes what is older than the bound, and the messages of sources that are no more. */
  expire(nowMs: number, isSource: (source: number) => boolean): void
  /** Empties it, whatever state the file is in. Throws when no file can be made. */
  remake(): void
  close(): void
}

const SCHEMA_VERSION = 1
// `head` is JSON, because SQLite's texts are UTF-8 and what people send is anything.
const schema = `
  CREATE TABLE meta (journal TEXT NOT NULL);
  CREATE TABLE positions (partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
  CREATE TABLE messages (
    source INTEGER NOT NULL, ordinal INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    total INTEGER NOT NULL, bytes INTEGER NOT NULL, head TEXT NOT NULL, raw TEXT, processed TEXT
  );
  CREATE UNIQUE INDEX messages_by_ordinal ON messages (source, ordinal);
  PRAGMA user_version = ${SCHEMA_VERSION};
`
/** What a row takes beside its texts. */
const ROW_BYTES = 128

interface SourceExtent {
  oldest: number
  newest: number
  bytes: number
  lastMs: number
}

interface Row {
  source: number
  ordinal: number
  partition: number
  offset: number
  at_ms: number
  total: number
  bytes: number
  head: string
  raw: string | null
  processed: string | null
}

/** Opens the file at `path`, or makes it. One process only. */
export function openMessageStore(path: string, journalId: string, limits = defaultStoreLimits): MessageStore {
  let { db, sql } = openOrMake(path, journalId)
  let extents = readExtents(db)

  function add(messages: readonly NewMessage[], positions: ReadonlyMap<number, number>): void {
    const changed = new Map<number, SourceExtent>()
    try {
      db.exec('BEGIN')
      for (const message of messages) insert(message, changed)
      for (const [partition, offset] of positions) sql.putPosition.run(partition, offset)
      trim(changed)
      db.exec('COMMIT')
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      extents = readExtents(db)
      throw error
    }
  }

  function insert(message: NewMessage, changed: Map<number, SourceExtent>): void {
    const { source, partition, offset, receivedAtMs, sourceTotal, raw, processed, ...head } = message
    const headText = JSON.stringify(head)
    const bytes =
      ROW_BYTES + [headText, raw ?? '', processed ?? ''].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
    const extent = extents.get(source) ?? { oldest: 1, newest: 0, bytes: 0, lastMs: 0 }
    extents.set(source, extent)
    changed.set(source, extent)
    extent.newest += 1
    extent.bytes += bytes
    extent.lastMs = receivedAtMs
    sql.insert.run(source, extent.newest, partition, offset, receivedAtMs, sourceTotal, bytes, headText, raw, processed)
  }

  function trim(changed: ReadonlyMap<number, SourceExtent>): void {
    for (const [source, extent] of changed) {
      removeThrough(source, extent, extent.newest - limits.messagesPerSource)
      while (extent.bytes > limits.bytesPerSource && extent.oldest < extent.newest)
        removeThrough(source, extent, extent.oldest)
    }
    let total = 0
    for (const { bytes } of extents.values()) total += bytes
    if (total <= limits.bytes) return
    for (const [source, extent] of [...extents].sort(([, a], [, b]) => a.lastMs - b.lastMs)) {
      if (total <= limits.bytes) break
      total -= extent.bytes
      removeThrough(source, extent, extent.newest)
    }
  }

  function removeThrough(source: number, extent: SourceExtent, ordinal: number): void {
    if (ordinal < extent.oldest) return
    const { bytes } = sql.bytesThrough.get(source, ordinal) as { bytes: number | null }
    sql.removeThrough.run(source, ordinal)
    extent.bytes -= bytes ?? 0
    extent.oldest = ordinal + 1
  }

  return {
    positions: () =>
      new Map(
        (sql.positions.all() as { partition: number; offset: number }[]).map((row) => [row.partition, row.offset]),
      ),
    add,
    after: (source, ordinal) => messagesOf(sql.after.iterate(source, ordinal)),
    before: (source, ordinal) => messagesOf(sql.before.iterate(source, ordinal)),
    newest: (source) => extents.get(source)?.newest ?? 0,
    ordinalAt(source, { partition, offset }) {
      const found = sql.at.get(source, partition, offset) as { ordinal: number | null }
      return found.ordinal ?? undefined
    },
    extent(source) {
      const rows = sql.extent.all(source) as ExtentRow[]
      return {
        kept: rows.reduce((sum, { kept }) => sum + kept, 0),
        sinceMs: rows.length === 0 ? undefined : Math.min(...rows.map((row) => row.since)),
        oldestTotals: new Map(rows.map((row) => [row.partition, [row.oldest, row.newest]])),
      }
    },
    expire(nowMs, isSource) {
      for (const [source, extent] of extents) {
        const { ordinal } = isSource(source)
          ? (sql.expired.get(source, nowMs - limits.ageMs) as { ordinal: number | null })
          : { ordinal: extent.newest }
        if (ordinal !== null) removeThrough(source, extent, ordinal)
      }
    },
    remake() {
      if (db.isOpen) db.close()
      remove(path)
      ;({ db, sql } = openOrMake(path, journalId))
      extents = readExtents(db)
    },
    close: () => db.close(),
  }
}

type ExtentRow = { partition: number; kept: number; since: number; oldest: number; newest: number }

function openOrMake(path: string, journalId: string): { db: DatabaseSync; sql: Statements } {
  const existing = openExisting(path, journalId)
  if (existing !== undefined) return { db: existing, sql: prepare(existing) }
  remove(path)
  const db = connect(path)
  db.exec(schema)
  db.prepare('INSERT INTO meta (journal) VALUES (?)').run(journalId)
  return { db, sql: prepare(db) }
}

/** Undefined for a file of another version or another journal, and for one that is damaged. */
function openExisting(path: string, journalId: string): DatabaseSync | undefined {
  let db: DatabaseSync | undefined
  try {
    db = connect(path)
    const { user_version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    const isOurs =
      user_version === SCHEMA_VERSION &&
      (db.prepare('SELECT journal FROM meta').get() as { journal: string } | undefined)?.journal === journalId
    if (isOurs) return db
  } catch {
    // Made anew below.
  }
  if (db?.isOpen === true) db.close()
  return undefined
}

function connect(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  // A power cut may cost the file, which is worth less than a wait for the disk. A kill does not.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA journal_size_limit = 4194304')
  return db
}

function remove(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
}

function readExtents(db: DatabaseSync): Map<number, SourceExtent> {
  const rows = db
    .prepare(
      'SELECT source, min(ordinal) AS oldest, max(ordinal) AS newest, sum(bytes) AS bytes, max(at_ms) AS lastMs FROM messages GROUP BY source',
    )
    .all() as unknown as (SourceExtent & { source: number })[]
  return new Map(rows.map(({ source, ...extent }) => [source, extent]))
}

type Statements = ReturnType<typeof prepare>

function prepare(db: DatabaseSync) {
  return {
    positions: db.prepare('SELECT partition, offset FROM positions'),
    putPosition: db.prepare('INSERT OR REPLACE INTO positions (partition, offset) VALUES (?, ?)'),
    insert: db.prepare('INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    after: db.prepare('SELECT * FROM messages WHERE source = ? AND ordinal > ? ORDER BY ordinal'),
    before: db.prepare('SELECT * FROM messages WHERE source = ? AND ordinal < ? ORDER BY ordinal DESC'),
    at: db.prepare('SELECT max(ordinal) AS ordinal FROM messages WHERE source = ? AND partition = ? AND offset <= ?'),
    expired: db.prepare('SELECT max(ordinal) AS ordinal FROM messages WHERE source = ? AND at_ms < ?'),
    extent: db.prepare(
      'SELECT partition, count(*) AS kept, min(at_ms) AS since, min(total) AS oldest, max(total) AS newest FROM messages WHERE source = ? GROUP BY partition',
    ),
    bytesThrough: db.prepare('SELECT sum(bytes) AS bytes FROM messages WHERE source = ? AND ordinal <= ?'),
    removeThrough: db.prepare('DELETE FROM messages WHERE source = ? AND ordinal <= ?'),
  }
}

function* messagesOf(rows: Iterable<unknown>): IterableIterator<KeptMessage> {
  for (const row of rows) yield messageOf(row as Row)
}

function messageOf({ source, ordinal, partition, offset, at_ms, total, head, raw, processed }: Row): KeptMessage {
  // Written by this file.
  const known = JSON.parse(head) as MessageHead & { rawMissing?: MissingReason; processedMissing?: MissingReason }
  return { source, ordinal, partition, offset, receivedAtMs: at_ms, sourceTotal: total, raw, processed, ...known }
}
