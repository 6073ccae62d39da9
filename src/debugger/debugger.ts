/**
 * The source debugger: the last messages of each source with what was sent and what became of it. A view of `events` that is a
 * sample and no account: it reads headers from the tail, looks into those messages only that it keeps (`sampler.ts`), and whatever
 * is in its way (a gap, a damaged frame, a backlog, a file that cannot be written) it leaves out. Nothing waits for it: it takes no
 * part in retention, works in small slices, and jumps ahead when it falls behind.
 *
 * Those who follow a source live read what was stored, at their own pace, and are told when the store was faster than they.
 */
import { AppError, messageOf } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Journal, Reader } from '../journal/index.ts'
import type { KeptMessage, NewMessage, Place } from './kept-message.ts'
import { createMatcher, type MessageFilter } from './message-filter.ts'
import { defaultStoreLimits, openMessageStore, type MessageStore, type StoreLimits } from './message-store.ts'
import { createRawForms } from './raw-form.ts'
import { readMessage } from './read-message.ts'
import { createSampler, defaultLimits, type SamplerLimits } from './sampler.ts'
import { Signal } from './signal.ts'

export interface DebuggerParts {
  journal: Journal
  /** Of the SQLite file, which belongs to this room alone. */
  path: string
  clock: Clock
  log: Logger
  /** Numbers of the sources there are; what is kept of others is removed. */
  sources: () => Promise<ReadonlySet<number>>
  /** Pause between rounds of reading. Default 100 ms. */
  roundMs?: number
  limits?: Partial<SamplerLimits & StoreLimits>
  /** Default 50. */
  followersMax?: number
}

export interface Sampling {
  /** Messages a second of this source up to which all are kept. */
  perSecond: number
  /** Messages that came since the oldest one that is kept. */
  seen: number
  kept: number
  /** When that one was received. */
  sinceMs?: number
}

export interface FoundMessages {
  /** Newest first. */
  messages: KeptMessage[]
  /** There are more that fit: `before` the last of these. */
  hasMore: boolean
}

/** What a follower gets: messages, how many it was too slow for, or a sign of life. */
export type Followed =
  { type: 'messages'; messages: KeptMessage[] } | { type: 'skipped'; count: number } | { type: 'alive' }

export interface FollowOptions {
  /** Begins behind this one, as far as it is kept. Absent: with the next message that comes. */
  after?: Place
  /** Ends it. */
  signal?: AbortSignal
}

export interface SourceDebugger {
  /** Reads from now on. */
  start(): void
  /** Reads all that is durable now. */
  catchUp(): Promise<void>
  find(source: number, filter: MessageFilter, page: { limit: number; before?: Place }): FoundMessages
  sampling(source: number): Sampling
  /** The messages of a source as they come. Throws `too_many_live_views` at once when there are too many. */
  follow(source: number, filter: MessageFilter, options?: FollowOptions): AsyncIterable<Followed>
  /** Ends the followers and closes the file. */
  stop(): Promise<void>
}

const ROUND_MS = 100
const READ_BYTES = 1024 * 1024
/** So much a round: what comes faster for long is left out. */
const READS_PER_ROUND = 4
/** Frames that it reads from further back; it jumps over what lies before. */
const BEHIND_MAX = 10_000
/** Messages are written when they are so many characters together. */
const PENDING_LENGTH_MAX = 1024 * 1024
const FOLLOWERS_MAX = 50
/** Messages and characters that a follower has in memory at a time. */
const PAGE_MESSAGES = 50
const PAGE_LENGTH_MAX = 512 * 1024
const ALIVE_MS = 15_000
const EXPIRE_MS = 60_000

export function createDebugger(parts: DebuggerParts): SourceDebugger {
  return new Debugger(parts)
}

class Debugger implements SourceDebugger {
  readonly #parts: DebuggerParts
  readonly #store: MessageStore
  readonly #sampler
  readonly #rawForms
  readonly #readers = new Map<number, Reader>()
  /** Called when something was stored, and at the end. */
  readonly #followers = new Set<() => void>()
  #pending: NewMessage[] = []
  #pendingLength = 0
  #round: Promise<void> = Promise.resolve()
  #running: Promise<void> | undefined
  #stopWatching = (): void => undefined
  readonly #appended = new Signal()
  readonly #stopping = new Signal()
  #isStopped = false
  #expiredAtMs = 0
  #hasFailed = false

  constructor(parts: DebuggerParts) {
    const { journal, path, limits = {} } = parts
    this.#parts = parts
    this.#store = openMessageStore(path, journal.id, { ...defaultStoreLimits, ...limits })
    this.#sampler = createSampler({ ...defaultLimits, ...limits })
    this.#rawForms = createRawForms(journal)
  }

  start(): void {
    this.#stopWatching = this.#parts.journal.onAppend('events', this.#appended.raise)
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopWatching()
    this.#appended.raise()
    this.#stopping.raise()
    for (const notify of this.#followers) notify()
    await this.#running
    await this.#round
    await Promise.all([...this.#readers.values()].map((reader) => reader.close()))
    this.#store.close()
  }

  async catchUp(): Promise<void> {
    while (await this.#oneRound());
  }

  find(source: number, filter: MessageFilter, { limit, before }: { limit: number; before?: Place }): FoundMessages {
    const matches = createMatcher(filter)
    const messages: KeptMessage[] = []
    for (const message of this.#store.before(
      source,
      before === undefined ? Number.MAX_SAFE_INTEGER : this.#endBefore(source, before),
    )) {
      if (!matches(message)) continue
      if (messages.length === limit) return { messages, hasMore: true }
      messages.push(message)
    }
    return { messages, hasMore: false }
  }

  sampling(source: number): Sampling {
    const { kept, sinceMs, oldestTotals } = this.#store.extent(source)
    let seen = 0
    for (const [partition, [oldest, newest]] of oldestTotals)
      seen += Math.max(newest, this.#sampler.newestTotal(source, partition) ?? 0) - oldest + 1
    return {
      perSecond: this.#sampler.perSecond(),
      seen: Math.max(seen, kept),
      kept,
      ...(sinceMs === undefined ? {} : { sinceMs }),
    }
  }

  follow(source: number, filter: MessageFilter, options: FollowOptions = {}): AsyncIterable<Followed> {
    const { followersMax = FOLLOWERS_MAX } = this.#parts
    if (this.#followers.size >= followersMax)
      throw new AppError(
        'too_many_live_views',
        503,
        `${followersMax} live views are open, which is all there may be.`,
        {
          hint: 'Close one, or ask for what is stored.',
        },
      )
    const signal = new Signal()
    // Taken now and not with the first item, so that nothing is lost between the call and that, and the bound holds.
    this.#followers.add(signal.raise)
    options.signal?.addEventListener('abort', signal.raise)
    const ordinal = options.after === undefined ? this.#store.newest(source) : this.#endAt(source, options.after)
    return this.#followed(source, filter, ordinal, signal, options.signal)
  }

  async *#followed(
    source: number,
    filter: MessageFilter,
    from: number,
    signal: Signal,
    abort: AbortSignal | undefined,
  ): AsyncGenerator<Followed> {
    const matches = createMatcher(filter)
    const isOver = (): boolean => this.#isStopped || abort?.aborted === true
    let ordinal = from
    try {
      while (!isOver()) {
        // The file was made anew and counts from 1.
        if (this.#store.newest(source) < ordinal) ordinal = 0
        const page = this.#pageAfter(source, ordinal)
        const [first] = page
        if (first === undefined) {
          if (!(await signal.wait({ clock: this.#parts.clock, ms: ALIVE_MS }))) yield { type: 'alive' }
          continue
        }
        const skipped = ordinal === 0 ? 0 : first.ordinal - ordinal - 1
        ordinal = page.at(-1)!.ordinal
        if (skipped > 0) yield { type: 'skipped', count: skipped }
        const messages = page.filter(matches)
        if (messages.length > 0) yield { type: 'messages', messages }
      }
    } finally {
      this.#followers.delete(signal.raise)
      abort?.removeEventListener('abort', signal.raise)
    }
  }

  #pageAfter(source: number, ordinal: number): KeptMessage[] {
    const page: KeptMessage[] = []
    let length = 0
    for (const message of this.#store.after(source, ordinal)) {
      page.push(message)
      length += lengthOf(message)
      if (page.length === PAGE_MESSAGES || length > PAGE_LENGTH_MAX) break
    }
    return page
  }

  /** Ordinal behind which the messages after a place begin. */
  #endAt(source: number, place: Place): number {
    return this.#store.ordinalAt(source, place) ?? 0
  }

  /** Ordinal before which the messages before a place end. */
  #endBefore(source: number, { partition, offset }: Place): number {
    return (this.#store.ordinalAt(source, { partition, offset: offset - 1 }) ?? 0) + 1
  }

  // ---- Reading -----------------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    const { clock, roundMs = ROUND_MS } = this.#parts
    while (!this.#isStopped) {
      const hasMore = await this.#oneRound()
      await this.#stopping.wait({ clock, ms: roundMs })
      if (!hasMore) await this.#appended.wait()
    }
  }

  /** True when there is more to read now. */
  #oneRound(): Promise<boolean> {
    const round = this.#round.then(async () => {
      try {
        return await this.#read()
      } catch (error) {
        this.#warnOnce(error, 'the source debugger could not read')
        return false
      }
    })
    this.#round = round.then(() => undefined)
    return round
  }

  async #read(): Promise<boolean> {
    let hasMore = false
    for (const partition of await this.#parts.journal.partitions('events')) {
      const reader = await this.#readerOf(partition)
      for (let count = 0; count < READS_PER_ROUND && !this.#isStopped; count++) {
        const isEnd = await this.#readSlice(partition, reader)
        if (isEnd) break
        hasMore ||= count + 1 === READS_PER_ROUND
      }
    }
    await this.#expire()
    return hasMore
  }

  async #readerOf(partition: number): Promise<Reader> {
    const { journal } = this.#parts
    const existing = this.#readers.get(partition)
    const from = Math.max(0, (await journal.durableEnd('events', partition)) - BEHIND_MAX)
    if (existing !== undefined) {
      if (existing.offset < from) existing.seek(from)
      return existing
    }
    const stored = this.#store.positions().get(partition) ?? 0
    const reader = await journal.openReader('events', partition, Math.max(from, stored))
    this.#readers.set(partition, reader)
    return reader
  }

  /** True at the end. */
  async #readSlice(partition: number, reader: Reader): Promise<boolean> {
    const items = await reader.read(READ_BYTES)
    if (items.length === 0) return true
    for (const frame of items) {
      if (frame.type === 'gap') continue
      if (!this.#sampler.admits(frame.source, partition, frame.sourceTotal, frame.timeMs) || frame.isDamaged) continue
      const { message, bytesRead } = await readMessage(partition, frame, this.#rawForms)
      this.#sampler.charge(bytesRead)
      this.#pending.push(message)
      this.#pendingLength += lengthOf(message)
      if (this.#pendingLength > PENDING_LENGTH_MAX) this.#save(partition, frame.offset + 1)
    }
    this.#save(partition, reader.offset)
    return false
  }

  #save(partition: number, offset: number): void {
    const messages = this.#pending
    this.#pending = []
    this.#pendingLength = 0
    try {
      this.#store.add(messages, new Map([[partition, offset]]))
      this.#hasFailed = false
    } catch (error) {
      this.#warnOnce(error, 'the source debugger could not keep messages; it begins a new file')
      this.#store.remake()
    }
    if (messages.length > 0) for (const notify of this.#followers) notify()
  }

  async #expire(): Promise<void> {
    const { clock, sources } = this.#parts
    const now = clock.now()
    if (Math.abs(now - this.#expiredAtMs) < EXPIRE_MS) return
    this.#expiredAtMs = now
    const known = await sources()
    this.#store.expire(now, (source) => known.has(source))
  }

  #warnOnce(error: unknown, what: string): void {
    if (!this.#hasFailed) this.#parts.log.warn({ error: messageOf(error) }, what)
    this.#hasFailed = true
  }
}

function lengthOf({ raw, processed }: Pick<NewMessage, 'raw' | 'processed'>): number {
  return (raw?.length ?? 0) + (processed?.length ?? 0)
}
