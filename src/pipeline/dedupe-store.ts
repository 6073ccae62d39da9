/**
 * The dedupe index on disk: one LevelDB store for each UTC day of receipt, under a folder that carries the journal's id, so
 * that after a restore a stale index is not mistaken for a good one.
 *
 * - The current day takes all writes and never goes backwards. A closed day is compacted, because a lookup has to ask every
 *   day and a compacted store answers a miss five times as fast. A day that lies outside the window is removed whole.
 * - Entries stay in memory until they are written with one synced batch, about twice a second. So a store never holds a hole:
 *   LevelDB would not sync an older log file for a later write.
 * - Each batch carries `covered`; a store remembers where its predecessor ended. A day that is missing in the middle shows.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { Clock, TimerHandle } from '../base/clock.ts'
import { assert } from '../base/assert.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import {
  entryKinds,
  type DedupeIndex,
  type EntryKind,
  type IndexEntry,
  type IndexedFrame,
  type MessageKey,
  type Place,
} from './dedupe.ts'

export interface DedupeStoreOptions {
  /** Folder of this partition's index; made when absent. Nothing else may use it. */
  directory: string
  journalId: string
  /** Days for which an id stays taken; may change while running and may be a fraction. */
  windowDays: () => number
  clock: Clock
  log: Logger
  /** Called once when a write in the background fails. The index is then behind and the process must stop. */
  onFailure: (error: Error) => void
}

const DAY_MS = 86_400_000

/** How long an entry may wait in memory. A restart reads that much of `events` again. */
const flushDelayMs = 500
const flushEntries = 4_000
/** Beyond this many unwritten entries `put` waits. */
const unwrittenEntriesMax = 50_000

// Not the alphabet of message keys, so these can never be one.
const coveredKey = '!covered'
const startKey = '!start'
/** Between a message key and the kind and place of a frame that does not take the id. */
const mark = '#'
const afterMark = '$'

interface DayStore {
  /** Days since the epoch. */
  day: number
  db: ClassicLevel
}

/** Opens the index. Stores that cannot be read, or that do not join, are removed: the index is then new (`covered` is undefined). */
export async function openDedupeStore(options: DedupeStoreOptions): Promise<DedupeIndex> {
  const directory = join(options.directory, options.journalId)
  await removeOthers(options.directory, options.journalId)
  const opened = await openStores(directory, options.log)
  return new DedupeStore(options, directory, opened.stores, opened.covered)
}

class DedupeStore implements DedupeIndex {
  readonly #options: DedupeStoreOptions
  readonly #directory: string
  /** Oldest first; the last one takes the writes. */
  #stores: DayStore[]
  #covered: number | undefined
  /** Unwritten entries in order, and the places among them by key. */
  #waiting: IndexEntry[] = []
  #waitingPlaces = new Map<MessageKey, Place>()
  #writingPlaces = new Map<MessageKey, Place>()
  #writing: Promise<void> | undefined
  /** Entries put and entries written since the index was opened. */
  #putCount = 0
  #writtenCount = 0
  #timer: TimerHandle | undefined
  #compacting: Promise<void> = Promise.resolve()
  #failure: Error | undefined

  constructor(options: DedupeStoreOptions, directory: string, stores: DayStore[], covered: number | undefined) {
    this.#options = options
    this.#directory = directory
    this.#stores = stores
    this.#covered = covered
  }

  get covered(): number | undefined {
    return this.#covered
  }

  async check(keys: readonly MessageKey[]): Promise<(Place | undefined)[]> {
    // What is in memory is newer than anything on disk.
    const found = keys.map((key) => this.#waitingPlaces.get(key) ?? this.#writingPlaces.get(key))
    const unknown: MessageKey[] = []
    const at: number[] = []
    keys.forEach((key, i) => {
      if (found[i] !== undefined) return
      unknown.push(key)
      at.push(i)
    })
    if (unknown.length === 0) return found
    const answers = await Promise.all(this.#stores.map(({ db }) => db.getMany(unknown)))
    for (const values of answers) {
      values.forEach((value, j) => {
        // `at` has an element for each of `unknown`. A later day holds the newer place.
        if (value !== undefined) found[at[j]!] = decodePlace(value)
      })
    }
    return found
  }

  async put(entries: readonly IndexEntry[], covered: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    assert(covered >= (this.#covered ?? 0), 'what the dedupe index covers only grows')
    for (const entry of entries) {
      this.#waiting.push(entry)
      this.#putCount += 1
      if (entry.kind === entryKinds.accepted)
        this.#waitingPlaces.set(entry.key, { offset: entry.offset, receivedAtMs: entry.receivedAtMs })
    }
    this.#covered = covered
    if (this.#waiting.length >= flushEntries) this.#flushSoon(0)
    else this.#flushSoon(flushDelayMs)
    if (this.#waiting.length >= unwrittenEntriesMax) await this.flush()
  }

  async find(key: MessageKey): Promise<IndexedFrame[]> {
    await this.flush()
    const frames: IndexedFrame[] = []
    for (const { db } of this.#stores) {
      const taken = await db.get(key)
      if (taken !== undefined) frames.push({ kind: entryKinds.accepted, offset: decodePlace(taken).offset })
      for await (const traced of db.keys({ gt: key + mark, lt: key + afterMark })) frames.push(decodeTraced(traced))
    }
    return frames.sort((a, b) => a.offset - b.offset)
  }

  async flush(): Promise<void> {
    // What is put from now on is not waited for: under load that would never end.
    const due = this.#putCount
    while (this.#writtenCount < due) {
      if (this.#failure !== undefined) throw this.#failure
      await (this.#writing ?? this.#write())
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  async close(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.flush()
    } finally {
      if (this.#timer !== undefined) this.#options.clock.clear(this.#timer)
      await this.#writing?.catch(() => undefined)
      await this.#compacting
      await Promise.all(this.#stores.map(({ db }) => db.close()))
    }
  }

  #flushSoon(delayMs: number): void {
    if (this.#writing !== undefined) return
    if (delayMs === 0) return void this.#write().catch(() => undefined)
    this.#timer ??= this.#options.clock.after(delayMs, () => {
      this.#timer = undefined
      if (this.#writing === undefined && this.#waiting.length > 0) this.#write().catch(() => undefined)
    })
  }

  /** Writes what is waiting. Callers look at `#writing` first: one write at a time keeps `covered` true. */
  #write(): Promise<void> {
    const entries = this.#waiting
    const covered = this.#covered ?? 0
    this.#waiting = []
    this.#writingPlaces = this.#waitingPlaces
    this.#waitingPlaces = new Map()
    this.#writing = this.#writeByDay(entries, covered).then(
      () => {
        this.#writtenCount += entries.length
        this.#writingPlaces = new Map()
        this.#writing = undefined
        if (this.#waiting.length > 0) this.#flushSoon(this.#waiting.length >= flushEntries ? 0 : flushDelayMs)
      },
      (error: unknown) => {
        this.#writing = undefined
        this.#failure = new Error('the dedupe index could not be written', { cause: error })
        this.#options.onFailure(this.#failure)
        throw this.#failure
      },
    )
    return this.#writing
  }

  async #writeByDay(entries: readonly IndexEntry[], covered: number): Promise<void> {
    let from = 0
    while (from < entries.length) {
      // `from` and `to` stay inside the list.
      const day = Math.max(dayOf(entries[from]!.receivedAtMs), this.#stores.at(-1)?.day ?? 0)
      let to = from + 1
      while (to < entries.length && dayOf(entries[to]!.receivedAtMs) <= day) to += 1
      const start = entries[from]!.offset
      const end = to === entries.length ? covered : entries[to]!.offset
      if (this.#stores.at(-1)?.day !== day) await this.#openDay(day, start)
      await writeBatch(this.#stores.at(-1)!.db, entries.slice(from, to), end)
      from = to
    }
  }

  async #openDay(day: number, start: number): Promise<void> {
    const closed = this.#stores.at(-1)
    const db = await openLevel(join(this.#directory, nameOf(day)))
    await db.batch([
      { type: 'put', key: startKey, value: String(closed === undefined ? start : await readCovered(closed.db)) },
    ])
    this.#stores.push({ day, db })
    if (closed !== undefined) this.#compact(closed)
    await this.#removeExpired(day)
  }

  #compact(store: DayStore): void {
    this.#compacting = this.#compacting
      .then(() => store.db.compactRange('', '~'))
      // A store that was removed meanwhile needs no compaction, and one that is not compacted is only slower.
      .catch((error: unknown) => this.#options.log.debug({ err: error }, 'a day of the dedupe index was not compacted'))
  }

  async #removeExpired(today: number): Promise<void> {
    // An entry of the last millisecond of a day is taken until the end of the day `windowDays` later; one day more allows for
    // messages that were received before midnight and are processed after it.
    const oldest = today - Math.ceil(this.#options.windowDays()) - 1
    const expired = this.#stores.filter(({ day }) => day < oldest)
    this.#stores = this.#stores.filter(({ day }) => day >= oldest)
    if (expired.length > 0) await this.#compacting
    for (const { db, day } of expired) {
      await db.close()
      await rm(join(this.#directory, nameOf(day)), { recursive: true, force: true })
    }
  }
}

async function removeOthers(directory: string, journalId: string): Promise<void> {
  for (const name of await listOf(directory)) {
    if (name !== journalId) await rm(join(directory, name), { recursive: true, force: true })
  }
}

interface OpenedStores {
  stores: DayStore[]
  covered: number | undefined
}

async function openStores(directory: string, log: Logger): Promise<OpenedStores> {
  const days = (await listOf(directory)).map(dayOfName).filter((day) => day !== undefined)
  const stores: DayStore[] = []
  try {
    for (const day of days.sort((a, b) => a - b))
      stores.push({ day, db: await openLevel(join(directory, nameOf(day))) })
    await removeUnstarted(directory, stores)
    const covered = await joinedCover(stores)
    if (covered !== undefined || stores.length === 0) return { stores, covered }
    log.warn({ directory }, 'a day of the dedupe index is missing: the index is built anew')
  } catch (error) {
    await Promise.all(stores.map(({ db }) => db.close()))
    if (isLocked(error)) throw error
    log.warn({ directory, reason: messageOf(error) }, 'the dedupe index cannot be read: it is built anew')
    stores.length = 0
  }
  await Promise.all(stores.map(({ db }) => db.close()))
  await rm(directory, { recursive: true, force: true })
  return { stores: [], covered: undefined }
}

/** A power cut right after a day was opened leaves it without its first record. Nothing else was in it yet. */
async function removeUnstarted(directory: string, stores: DayStore[]): Promise<void> {
  const newest = stores.at(-1)
  if (newest === undefined || (await newest.db.get(startKey)) !== undefined) return
  stores.pop()
  await newest.db.close()
  await rm(join(directory, nameOf(newest.day)), { recursive: true, force: true })
}

/** How far the stores cover `events` without a hole between them; undefined when there is one. */
async function joinedCover(stores: readonly DayStore[]): Promise<number | undefined> {
  let covered: number | undefined
  for (const { db } of stores) {
    const start = Number(await db.get(startKey))
    if (Number.isNaN(start) || (covered !== undefined && start > covered)) return undefined
    // A kill right after a day was opened leaves it without a cover of its own.
    covered = Math.max(start, await readCovered(db))
  }
  return covered
}

async function readCovered(db: ClassicLevel): Promise<number> {
  return Number((await db.get(coveredKey)) ?? 0)
}

async function openLevel(path: string): Promise<ClassicLevel> {
  // Keys and values hardly repeat, so that compressing them costs time and gains nothing. The block cache is small because
  // there are eight of them and lookups have no locality.
  const db = new ClassicLevel(path, { compression: false, cacheSize: 1024 * 1024, maxFileSize: 16 * 1024 * 1024 })
  await db.open()
  return db
}

async function writeBatch(db: ClassicLevel, entries: readonly IndexEntry[], covered: number): Promise<void> {
  const batch = db.batch()
  for (const { kind, key, offset, receivedAtMs } of entries) {
    if (kind === entryKinds.accepted) batch.put(key, encodePlace({ offset, receivedAtMs }))
    else batch.put(`${key}${mark}${kind}${offset.toString(36)}`, '')
  }
  batch.put(coveredKey, String(covered))
  await batch.write({ sync: true })
}

function encodePlace({ offset, receivedAtMs }: Place): string {
  return `${offset.toString(36)},${receivedAtMs.toString(36)}`
}

function decodePlace(text: string): Place {
  const comma = text.indexOf(',')
  return {
    offset: Number.parseInt(text.slice(0, comma), 36),
    receivedAtMs: Number.parseInt(text.slice(comma + 1), 36),
  }
}

function decodeTraced(text: string): IndexedFrame {
  const at = text.indexOf(mark)
  // Written by `writeBatch`, so the character after the mark is a kind.
  return { kind: Number(text[at + 1]) as EntryKind, offset: Number.parseInt(text.slice(at + 2), 36) }
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}

function nameOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

function dayOfName(name: string): number | undefined {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(name) ? Date.parse(`${name}T00:00:00Z`) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms / DAY_MS
}

async function listOf(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Another process has the store open: that is no damage, and removing it would be. */
function isLocked(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('code' in e && e.code === 'LEVEL_LOCKED') return true
  }
  return false
}
