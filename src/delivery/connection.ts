/**
 * One connection at work: takes up messages as long as it has room, decides about them, keeps each user's order where asked,
 * hands them to its lane, and brings back what waits in the retry store when its time has come. Its ledger changes only by
 * what is durable.
 */
import { hash } from 'node:crypto'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Frame, Gap } from '../journal/index.ts'
import type { SendRequest } from '../kit/index.ts'
import type { AttemptResult } from './attempt.ts'
import { countFrame, countGap } from './count.ts'
import { decide, messageForRetry, type MessageToSend } from './decide.ts'
import { DueQueue } from './due-queue.ts'
import type { EventMessage } from './event-message.ts'
import { Feed } from './feed.ts'
import { fold } from './fold.ts'
import type { Tally } from './history.ts'
import { createLane, type Lane } from './lane.ts'
import { isReported, moveCursor, partitionOf, waitingTotal, type Ledger, type Leg, type OpenMessage } from './ledger.ts'
import { eachOffset } from './offset-runs.ts'
import { OrderGate, type Ticket } from './order-gate.ts'
import type { Outcome, OutcomeGroup } from './outcome-frame.ts'
import type { OutcomeLog } from './outcome-log.ts'
import type { Owed, PendingLeg } from './owed.ts'
import type { ConnectionPlan, MappingPlan } from './plan.ts'
import { DETAIL_CHARACTERS_MAX } from './redact.ts'
import { windowEndMs } from './retry-policy.ts'

/** Messages that a connection has in hand at most; the rest stays in the journal. */
export const IN_HAND_MAX = 10_000
/** Messages in its retry store at most. */
export const RETRY_STORE_MAX = 10_000
/** Messages of the retry store that are read back and queued at once. */
const REPEATS_IN_HAND_MAX = 1_000

export interface ConnectionParts {
  ledger: Ledger
  clock: Clock
  random: () => number
  outcomes: OutcomeLog
  /** A message by its place in `events`; undefined when it is gone. */
  readMessage: (partition: number, offset: number) => Promise<EventMessage | undefined>
  makeRequest: (timeoutMs: number) => SendRequest
  /** Bytes of messages in hand at most, as of now. */
  bytesMax: () => number
  onAttempt: (result: AttemptResult, legs: readonly PendingLeg[]) => void
  tally: Tally
}

interface Waiting {
  partition: number
  offset: number
  mapping: string
}

export class Connection {
  readonly ledger: Ledger
  readonly feeds = new Map<number, Feed>()
  readonly #parts: ConnectionParts
  #plan: ConnectionPlan | undefined
  #lane: Lane | undefined
  #isClosed = false
  /** Messages in hand and their bytes. */
  #inHand = 0
  #bytes = 0
  #roomWaiters: (() => void)[] = []
  readonly #gate = new OrderGate()
  /** The user of each message that is under way or in line. */
  readonly #orders = new Map<string, string>()
  readonly #due = new DueQueue<Waiting>()
  #dueTimer: TimerHandle | undefined
  #isLoading = false
  /** Repeats read back and not recorded yet. */
  readonly #repeats = new Set<string>()
  /** Entries in the retry store. */
  #openCount = 0
  #isSettlingLost = false

  constructor(parts: ConnectionParts) {
    this.#parts = parts
    this.ledger = parts.ledger
    for (const books of this.ledger.partitions.values()) this.#openCount += books.open.size
  }

  get number(): number {
    return this.ledger.connection
  }

  get source(): number {
    return this.ledger.source
  }

  get lane(): Lane | undefined {
    return this.#lane
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get inHand(): number {
    return this.#inHand
  }

  /** False also before it has been configured. */
  get isEnabled(): boolean {
    return this.#plan?.isEnabled ?? false
  }

  get retryStoreSize(): number {
    return this.#openCount
  }

  addFeed(partition: number, start: number, stream: { readonly position: number }): Feed {
    const books = partitionOf(this.ledger, partition, start)
    // Books made from `outcomes` alone begin at 0.
    books.counted = Math.max(books.counted, start)
    moveCursor(books, start)
    const feed = new Feed(partition, books, stream)
    this.feeds.set(partition, feed)
    return feed
  }

  // ---- Configuration -------------------------------------------------------------------------------------------------

  /** Works by this plan from the next decision and attempt on. */
  configure(plan: ConnectionPlan): void {
    const isFirst = this.#plan === undefined
    this.#plan = plan
    this.#lane ??= this.#makeLane(plan)
    this.#lane.configure(plan)
    if (isFirst) this.#restoreWaiting(plan)
    if (!plan.isEnabled) this.#dropAll('DESTINATION_DISABLED')
    else if (!plan.delivery.ordered) for (const ticket of this.#dissolveGate()) this.#proceed(ticket)
    this.#offerRoom()
    this.#armDue()
  }

  #makeLane(plan: ConnectionPlan): Lane {
    const { clock, random, makeRequest, outcomes, onAttempt } = this.#parts
    return createLane({
      clock,
      random,
      plan,
      makeRequest,
      append: (groups, whenDurable) => outcomes.append(this.number, groups, whenDurable),
      retryRoom: () => RETRY_STORE_MAX - this.#openCount,
      onRecovered: () => this.#repeatNow(),
      onPaused: () => this.#pause(),
      onAttempt,
    })
  }

  /** After a restart: what the ledger says is waiting gets its time and its place in line again. */
  #restoreWaiting(plan: ConnectionPlan): void {
    for (const [partition, books] of this.ledger.partitions) {
      for (const [offset, { legs }] of [...books.open].sort(([a], [b]) => a - b)) {
        const order = plan.delivery.ordered ? legs.find((leg) => leg.order !== undefined)?.order : undefined
        if (order !== undefined && !this.#enterGate(order, { partition, offset, legs: undefined })) continue
        for (const leg of legs) {
          if (leg.state === 'waiting') this.#due.push(leg.nextTryAtMs, { partition, offset, mapping: leg.mapping })
        }
      }
    }
  }

  // ---- Taking up messages --------------------------------------------------------------------------------------------

  canTake(): boolean {
    return (
      this.#plan !== undefined &&
      !this.#isClosed &&
      this.#inHand < IN_HAND_MAX &&
      (this.#inHand === 0 || this.#bytes < this.#parts.bytesMax())
    )
  }

  /** Resolves when the connection has room again, not just for one message. */
  async room(): Promise<void> {
    while (!this.canTake() && !this.#isClosed) await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
  }

  #offerRoom(): void {
    if (this.#roomWaiters.length === 0) return
    const isHalfEmpty = this.#inHand <= IN_HAND_MAX / 2 && this.#bytes <= this.#parts.bytesMax() / 2
    if (!this.#isClosed && (this.#plan === undefined || !isHalfEmpty)) return
    for (const resolve of this.#roomWaiters.splice(0)) resolve()
  }

  count(feed: Feed, frame: Frame): void {
    if (frame.offset >= feed.books.counted) countFrame(this.ledger, feed.books, frame)
  }

  countGap(feed: Feed, gap: Gap): void {
    countGap(feed.books, gap)
  }

  /** Takes up a call of its source that it has counted. Call only while `canTake`. */
  take(feed: Feed, message: EventMessage): void {
    const { partition, offset } = message
    if (feed.books.ended.has(offset)) return
    const open = feed.books.open.get(offset)
    if (open !== undefined && isReported(open)) return
    const decision = decide(this.#plan!, message)
    const reported = open?.legs.map(({ mapping }) => mapping) ?? []
    const mappings = decision.kind === 'drop' ? [] : decision.mappings.filter(({ id }) => !reported.includes(id))
    const owed: Owed = {
      partition,
      offset,
      receivedAtMs: message.receivedAtMs,
      json: decision.kind === 'drop' ? '' : decision.message.json,
      legCount: reported.length + mappings.length,
      order: undefined,
    }
    this.#inHand++
    this.#bytes += owed.json.length
    feed.watermark.take(offset, owed)
    if (decision.kind === 'send' && mappings.length > 0) this.#admit(owed, mappings, decision.message)
    else this.#drop(owed, open, decision)
  }

  #drop(owed: Owed, open: OpenMessage | undefined, decision: ReturnType<typeof decide>): void {
    const { partition, offset } = owed
    const code = decision.kind === 'drop' ? decision.code : 'NO_MATCHING_MAPPING'
    const detail = decision.kind === 'drop' ? decision.detail : undefined
    if (open === undefined) return this.#parts.outcomes.drop(this.number, partition, offset, code, detail)
    // Some mappings had an outcome before a restart and the others are gone since: nothing more will come of it.
    const group = { partition, offsets: [offset, 1], state: 'dropped', code, mapping: '' } as const
    this.#append({ ...group, offsets: [offset, 1], legs: open.legs.length + 1 })
  }

  #admit(owed: Owed, mappings: MappingPlan[], message: MessageToSend): void {
    if (this.#plan!.delivery.ordered) owed.order = orderOf(message)
    const legs = mappings.flatMap((mapping) => this.#legOf(owed, mapping, message) ?? [])
    if (legs.length === 0) return
    const ticket = { partition: owed.partition, offset: owed.offset, legs }
    if (owed.order === undefined || this.#enterGate(owed.order, ticket)) this.#proceed(ticket)
    else if (this.#gate.isSlow(owed.order)) this.#park(ticket)
  }

  /** A message ready to be sent for one mapping; records it as rejected when its payload does not fit. */
  #legOf(owed: Owed, mapping: MappingPlan, message: MessageToSend, leg?: Leg): PendingLeg | undefined {
    const made = mapping.payloadOf(message)
    if (made.ok) {
      const { attempt = 0, step = 0, firstAttemptAtMs = 0 } = leg ?? {}
      return { owed, mapping, payload: made.payload, attempt, step, firstAttemptAtMs, isWaiting: leg !== undefined }
    }
    this.#append(endOf(owed, mapping.id, leg, 'discarded', 'MESSAGE_REJECTED', made.problem))
    return undefined
  }

  #append(group: OutcomeGroup): void {
    this.#parts.outcomes.append(this.number, [group])
  }

  // ---- Order of one user's messages ----------------------------------------------------------------------------------

  #enterGate(order: string, ticket: Ticket): boolean {
    this.#orders.set(placeOf(ticket), order)
    return this.#gate.enter(order, ticket)
  }

  /** It is the message's turn. */
  #proceed({ partition, offset, legs }: Ticket): void {
    if (legs !== undefined) for (const leg of legs) this.#lane!.offer(leg)
    else this.#pushDue(partition, offset, this.#parts.clock.now())
  }

  #pushDue(partition: number, offset: number, atMs: number): void {
    const open = this.ledger.partitions.get(partition)?.open.get(offset)
    for (const { mapping, state } of open?.legs ?? []) {
      if (state === 'waiting') this.#due.push(atMs, { partition, offset, mapping })
    }
    this.#armDue()
  }

  #park(ticket: Ticket): void {
    const { legs } = ticket
    if (legs === undefined || this.#openCount >= RETRY_STORE_MAX) return
    ticket.legs = undefined
    const order = this.#orders.get(placeOf(ticket))
    for (const { owed, mapping } of legs) {
      const group = { partition: owed.partition, offsets: [owed.offset, 1], mapping: mapping.id, legs: owed.legCount }
      this.#append({
        ...group,
        state: 'waiting',
        code: 'ORDERED',
        attempt: 0,
        ...(order === undefined ? {} : { order }),
      })
    }
  }

  #leaveGate(partition: number, offset: number): void {
    const place = placeOf({ partition, offset })
    const order = this.#orders.get(place)
    if (order === undefined) return
    this.#orders.delete(place)
    const next = this.#gate.leave(order, partition, offset)
    if (next !== undefined) this.#proceed(next)
  }

  #dissolveGate(): Ticket[] {
    this.#orders.clear()
    return this.#gate.dissolve()
  }

  // ---- What has become durable ---------------------------------------------------------------------------------------

  apply(outcome: Outcome): void {
    fold(this.ledger, outcome, this.#parts.tally)
    if (outcome.kind === 'outcomes') for (const group of outcome.body.groups) this.#applyGroup(group)
    this.#openCount = 0
    for (const books of this.ledger.partitions.values()) this.#openCount += books.open.size
    this.moveCursors()
    this.#offerRoom()
    this.#armDue()
  }

  #applyGroup(group: OutcomeGroup): void {
    const { partition, mapping } = group
    const books = this.ledger.partitions.get(partition)!
    eachOffset(group.offsets, (offset) => {
      if (this.#repeats.size > 0) this.#repeats.delete(keyOf({ partition, offset, mapping: mapping ?? '' }))
      const open = books.open.get(offset)
      if (open === undefined || isReported(open)) this.#letGo(partition, offset)
      if (open === undefined) this.#leaveGate(partition, offset)
      else if (group.state === 'waiting') this.#wait(group, offset)
    })
  }

  #letGo(partition: number, offset: number): void {
    const owed = this.feeds.get(partition)?.watermark.finish(offset)
    if (owed === undefined) return
    this.#inHand--
    this.#bytes -= owed.json.length
  }

  #wait({ partition, mapping = '', nextTryAtMs = 0, order }: OutcomeGroup, offset: number): void {
    if (order !== undefined && this.#orders.has(placeOf({ partition, offset }))) {
      if (!this.#gate.isActive(order, partition, offset)) return
      for (const ticket of this.#gate.slowDown(order)) this.#park(ticket)
    }
    this.#due.push(nextTryAtMs, { partition, offset, mapping })
  }

  /** Moves the cursors to what is ended or in the retry store. */
  moveCursors(): void {
    for (const feed of this.feeds.values()) moveCursor(feed.books, feed.low)
    this.#settleLost()
  }

  // ---- Retry store ---------------------------------------------------------------------------------------------------

  #armDue(): void {
    if (this.#dueTimer) this.#parts.clock.clear(this.#dueTimer)
    this.#dueTimer = undefined
    const atMs = this.#due.nextAtMs
    if (atMs === undefined || this.#isClosed || this.#isLoading || this.#repeats.size >= this.#repeatsMax()) return
    // Timers hold 31 bits of milliseconds.
    const waitMs = Math.min(Math.max(0, atMs - this.#parts.clock.now()), 2 ** 31 - 1)
    this.#dueTimer = this.#parts.clock.after(waitMs, () => void this.#loadDue())
  }

  /** While the circuit is not closed one repeat is enough for a probe; the others may expire. */
  #repeatsMax(): number {
    return this.#lane?.circuit === 'closed' ? REPEATS_IN_HAND_MAX : 1
  }

  async #loadDue(): Promise<void> {
    if (this.#isLoading) return
    this.#isLoading = true
    while (!this.#isClosed && this.#repeats.size < this.#repeatsMax()) {
      const waiting = this.#due.popDue(this.#parts.clock.now())
      if (waiting === undefined) break
      await this.#load(waiting)
    }
    this.#isLoading = false
    this.#armDue()
  }

  /** Reads a waiting message back and hands it to the lane, or ends it when the configuration has moved on. */
  async #load(waiting: Waiting): Promise<void> {
    const { partition, offset } = waiting
    const plan = this.#plan!
    const open = this.ledger.partitions.get(partition)?.open.get(offset)
    const leg = open?.legs.find(({ mapping, state }) => mapping === waiting.mapping && state === 'waiting')
    if (open === undefined || leg === undefined || this.#repeats.has(keyOf(waiting))) return
    const owed: Owed = { partition, offset, receivedAtMs: 0, json: '', legCount: open.legCount, order: leg.order }
    this.#repeats.add(keyOf(waiting))
    const message = await this.#parts.readMessage(partition, offset)
    if (this.#plan !== plan || this.#isClosed) {
      this.#repeats.delete(keyOf(waiting))
      return this.#due.push(this.#parts.clock.now(), waiting)
    }
    const end = (state: 'dropped' | 'discarded', code: string) =>
      this.#append(endOf(owed, waiting.mapping, leg, state, code))
    const mapping = plan.mappings.find(({ id }) => id === waiting.mapping)
    if (!plan.isEnabled) return end('dropped', 'DESTINATION_DISABLED')
    if (mapping === undefined) return end('dropped', 'NO_MATCHING_MAPPING')
    if (message === undefined) return end('discarded', 'WINDOW_EXHAUSTED')
    const left = messageForRetry(plan, message)
    if (left === undefined) return end('dropped', 'FILTERED_BY_RULES')
    owed.json = left.json
    owed.receivedAtMs = message.receivedAtMs
    const pending = this.#legOf(owed, mapping, left, leg)
    if (pending !== undefined) this.#lane!.offer(pending)
  }

  /** The destination is back: nobody waits longer than needed. */
  #repeatNow(): void {
    const nowMs = this.#parts.clock.now()
    for (const { item } of this.#due.drain()) this.#due.push(nowMs, item)
    this.#armDue()
  }

  /** The destination is away. Repeats go back to where they can expire, and those whose window is over have ended. */
  #pause(): void {
    const nowMs = this.#parts.clock.now()
    for (const { owed, mapping } of this.#lane!.drainRepeats()) {
      const waiting = { partition: owed.partition, offset: owed.offset, mapping: mapping.id }
      this.#repeats.delete(keyOf(waiting))
      this.#due.push(nowMs, waiting)
    }
    for (const { waiting, open, leg } of this.#waitingLegs()) {
      if (leg.firstAttemptAtMs === 0 || windowEndMs(leg.firstAttemptAtMs, this.#plan!.delivery) > nowMs) continue
      const owed: Owed = { ...waiting, receivedAtMs: 0, json: '', legCount: open.legCount, order: leg.order }
      this.#repeats.add(keyOf(waiting))
      this.#append(endOf(owed, waiting.mapping, leg, 'discarded', leg.code ?? 'INTERNAL'))
    }
  }

  /** What waits in the retry store and is not under way. */
  *#waitingLegs(): Generator<{ waiting: Waiting; open: OpenMessage; leg: Leg }> {
    for (const [partition, books] of this.ledger.partitions) {
      for (const [offset, open] of books.open) {
        for (const leg of open.legs) {
          const waiting = { partition, offset, mapping: leg.mapping }
          if (leg.state === 'waiting' && !this.#repeats.has(keyOf(waiting))) yield { waiting, open, leg }
        }
      }
    }
  }

  // ---- Ends ----------------------------------------------------------------------------------------------------------

  /** Ends everything that is not in flight. */
  #dropAll(code: string): void {
    for (const ticket of this.#dissolveGate()) for (const leg of ticket.legs ?? []) this.#dropLeg(leg, code)
    for (const leg of this.#lane!.drain()) this.#dropLeg(leg, code)
    this.#due.drain()
    for (const { waiting, open, leg } of [...this.#waitingLegs()]) {
      const owed: Owed = { ...waiting, receivedAtMs: 0, json: '', legCount: open.legCount, order: leg.order }
      this.#repeats.add(keyOf(waiting))
      this.#append(endOf(owed, waiting.mapping, leg, 'dropped', code))
    }
  }

  #dropLeg({ owed, mapping, attempt }: PendingLeg, code: string): void {
    this.#append(endOf(owed, mapping.id, { attempt }, 'dropped', code))
  }

  /** Frames that were counted and then found nowhere: once the connection has caught up, what it neither ended nor holds is lost. */
  #settleLost(): void {
    const books = [...this.ledger.partitions.values()]
    const gap = books.find((entry) => entry.gap !== undefined)?.gap
    if (gap === undefined || this.#isSettlingLost || this.#isClosed) return
    for (const feed of this.feeds.values()) if (!feed.isAttached) return
    const count = waitingTotal(this.ledger) - this.#held()
    const settled = () => {
      this.#isSettlingLost = false
      for (const entry of books) entry.gap = undefined
    }
    if (count <= 0) return settled()
    this.#isSettlingLost = true
    const end = gap === 'corrupt' ? lostToCorruption : lostToRetention
    this.#parts.outcomes.appendConnection(this.number, { event: 'lost', count, ...end }, settled)
  }

  /** Messages in hand or in the retry store. */
  #held(): number {
    let held = this.#inHand
    for (const [partition, books] of this.ledger.partitions) {
      const watermark = this.feeds.get(partition)?.watermark
      for (const [offset, open] of books.open) if (isReported(open) && !watermark?.has(offset)) held++
    }
    return held
  }

  /** Where the oldest waiting message of each partition may be found. */
  oldestWaiting(): { partition: number; offset: number }[] {
    if (waitingTotal(this.ledger) === 0) return []
    return [...this.feeds.values()].flatMap(({ partition, books, watermark }) => {
      const offset = Math.min(watermark.low ?? Infinity, ...books.open.keys())
      return offset === Infinity ? [] : [{ partition, offset }]
    })
  }

  /** Stops starting attempts; resolves when those in flight are recorded. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#dueTimer) this.#parts.clock.clear(this.#dueTimer)
    this.#offerRoom()
    await this.#lane?.close()
  }

  /** The connection was deleted: what is in flight ends, what waits is discarded. */
  async remove(): Promise<void> {
    await this.close()
    for (const feed of this.feeds.values()) feed.syncCounted()
    const { received, rejected, duplicate, sourceDropped } = this.ledger
    const waiting = Math.max(0, waitingTotal(this.ledger))
    const body = { event: 'deleted', received: { received, rejected, duplicate, sourceDropped }, waiting } as const
    await new Promise<void>((resolve) => this.#parts.outcomes.appendConnection(this.number, body, resolve))
  }
}

const lostToCorruption = { state: 'dropped', code: 'JOURNAL_CORRUPT' } as const
const lostToRetention = { state: 'discarded', code: 'WINDOW_EXHAUSTED' } as const

/** The end of one message at one mapping without an attempt. */
function endOf(
  owed: Owed,
  mapping: string,
  leg: Pick<Leg, 'attempt'> | undefined,
  state: 'dropped' | 'discarded',
  code: string,
  detail?: string,
): OutcomeGroup {
  const { partition, offset, legCount } = owed
  return {
    partition,
    offsets: [offset, 1],
    state,
    code,
    mapping,
    ...(legCount === 1 ? {} : { legs: legCount }),
    ...(leg === undefined || leg.attempt === 0 ? {} : { attempt: leg.attempt }),
    ...(detail === undefined ? {} : { detail: detail.slice(0, DETAIL_CHARACTERS_MAX) }),
  }
}

/** A user's messages are kept in order by userId, else anonymousId; a hash is enough to tell users apart. */
function orderOf({ parsed }: MessageToSend): string {
  return hash('sha1', `${parsed['userId'] ?? ''}\n${parsed['userId'] ? '' : parsed['anonymousId']}`).slice(0, 16)
}

function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}:${offset}`
}

function keyOf({ partition, offset, mapping }: Waiting): string {
  return `${partition}:${offset}:${mapping}`
}
