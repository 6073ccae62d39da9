/**
 * The books of one connection: what it received and what became of it, per partition how far it has come, and the messages
 * that are neither ended nor untouched (the retry store). `count.ts` writes the received side from `events`, `fold.ts` the
 * other side from `outcomes`; nothing else changes the numbers. At any moment
 * received = rejected + duplicate + dropped + delivered + discarded + waiting.
 */
import type { Gap } from '../journal/index.ts'
import { eachOffset, toRuns } from './offset-runs.ts'
import type { ReceivedCounts, RedeliveryOrder } from './outcome-frame.ts'

export type Counts = Record<string, number>

export interface Ledger extends ReceivedCounts {
  connection: number
  source: number
  isDeleted: boolean
  delivered: number
  discarded: Counts
  /** Dropped at this destination, by code; `sourceDropped` was dropped for every connection of the source. */
  dropped: Counts
  /** Attempts that were not the first of their message and mapping. */
  retries: number
  /** Discarded messages that are kept with their payload. */
  deadLetters: number
  lastDeliveredAtMs: number
  /** The newest, oldest first; at most `REDELIVERIES_MAX`. */
  redeliveries: Redelivery[]
  partitions: Map<number, PartitionLedger>
}

/** How many redeliveries of a connection are remembered. */
export const REDELIVERIES_MAX = 20

/** A redelivery and how far it has come. */
export interface Redelivery extends RedeliveryOrder {
  state: 'running' | 'done' | 'cancelled'
  /** Messages put back into the retry store; each ends like any other. */
  taken: number
  endedAtMs?: number
}

export interface PartitionLedger {
  /** Every message of the connection below has an end or is in `open` with an outcome for each of its mappings. */
  cursor: number
  /** Messages that ended, at or above the cursor. */
  ended: Set<number>
  /** Messages with some outcome and no end yet, by offset. */
  open: Map<number, OpenMessage>
  /** Offsets whose entry in `open` was made, changed or removed since the last checkpoint. */
  changed: Set<number>
  /** `events` is counted up to here. */
  counted: number
  /** `sourceTotal` of the last frame counted; undefined before the first. */
  lastTotal: number | undefined
  /** Why frames of the connection's range were found missing, while `waiting` may still include them. */
  gap: Gap['reason'] | undefined
}

export interface OpenMessage {
  /** How many mappings it goes through. */
  legCount: number
  /** One for each mapping that has had an outcome, in the order of their first. */
  legs: Leg[]
}

/** What became so far of one message at one mapping. */
export interface Leg {
  mapping: string
  state: 'delivered' | 'waiting' | 'discarded' | 'dropped'
  code?: string
  attempt: number
  /** Backoff steps used. */
  step: number
  nextTryAtMs: number
  firstAttemptAtMs: number
  order?: string
  /** When it ended; absent while it waits. */
  endedAtMs?: number
}

export function createLedger(connection: number, source: number): Ledger {
  return {
    connection,
    source,
    isDeleted: false,
    received: 0,
    rejected: {},
    duplicate: 0,
    sourceDropped: {},
    delivered: 0,
    discarded: {},
    dropped: {},
    retries: 0,
    deadLetters: 0,
    lastDeliveredAtMs: 0,
    redeliveries: [],
    partitions: new Map(),
  }
}

/** The books of a partition; a new one starts at `start`. */
export function partitionOf(ledger: Ledger, partition: number, start: number): PartitionLedger {
  let found = ledger.partitions.get(partition)
  if (found === undefined) {
    found = {
      cursor: start,
      ended: new Set(),
      open: new Map(),
      changed: new Set(),
      counted: start,
      lastTotal: undefined,
      gap: undefined,
    }
    ledger.partitions.set(partition, found)
  }
  return found
}

export function increment(counts: Counts, code: string, by = 1): void {
  counts[code] = (counts[code] ?? 0) + by
}

export function sum(counts: Counts): number {
  let total = 0
  for (const code in counts) total += counts[code]!
  return total
}

/** Messages that have an end of whatever kind, received side included. */
export function endedTotal(ledger: Ledger): number {
  const { rejected, duplicate, sourceDropped, dropped, delivered, discarded } = ledger
  return sum(rejected) + duplicate + sum(sourceDropped) + sum(dropped) + delivered + sum(discarded)
}

export function waitingTotal(ledger: Ledger): number {
  return ledger.received - endedTotal(ledger)
}

/** Moves the cursor forward and forgets what it has passed. */
export function moveCursor(books: PartitionLedger, cursor: number): void {
  if (cursor <= books.cursor) return
  // Whichever is shorter: the way passed, or the set.
  if (cursor - books.cursor < books.ended.size) {
    for (let offset = books.cursor; offset < cursor; offset++) books.ended.delete(offset)
  } else {
    for (const offset of books.ended) if (offset < cursor) books.ended.delete(offset)
  }
  books.cursor = cursor
}

/** True when each mapping of the message has had an outcome, so that the cursor may pass it. */
export function isReported(message: OpenMessage): boolean {
  return message.legs.length >= message.legCount
}

/** A ledger as plain JSON. The open messages are left out on request: the store keeps them in rows of their own. */
export function ledgerToJson(ledger: Ledger, options: { withOpen: boolean }): unknown {
  const partitions = [...ledger.partitions].map(([partition, books]) => ({
    partition,
    cursor: books.cursor,
    ended: toRuns(books.ended),
    counted: books.counted,
    lastTotal: books.lastTotal,
    gap: books.gap,
    open: options.withOpen ? [...books.open] : [],
  }))
  return { ...ledger, partitions }
}

type LedgerJson = Omit<Ledger, 'partitions' | 'redeliveries'> & {
  /** Absent in what an earlier version wrote. */
  redeliveries?: Redelivery[]
  partitions: (Omit<PartitionLedger, 'ended' | 'open' | 'changed'> & {
    partition: number
    ended: number[]
    open: [number, OpenMessage][]
  })[]
}

/** Reads what `ledgerToJson` made. */
export function ledgerFromJson(json: unknown): Ledger {
  // Written by `ledgerToJson` into a database or segment of ours.
  const { partitions, redeliveries = [], ...ledger } = json as LedgerJson
  const restored: Ledger = { ...ledger, redeliveries: redeliveries.map((each) => ({ ...each })), partitions: new Map() }
  for (const { partition, ended, open, ...rest } of partitions) {
    const offsets = new Set<number>()
    eachOffset(ended, (offset) => offsets.add(offset))
    const lastTotal = rest.lastTotal
    restored.partitions.set(partition, { ...rest, lastTotal, ended: offsets, open: new Map(open), changed: new Set() })
  }
  return restored
}
