/**
 * What delivery keeps in SQLite: a checkpoint of the ledgers with the `outcomes` offset that it covers, the retry store, the
 * dead letters, and an index from places in `events` to places in `outcomes` for `trace`. All of it is a view of `outcomes`
 * and can be made again from there, so a commit need not reach the disk at once, only whole.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { hasPayload } from './fold.ts'
import { historySchema, openHistory, type HistoryTables, type Tally } from './history.ts'
import { ledgerFromJson, ledgerToJson, type Ledger, type OpenMessage } from './ledger.ts'
import { eachOffset } from './offset-runs.ts'
import type { DeadLetterFilter, Outcome, OutcomeGroup } from './outcome-frame.ts'

/** The index says in which 256 frames of `outcomes` something is said about which 256 offsets of `events`. */
const BLOCK_BITS = 8
export const CHUNK_FRAMES = 256
const DAY_MS = 86_400_000
const DETAIL_BYTES_TOTAL_MAX = 1024 * 1024 * 1024

export interface DeadLetter {
  partition: number
  offset: number
  mapping: string
  code: string
  status: number | undefined
  attempts: number
  atMs: number
  detail: string | undefined
}

/** A discarded message with all that failed of it. */
export interface DeadMessage {
  partition: number
  offset: number
  /** The code that it counts under. */
  code: string
  /** Mappings that failed. */
  mappings: string[]
}

export interface SavedState {
  /** One past the last outcome that the ledgers hold. */
  covered: number
  ledgers: Ledger[]
}

export interface OutcomeStore {
  /** The last checkpoint of this journal; undefined when there is none. */
  load(journalId: string): SavedState | undefined
  /** Forgets everything: the ledgers come from elsewhere and the rest is indexed anew. */
  reset(): void
  /** Notes what an outcome says for the indexes; written with the next `save`. */
  index(outcome: Outcome, offset: number): void
  /** Hears what the fold counts; written with the next `save`. */
  tally: Tally
  /** What became of a connection's messages over time, as of the last `save`. */
  history: HistoryTables['read']
  /** Writes the ledgers and everything noted, in one transaction. */
  save(journalId: string, covered: number, ledgers: Iterable<Ledger>): void
  /** Makes the last `save` survive a power cut. */
  flush(): void
  /** First offsets of the groups of `CHUNK_FRAMES` frames of `outcomes` that say something about the message, ascending. */
  chunksFor(connection: number, partition: number, offset: number): number[]
  /** Newest first. */
  deadLetters(connection: number, filter: DeadLetterFilter, limit: number): DeadLetter[]
  /** Discarded messages, as of the last `save`, by their place, behind `after`. The event's name is not known here. */
  deadMessages(
    connection: number,
    filter: DeadLetterFilter,
    after: { partition: number; offset: number },
    limit: number,
  ): DeadMessage[]
  /** How many messages `deadMessages` would give in all. */
  countDeadMessages(connection: number, filter: DeadLetterFilter): number
  /** Removes what is older than asked; returns how many messages each connection has left as dead letters. */
  expire(nowMs: number, keep: { deadLetterDays: number; traceDays: number }): Map<number, number>
  close(): void
}

const schema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ledgers (connection INTEGER PRIMARY KEY, state TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS open_messages (
    connection INTEGER, partition INTEGER, offset INTEGER, state TEXT NOT NULL,
    PRIMARY KEY (connection, partition, offset)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS dead_letters (
    connection INTEGER, partition INTEGER, offset INTEGER, mapping TEXT, code TEXT NOT NULL, status INTEGER,
    attempts INTEGER NOT NULL, at_ms INTEGER NOT NULL, detail TEXT,
    PRIMARY KEY (connection, partition, offset, mapping)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS dead_letters_by_time ON dead_letters (at_ms);
  CREATE TABLE IF NOT EXISTS trace_blocks (
    connection INTEGER, partition INTEGER, block INTEGER, chunk INTEGER, day INTEGER NOT NULL,
    PRIMARY KEY (connection, partition, block, chunk)
  ) WITHOUT ROWID;
`
/** Grows when the tables or the JSON in them change; an older database is made anew from the journal. */
const SCHEMA_VERSION = 1

/** Opens the database at `path`, or makes it. One process only. */
export function openOutcomeStore(path: string): OutcomeStore {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000')
  prepareSchema(db)
  const sql = prepareStatements(db)
  const history = openHistory(db)
  let blocks = new Map<string, SQLInputValue[]>()
  /** In the order in which they were said: a dead letter may be delivered again, and fail again. */
  let letters: (() => void)[] = []

  function noteGroup(connection: number, group: OutcomeGroup, timeMs: number, offset: number): void {
    const chunk = Math.floor(offset / CHUNK_FRAMES)
    const day = Math.floor(timeMs / DAY_MS)
    for (let at = 0; at + 1 < group.offsets.length; at += 2) {
      const first = blockOf(group.offsets[at]!)
      const last = blockOf(group.offsets[at]! + group.offsets[at + 1]! - 1)
      for (let block = first; block <= last; block++) {
        const key = [connection, group.partition, block, chunk]
        blocks.set(key.join(), [...key, day])
      }
    }
    if (group.state === 'discarded' && hasPayload(group.code ?? '')) noteDeadLetters(connection, group, timeMs)
    if (group.again !== undefined)
      eachOffset(group.offsets, (offset) =>
        letters.push(() => sql.removeLetters.run(connection, group.partition, offset)),
      )
  }

  function noteDeadLetters(connection: number, group: OutcomeGroup, timeMs: number): void {
    const { partition, mapping = '', code = 'INTERNAL', status = null, attempt = 0, detail = null } = group
    eachOffset(group.offsets, (offset) =>
      letters.push(() =>
        sql.putLetter.run(connection, partition, offset, mapping, code, status, attempt, timeMs, detail),
      ),
    )
  }

  function saveOpen(ledger: Ledger): void {
    for (const [partition, books] of ledger.partitions) {
      for (const offset of books.changed) {
        const open = books.open.get(offset)
        if (open === undefined) sql.removeOpen.run(ledger.connection, partition, offset)
        else sql.putOpen.run(ledger.connection, partition, offset, JSON.stringify(open))
      }
      books.changed.clear()
    }
  }

  function transaction(run: () => void): void {
    db.exec('BEGIN IMMEDIATE')
    try {
      run()
      db.exec('COMMIT')
    } catch (error) {
      // A full disk has ended the transaction already, and the error that says so is the one to throw.
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }

  return {
    load(journalId) {
      if (sql.getMeta.get('journal')?.['value'] !== journalId) return undefined
      const ledgers = new Map<number, Ledger>()
      for (const row of sql.allLedgers.all()) {
        const ledger = ledgerFromJson(JSON.parse(row['state'] as string))
        ledgers.set(ledger.connection, ledger)
      }
      for (const { connection, partition, offset, state } of sql.allOpen.all()) {
        const books = ledgers.get(connection as number)?.partitions.get(partition as number)
        // Rows of this table hold what `saveOpen` wrote.
        books?.open.set(offset as number, JSON.parse(state as string) as OpenMessage)
      }
      return { covered: Number(sql.getMeta.get('covered')?.['value'] ?? 0), ledgers: [...ledgers.values()] }
    },
    reset() {
      blocks = new Map()
      letters = []
      history.forget()
      transaction(() => db.exec(tables.map((table) => `DELETE FROM ${table};`).join('\n')))
    },
    tally: history.tally,
    history: history.read,
    index(outcome, offset) {
      if (outcome.kind !== 'outcomes') return
      for (const group of outcome.body.groups) noteGroup(outcome.connection, group, outcome.timeMs, offset)
    },
    save(journalId, covered, ledgers) {
      transaction(() => {
        sql.putMeta.run('journal', journalId)
        sql.putMeta.run('covered', String(covered))
        for (const ledger of ledgers) {
          sql.putLedger.run(ledger.connection, JSON.stringify(ledgerToJson(ledger, { withOpen: false })))
          saveOpen(ledger)
        }
        for (const row of blocks.values()) sql.putBlock.run(...row)
        for (const write of letters) write()
        history.write()
      })
      blocks = new Map()
      letters = []
    },
    flush() {
      // Commits are not synced one by one (`synchronous = NORMAL`); a checkpoint of the log begins with a sync of it.
      db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    },
    chunksFor(connection, partition, offset) {
      const block = blockOf(offset)
      const found = new Set(sql.findBlocks.all(connection, partition, block).map((row) => row['chunk'] as number))
      for (const [otherConnection, otherPartition, otherBlock, chunk] of blocks.values()) {
        if (otherConnection === connection && otherPartition === partition && otherBlock === block) {
          found.add(chunk as number)
        }
      }
      return [...found].sort((a, b) => a - b).map((chunk) => chunk * CHUNK_FRAMES)
    },
    deadLetters(connection, filter, limit) {
      return sql.findLetters.all(connection, ...valuesOf(filter), limit).map((row) => ({
        partition: row['partition'] as number,
        offset: row['offset'] as number,
        mapping: row['mapping'] as string,
        code: row['code'] as string,
        status: (row['status'] as number | null) ?? undefined,
        attempts: row['attempts'] as number,
        atMs: row['at_ms'] as number,
        detail: (row['detail'] as string | null) ?? undefined,
      }))
    },
    deadMessages(connection, filter, after, limit) {
      const places = sql.findDeadMessages.all(connection, after.partition, after.offset, ...valuesOf(filter), limit)
      return places.map((row) => {
        const [partition, offset] = [row['partition'] as number, row['offset'] as number]
        const failed = sql.lettersOf.all(connection, partition, offset)
        // There is one at least: it was found by one.
        const code = failed[0]!['code'] as string
        return { partition, offset, code, mappings: failed.map(({ mapping }) => mapping as string) }
      })
    },
    countDeadMessages: (connection, filter) =>
      sql.countDeadMessages.get(connection, -1, -1, ...valuesOf(filter))?.['count'] as number,
    expire(nowMs, { deadLetterDays, traceDays }) {
      transaction(() => {
        sql.expireLetters.run(nowMs - deadLetterDays * DAY_MS)
        sql.expireBlocks.run(Math.floor(nowMs / DAY_MS) - traceDays)
        trimDetails(sql)
        history.expire(nowMs)
      })
      return new Map(sql.countLetters.all().map((row) => [row['connection'] as number, row['count'] as number]))
    },
    close: () => db.close(),
  }
}

/** Filled by `valuesOf`. */
const filtered = '(? IS NULL OR code IN (SELECT value FROM json_each(?))) AND at_ms >= ? AND at_ms < ?'

function valuesOf({ codes, fromMs, toMs }: DeadLetterFilter): SQLInputValue[] {
  const list = codes === undefined ? null : JSON.stringify(codes)
  return [list, list, fromMs ?? 0, toMs ?? Number.MAX_SAFE_INTEGER]
}

const tables = ['meta', 'ledgers', 'open_messages', 'dead_letters', 'trace_blocks', 'history', 'latencies']

function prepareSchema(db: DatabaseSync): void {
  const version = db.prepare('PRAGMA user_version').get()?.['user_version']
  if (version !== SCHEMA_VERSION) for (const table of tables) db.exec(`DROP TABLE IF EXISTS ${table}`)
  db.exec(schema + historySchema)
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
}

function prepareStatements(db: DatabaseSync) {
  return {
    getMeta: db.prepare('SELECT value FROM meta WHERE key = ?'),
    putMeta: db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)'),
    allLedgers: db.prepare('SELECT state FROM ledgers ORDER BY connection'),
    putLedger: db.prepare('INSERT OR REPLACE INTO ledgers (connection, state) VALUES (?, ?)'),
    allOpen: db.prepare('SELECT * FROM open_messages'),
    putOpen: db.prepare(
      'INSERT OR REPLACE INTO open_messages (connection, partition, offset, state) VALUES (?, ?, ?, ?)',
    ),
    removeOpen: db.prepare('DELETE FROM open_messages WHERE connection = ? AND partition = ? AND offset = ?'),
    putBlock: db.prepare(
      'INSERT OR REPLACE INTO trace_blocks (connection, partition, block, chunk, day) VALUES (?, ?, ?, ?, ?)',
    ),
    findBlocks: db.prepare('SELECT chunk FROM trace_blocks WHERE connection = ? AND partition = ? AND block = ?'),
    expireBlocks: db.prepare('DELETE FROM trace_blocks WHERE day < ?'),
    putLetter: db.prepare('INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    removeLetters: db.prepare('DELETE FROM dead_letters WHERE connection = ? AND partition = ? AND offset = ?'),
    findLetters: db.prepare(
      `SELECT * FROM dead_letters WHERE connection = ? AND ${filtered} ORDER BY at_ms DESC, offset DESC LIMIT ?`,
    ),
    findDeadMessages: db.prepare(
      `SELECT DISTINCT partition, offset FROM dead_letters WHERE connection = ? AND (partition, offset) > (?, ?)
       AND ${filtered} ORDER BY partition, offset LIMIT ?`,
    ),
    countDeadMessages: db.prepare(
      `SELECT count(*) AS count FROM (SELECT DISTINCT partition, offset FROM dead_letters WHERE connection = ?
       AND (partition, offset) > (?, ?) AND ${filtered})`,
    ),
    // The one that failed first comes first: its code is the one that the message counts under (`byEnd` in fold.ts).
    lettersOf: db.prepare(
      'SELECT mapping, code FROM dead_letters WHERE connection = ? AND partition = ? AND offset = ? ORDER BY at_ms, mapping',
    ),
    expireLetters: db.prepare('DELETE FROM dead_letters WHERE at_ms < ?'),
    countLetters: db.prepare(
      'SELECT connection, count(*) AS count FROM (SELECT DISTINCT connection, partition, offset FROM dead_letters) GROUP BY connection',
    ),
    detailBytes: db.prepare('SELECT total(length(detail)) AS bytes FROM dead_letters'),
    clearOldestDetails: db.prepare(
      'UPDATE dead_letters SET detail = NULL WHERE at_ms <= (SELECT at_ms FROM dead_letters WHERE detail IS NOT NULL ORDER BY at_ms LIMIT 1 OFFSET 9999)',
    ),
  } satisfies Record<string, StatementSync>
}

/** Keeps the excerpts of answers within their bound, oldest out first. */
function trimDetails(sql: ReturnType<typeof prepareStatements>): void {
  for (;;) {
    const bytes = sql.detailBytes.get()?.['bytes'] as number
    if (bytes <= DETAIL_BYTES_TOTAL_MAX || sql.clearOldestDetails.run().changes === 0) return
  }
}

function blockOf(offset: number): number {
  return Math.floor(offset / 2 ** BLOCK_BITS)
}
