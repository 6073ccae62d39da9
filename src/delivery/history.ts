/**
 * What became of a connection's messages over time: per minute for a day, per hour for a fortnight. Rows are added to in the
 * transaction that moves the ledger's checkpoint, so that the sums are as exact as the accounting.
 */
import type { DatabaseSync } from 'node:sqlite'

/** `retried` counts attempts that were not the first; the other states are ends of messages. */
export type HistoryState = 'delivered' | 'retried' | 'dropped' | 'discarded'

export interface HistoryEntry {
  state: HistoryState
  /** Reason code; empty when delivered. */
  code: string
  count: number
  /** `delivered`: from the receipt of the message to the destination's answer. */
  latencyMs?: number
}

/** Takes note of what happened at `timeMs`. */
export type Tally = (connection: number, timeMs: number, entry: HistoryEntry) => void

export type BucketSeconds = 60 | 3600

export interface HistoryBucket {
  startMs: number
  /** Messages by state and reason code; those of `delivered` are under the empty code. */
  counts: Record<HistoryState, Record<string, number>>
}

export interface History {
  /** Oldest first; those in which nothing happened are left out. */
  buckets: HistoryBucket[]
  /** Milliseconds, at most a fifth above the true value; undefined when nothing was delivered. */
  latencyMs: { p50: number; p95: number; p99: number } | undefined
}

export interface HistoryTables {
  tally: Tally
  /** Adds what was tallied; call within a transaction. */
  write(): void
  forget(): void
  read(connection: number, seconds: BucketSeconds, fromMs: number, toMs: number): History
  /** Removes what is older than is kept; call within a transaction. */
  expire(nowMs: number): void
}

export const historySchema = `
  CREATE TABLE IF NOT EXISTS history (
    connection INTEGER, seconds INTEGER, bucket INTEGER, state TEXT, code TEXT, count INTEGER NOT NULL,
    PRIMARY KEY (connection, seconds, bucket, state, code)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS latencies (
    connection INTEGER, seconds INTEGER, bucket INTEGER, slot INTEGER, count INTEGER NOT NULL,
    PRIMARY KEY (connection, seconds, bucket, slot)
  ) WITHOUT ROWID;
`
const HOUR_MS = 3_600_000
/** How long the buckets of each size are kept. */
export const historyKeptMs: Record<BucketSeconds, number> = { 60: 25 * HOUR_MS, 3600: 15 * 24 * HOUR_MS }
const sizes: BucketSeconds[] = [60, 3600]
/** Slots of latency in which it doubles. */
const SLOTS_PER_OCTAVE = 4

/** The tables of `historySchema` in an open database. */
export function openHistory(db: DatabaseSync): HistoryTables {
  const sql = {
    add: db.prepare(
      `INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (connection, seconds, bucket, state, code) DO UPDATE SET count = count + excluded.count`,
    ),
    addLatency: db.prepare(
      `INSERT INTO latencies VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (connection, seconds, bucket, slot) DO UPDATE SET count = count + excluded.count`,
    ),
    find: db.prepare(
      `SELECT bucket, state, code, count FROM history WHERE connection = ? AND seconds = ? AND bucket >= ? AND bucket < ?
       ORDER BY bucket`,
    ),
    findLatencies: db.prepare(
      `SELECT slot, sum(count) AS count FROM latencies WHERE connection = ? AND seconds = ? AND bucket >= ? AND bucket < ?
       GROUP BY slot ORDER BY slot`,
    ),
    expire: db.prepare('DELETE FROM history WHERE seconds = ? AND bucket < ?'),
    expireLatencies: db.prepare('DELETE FROM latencies WHERE seconds = ? AND bucket < ?'),
  }
  // Of the minutes that are still being added to, which are few.
  let counts = new Map<string, { row: [number, number, HistoryState, string]; count: number }>()
  let latencies = new Map<string, { row: [number, number, number]; count: number }>()

  return {
    tally(connection, timeMs, { state, code, count, latencyMs }) {
      const minute = Math.floor(timeMs / 60_000)
      addTo(counts, [connection, minute, state, code], count)
      if (latencyMs !== undefined) addTo(latencies, [connection, minute, slotOf(latencyMs)], count)
    },
    write() {
      for (const { row, count } of counts.values()) {
        const [connection, minute, state, code] = row
        for (const seconds of sizes) sql.add.run(connection, seconds, bucketOf(minute, seconds), state, code, count)
      }
      for (const { row, count } of latencies.values()) {
        const [connection, minute, slot] = row
        for (const seconds of sizes) sql.addLatency.run(connection, seconds, bucketOf(minute, seconds), slot, count)
      }
      counts = new Map()
      latencies = new Map()
    },
    forget() {
      counts = new Map()
      latencies = new Map()
    },
    read(connection, seconds, fromMs, toMs) {
      const range = [Math.floor(fromMs / (seconds * 1000)), Math.ceil(toMs / (seconds * 1000))] as const
      const buckets = new Map<number, HistoryBucket>()
      for (const row of sql.find.all(connection, seconds, ...range)) {
        // Columns of `historySchema`, written above.
        const { bucket, state, code, count } = row as {
          bucket: number
          state: HistoryState
          code: string
          count: number
        }
        const found = buckets.get(bucket) ?? { startMs: bucket * seconds * 1000, counts: emptyCounts() }
        found.counts[state][code] = count
        buckets.set(bucket, found)
      }
      const slots = sql.findLatencies.all(connection, seconds, ...range) as { slot: number; count: number }[]
      return { buckets: [...buckets.values()], latencyMs: percentiles(slots) }
    },
    expire(nowMs) {
      for (const seconds of sizes) {
        const first = Math.floor((nowMs - historyKeptMs[seconds]) / (seconds * 1000))
        sql.expire.run(seconds, first)
        sql.expireLatencies.run(seconds, first)
      }
    },
  }
}

function addTo<Row extends (string | number)[]>(
  map: Map<string, { row: Row; count: number }>,
  row: Row,
  count: number,
): void {
  const key = row.join(' ')
  const found = map.get(key)
  if (found === undefined) map.set(key, { row, count })
  else found.count += count
}

function bucketOf(minute: number, seconds: BucketSeconds): number {
  return Math.floor((minute * 60) / seconds)
}

function emptyCounts(): HistoryBucket['counts'] {
  return { delivered: {}, retried: {}, dropped: {}, discarded: {} }
}

function slotOf(latencyMs: number): number {
  return Math.floor(Math.log2(1 + Math.max(0, latencyMs)) * SLOTS_PER_OCTAVE)
}

function percentiles(slots: { slot: number; count: number }[]): History['latencyMs'] {
  const total = slots.reduce((sum, { count }) => sum + count, 0)
  if (total === 0) return undefined
  const at = (share: number): number => {
    let seen = 0
    for (const { slot, count } of slots) {
      seen += count
      if (seen >= share * total) return Math.round(2 ** ((slot + 1) / SLOTS_PER_OCTAVE) - 1)
    }
    return Infinity
  }
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}
