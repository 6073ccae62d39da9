/**
 * The schema of each source as its messages show it: events, properties and traits, their types, how often they were allowed and
 * blocked, when they were seen first and last. A view of `events`: it reads the topic with cursors of its own, adds up in memory
 * (`fold.ts`), and writes counts and cursors in one transaction (`schema-store.ts`). After a kill it goes on where the last
 * transaction ended, so a message is counted once. With another journal it begins anew, with what that one keeps.
 *
 * Retention needs not wait for it where there is an archive, because a reader gets the same frames from there. Without one it is
 * asked how far it has written (`coveredThrough`).
 *
 * It shares its process with people who wait for answers, so it reads in blocks, writes in slices, and spends at most a 200th of
 * its time on writing: the longer a write takes, the rarer it is. A question has everything written first that was there when it was
 * asked, if that takes no longer than two seconds; the answer says how much was not.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { messageOf } from '../base/errors.ts'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Registry } from '../base/metrics.ts'
import type { Frame, Gap, Journal, Reader } from '../journal/index.ts'
import { createFold, type Fold, type FoldLimits } from './fold.ts'
import { createSchemaMetrics, type SchemaMetrics } from './schema-metrics.ts'
import { openSchemaStore, type SchemaStore } from './schema-store.ts'
import { createSchemaReader, type SchemaReader } from './schema-reader.ts'

export interface SchemaParts {
  journal: Journal
  /** Of the SQLite file, which belongs to this room alone. */
  path: string
  clock: Clock
  log: Logger
  /** A whole number that nobody outside knows. */
  seed: number
  /** Numbers of the sources there are; what was seen of others is removed. */
  sources: () => Promise<ReadonlySet<number>>
  registry?: Registry
  limits?: FoldLimits
}

export interface SchemaView {
  /** Reads from now on. */
  start(): void
  /** Reads what there is, for at most two seconds, writes it, and runs `read`. Nothing is written meanwhile. */
  ask<T>(read: (reader: SchemaReader) => T): Promise<T>
  /** Runs `read` on what is written. */
  look<T>(read: (reader: SchemaReader) => T): Promise<T>
  /** Forgets what was seen of a source until now. */
  clear(source: number): Promise<void>
  /** Takes a track event off the list, or puts it back. False when it was never seen. */
  setArchived(source: number, event: string, isArchived: boolean): Promise<boolean>
  /** Removes what is too old, and the sources that are no more; done every hour by itself. */
  expire(): Promise<void>
  /** Everything below this offset is counted, and would be after a power cut. */
  coveredThrough(partition: number): number
  /** Writes what was read, and closes the database. */
  stop(): Promise<void>
}

/** About 2 ms of work. */
const READ_BYTES = 512 * 1024
/** Rows that are written before others get a turn: about 2 ms. */
const ROWS_PER_TURN = 500
/** Pause between rounds of reading, so that a trickle of messages costs little, and how long a round reads at most: questions wait
 *  for its end. */
const ROUND_MS = 200
const ROUND_READ_MS = 300
const FLUSH_EVERY_MS = 10_000
const FLUSH_EVERY_MS_MAX = 300_000
/** A write is due after so many times what the last one took. */
const FLUSH_SHARE = 200
const QUESTION_MS = 2_000
const EXPIRE_EVERY_MS = 3_600_000
const RETRY_MS = 5_000
const HOUR_MS = 3_600_000

export function createSchema(parts: SchemaParts): SchemaView {
  const { journal, clock, log } = parts
  const store: SchemaStore = openSchemaStore(parts.path)
  const fold: Fold = createFold(store, parts.seed, parts.limits)
  const readers = new Map<number, Reader>()
  /** How far the fold has come, and how far the database. */
  let positions = store.open(journal.id)
  const covered = new Map(positions)
  let newestMs = 0
  let flushedAtMs = clock.now()
  let flushTookMs = 0
  let expireAtMs = clock.now()
  let isStopped = false
  let isWoken = true
  let timer: TimerHandle | undefined
  let unwatch: (() => void) | undefined
  /** One thing at a time touches the fold and the database. */
  let queue: Promise<unknown> = Promise.resolve()
  const metrics: SchemaMetrics | undefined =
    parts.registry &&
    createSchemaMetrics(parts.registry, {
      waiting,
      lagSeconds: () => Math.max(0, clock.now() - newestMs) / 1000,
      state: () => fold.state,
    })

  function alone<T>(run: () => Promise<T>): Promise<T> {
    const result = queue.then(run)
    queue = result.catch(() => {})
    return result
  }

  // ---- Reading -----------------------------------------------------------------------------------------------------------

  /** Reads up to what is durable now, or until the time is over. Returns whether it came to the end. */
  async function readAll(untilMs: number): Promise<boolean> {
    for (const partition of await journal.partitions('events')) {
      const reader = await readerOf(partition)
      const end = await journal.durableEnd('events', partition)
      while (reader.offset < end && clock.now() < untilMs && !isStopped) {
        const items = await reader.read(READ_BYTES)
        if (items.length === 0) break
        for (const item of items) take(item)
        metrics?.counted(items.length)
        positions.set(partition, reader.offset)
        if (fold.isFull) await flush()
      }
      if (reader.offset < end) return false
    }
    return true
  }

  async function readerOf(partition: number): Promise<Reader> {
    let reader = readers.get(partition)
    if (reader === undefined) {
      reader = await journal.openReader('events', partition, positions.get(partition) ?? 0)
      readers.set(partition, reader)
    }
    return reader
  }

  function take(item: Frame | Gap): void {
    if (item.type === 'frame') {
      fold.add(item)
      if (item.timeMs > newestMs) newestMs = item.timeMs
    } else if (item.reason === 'corrupt' || item.offset > 0) {
      // What had expired before the first look is no loss.
      metrics?.lost(item.count)
      log.warn({ offset: item.offset, count: item.count, reason: item.reason }, 'the schema lacks messages')
    }
  }

  // ---- Writing -----------------------------------------------------------------------------------------------------------

  async function flush(): Promise<void> {
    const startedAtMs = clock.now()
    store.begin()
    let rows = 0
    for (const _ of fold.flush()) if ((rows += 1) % ROWS_PER_TURN === 0) await turn()
    for (const [partition, offset] of positions) store.setPosition(partition, offset)
    store.commit()
    fold.flushed()
    for (const [partition, offset] of positions) covered.set(partition, offset)
    flushedAtMs = clock.now()
    flushTookMs = Math.max(0, flushedAtMs - startedAtMs)
    metrics?.flushed(flushTookMs / 1000)
  }

  const isBehind = () => [...positions].some(([partition, offset]) => covered.get(partition) !== offset)

  function isFlushDue(): boolean {
    const everyMs = Math.min(FLUSH_EVERY_MS_MAX, Math.max(FLUSH_EVERY_MS, flushTookMs * FLUSH_SHARE))
    return isBehind() && Math.abs(clock.now() - flushedAtMs) >= everyMs
  }

  async function expire(): Promise<void> {
    expireAtMs = clock.now() + EXPIRE_EVERY_MS
    const present = await parts.sources()
    for (const source of store.sources()) if (!present.has(source)) forget(source)
    const hour = Math.floor(clock.now() / HOUR_MS)
    for (let after: number | undefined = Number.MIN_SAFE_INTEGER; after !== undefined && !isStopped;) {
      after = store.expire(hour, after)
      await turn()
    }
  }

  function forget(source: number): void {
    store.clear(source)
    // It may refer to names that are gone; what it had counted is written by now.
    fold.reset()
  }

  /** What was read since the last write is read again. */
  async function startOver(): Promise<void> {
    store.rollback()
    fold.reset()
    positions = new Map(covered)
    for (const reader of readers.values()) await reader.close()
    readers.clear()
  }

  // ---- Rounds ------------------------------------------------------------------------------------------------------------

  /** Runs `run`; when the database or the journal refuse, all goes back to what is written. */
  async function guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      await startOver()
      throw error
    }
  }

  async function round(): Promise<void> {
    try {
      await guarded(async () => {
        if (isWoken) {
          isWoken = false
          if (!(await readAll(clock.now() + ROUND_READ_MS))) isWoken = true
        }
        if (isFlushDue()) await flush()
        if (clock.now() >= expireAtMs) {
          if (isBehind()) await flush()
          await expire()
        }
      })
      schedule(isWoken ? 0 : ROUND_MS)
    } catch (error) {
      log.error({ error: messageOf(error) }, 'the schema could not be counted on; it is tried again')
      isWoken = true
      schedule(RETRY_MS)
    }
  }

  function schedule(ms: number): void {
    if (!isStopped) timer = clock.after(ms, () => void alone(round))
  }

  async function waiting(): Promise<number> {
    let count = 0
    for (const partition of await journal.partitions('events'))
      count += Math.max(0, (await journal.durableEnd('events', partition)) - (positions.get(partition) ?? 0))
    return count
  }

  const readerNow = async () => createSchemaReader(store, { nowMs: clock.now(), waiting: await waiting() })

  /** Has everything written that is there now, and runs `run` when nothing else does. */
  function settled<T>(run: () => T | Promise<T>): Promise<T> {
    const untilMs = clock.now() + QUESTION_MS
    return alone(async () => {
      await guarded(async () => {
        await readAll(untilMs)
        if (isBehind()) await flush()
      })
      // Outside: a question that has no answer is no reason to begin anew.
      return run()
    })
  }

  return {
    start() {
      unwatch = journal.onAppend('events', () => {
        isWoken = true
      })
      schedule(0)
    },
    ask: (read) => settled(async () => read(await readerNow())),
    look: (read) => alone(async () => read(await readerNow())),
    clear: (source) => settled(() => forget(source)),
    setArchived: (source, event, isArchived) => settled(() => store.setArchived(source, event, isArchived)),
    expire: () => settled(expire),
    coveredThrough: (partition) => covered.get(partition) ?? 0,
    async stop() {
      isStopped = true
      unwatch?.()
      if (timer !== undefined) clock.clear(timer)
      await alone(() => guarded(async () => (isBehind() ? flush() : undefined))).catch((error: unknown) =>
        // What is missing is counted after the next start.
        log.error({ error: messageOf(error) }, 'the schema could not be written at the end'),
      )
      for (const reader of readers.values()) await reader.close()
      store.close()
    },
  }
}
