/**
 * The room's owner: recovers what was known, keeps the connections in line with the configuration, runs the dispatcher, and
 * writes checkpoints.
 */
import { assert } from '../base/assert.ts'
import { sleep, type Clock, type TimerHandle } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Registry } from '../base/metrics.ts'
import type { Journal } from '../journal/index.ts'
import type { DestinationDefinition, SendRequest } from '../kit/index.ts'
import type { JsonObject } from '../protocol/index.ts'
import type { DestinationSnapshot, SealedJson, Snapshot, SnapshotSource } from '../snapshot/index.ts'
import { catchUp, countUp, type CatchUpParts } from './catch-up.ts'
import { cloudModeOf } from './cloud-mode.ts'
import { Connection } from './connection.ts'
import { exportMetrics } from './delivery-metrics.ts'
import { createDispatcher, Stream, type Dispatcher, type Member } from './dispatcher.ts'
import { EventMessage } from './event-message.ts'
import type { BucketSeconds, History } from './history.ts'
import { createLedger, type Ledger, type Redelivery } from './ledger.ts'
import type { DeadLetterFilter } from './outcome-frame.ts'
import { createOutcomeLog, type OutcomeLog } from './outcome-log.ts'
import type { DeadLetter, OutcomeStore } from './outcome-store.ts'
import { compilePlan } from './plan.ts'
import { recount } from './recount.ts'
import { countDeadMessages, end, redeliver, type RedeliveryParts } from './redelivery.ts'
import { recover, stateToJson } from './recover.ts'
import { statusOf, type ConnectionStatus } from './status.ts'
import { traceMessage, type DeliveryTrace } from './trace.ts'

export interface DeliveryOptions {
  journal: Journal
  snapshots: SnapshotSource
  clock: Clock
  /** From 0 up to 1. */
  random: () => number
  log: Logger
  metrics?: Registry
  /** Whoever opened it closes it, after `stop`. */
  store: OutcomeStore
  /** The partition of `outcomes` that this process alone writes. */
  partition: number
  /** A random id. */
  newId: () => string
  definitionOf: (type: string) => Promise<DestinationDefinition>
  /** Requests of one connection; nothing of its connection pool is shared with another. */
  makeSendRequest: (options: { connection: number; timeoutMs: number }) => SendRequest
  /** Settings with their secrets in the clear. */
  openSettings: (sealed: SealedJson) => JsonObject
  /** A promise of our own was broken or the journal failed: the process must stop and recover. */
  onFailed: (error: unknown) => void
}

export interface Delivery {
  start(): Promise<void>
  /** Instead of `start`: recovers and counts so that questions can be answered, and sends nothing. */
  open(): Promise<void>
  /** Finishes what is in flight, within five seconds, and writes a checkpoint. */
  stop(): Promise<void>
  /** The accounting of every connection there is or was. */
  status(): Promise<ConnectionStatus[]>
  /** Every decision and attempt for one message of `events`, and where it stands, for each connection of its source. */
  trace(source: number, partition: number, offset: number): Promise<DeliveryTrace[]>
  /** What the journal contradicts of the accounting, as sentences; reads all of `events` and `outcomes` that is kept. */
  recount(): Promise<string[]>
  /** Everything below is no longer needed by any connection, save the retry stores, which read single messages. */
  lowWatermark(partition: number): number
  /** When a message was last delivered, by any connection; undefined when never. */
  lastDeliveredAt(): number | undefined
  /** Newest first. */
  deadLetters(connection: number, filter: DeadLetterFilter, limit: number): Promise<KeptDeadLetter[]>
  /** What became of the messages of a connection over time; up to half a second behind. */
  history(connection: number, seconds: BucketSeconds, fromMs: number, toMs: number): History
  /** How many messages a redelivery with this filter would take now. */
  countDeadMessages(connection: number, filter: DeadLetterFilter): Promise<number>
  /** Orders a redelivery and resolves when that is durable. Throws `unknown_destination`,
   *  `destination_disabled`, `redelivery_running`. */
  redeliver(connection: number, order: { filter: DeadLetterFilter; messagesPerSecond?: number }): Promise<Redelivery>
  /** Oldest first, at most `REDELIVERIES_MAX`. */
  redeliveries(connection: number): Redelivery[]
  /** What it has taken goes on. False when it does not run. */
  cancelRedelivery(connection: number, id: string): Promise<boolean>
}

/** `message` is empty when its payload is gone. */
export interface KeptDeadLetter extends DeadLetter {
  message: { messageId?: string; type?: string; event?: string }
}

const CHECKPOINT_MS = 500
const FIND_PARTITIONS_MS = 500
const EXPIRE_MS = 3_600_000
const STOP_MS = 5_000
const PLAN_RETRY_MS = 10_000
/** Bytes of messages in memory, all connections together; each has its share, and at least enough for a batch of large ones. */
const IN_HAND_BYTES_TOTAL_MAX = 128 * 1024 * 1024
const IN_HAND_BYTES_MAX = 16 * 1024 * 1024
const IN_HAND_BYTES_MIN = 512 * 1024
/** `trace` answers for a week; a day more, because the index counts whole days. */
const TRACE_DAYS = 8
const DAY_MS = 86_400_000

export function createDelivery(options: DeliveryOptions): Delivery {
  const { journal, clock, log, store, onFailed } = options
  const snapshots = cloudModeOf(options.snapshots)
  const connections = new Map<number, Connection>()
  /** Connections that were deleted, for the accounting. */
  const closedLedgers = new Map<number, Ledger>()
  const streams = new Map<number, Stream>()
  const planTexts = new Map<number, string>()
  const onAttempt = options.metrics && exportMetrics(options.metrics, () => connections.values())
  let outcomes: OutcomeLog
  let dispatcher: Dispatcher
  let isStopped = false
  let configuring: Promise<void> = Promise.resolve()
  let stopListening: (() => void)[] = []
  const timers = new Set<TimerHandle>()
  const counting = new Set<Promise<void>>()
  const catchingUp = new Set<Promise<void>>()
  const removing = new Set<Promise<void>>()
  const redelivering = new Set<Promise<void>>()
  let sends = true
  let lastCheckpoint = ''
  let lastLookMs = -Infinity
  let willLookAgain = false
  let caughtUpOnce: Promise<void> = Promise.resolve()

  async function start(): Promise<void> {
    const state = () => stateToJson(outcomes.appliedOffset, allLedgers())
    const recovered = await recover({ journal, partition: options.partition, store, log, checkpoint: state })
    outcomes = createOutcomeLog({
      writer: recovered.writer,
      clock,
      log,
      cursorsOf: (connection) => cursorsOf(ledgerOf(connection)),
      apply(outcome, offset) {
        store.index(outcome, offset)
        connections.get(outcome.connection)?.apply(outcome)
      },
      onFailed,
    })
    // A power cut can leave the mark of `events` behind a cursor until the pipeline has opened it again. Such a cursor waits: to
    // move it back would be to send and count again what it has passed.
    for (const ledger of recovered.ledgers.values()) {
      if (ledger.isDeleted) closedLedgers.set(ledger.connection, ledger)
      else connections.set(ledger.connection, makeConnection(ledger))
    }
    await findPartitions()
    await configure(snapshots.current)
    dispatcher = createDispatcher({ journal, log, streams, findPartitions: lookForPartitions, onFailed })
    stopListening = [snapshots.onChange(reconfigure), journal.onAppend('events', dispatcher.wake)]
    caughtUpOnce = dispatcher.caughtUp()
    if (sends) every(EXPIRE_MS, expire)
    if (sends) resumeRedeliveries()
    every(CHECKPOINT_MS, checkpoint)
    log.info({ connections: connections.size, outcomes: outcomes.appliedOffset }, 'delivery started')
  }

  function after(ms: number, run: () => void): void {
    const timer = clock.after(ms, () => {
      timers.delete(timer)
      run()
    })
    timers.add(timer)
  }

  /** Again `ms` after the last time has ended. */
  function every(ms: number, run: () => void | Promise<void>): void {
    const runAgain = async () => {
      if (isStopped) return
      await run()
      every(ms, run)
    }
    after(ms, () => void runAgain().catch(onFailed))
  }

  // ---- Connections and configuration ---------------------------------------------------------------------------------

  function makeConnection(ledger: Ledger): Connection {
    return new Connection({
      ledger,
      clock,
      random: options.random,
      outcomes,
      readMessage,
      makeRequest: (timeoutMs) => options.makeSendRequest({ connection: ledger.connection, timeoutMs }),
      bytesMax: () =>
        Math.min(IN_HAND_BYTES_MAX, Math.max(IN_HAND_BYTES_MIN, IN_HAND_BYTES_TOTAL_MAX / connections.size)),
      onAttempt: (result, legs) => onAttempt?.(ledger.connection, result, legs.length),
      tally: store.tally,
    })
  }

  async function readMessage(partition: number, offset: number): Promise<EventMessage | undefined> {
    const frame = await journal.readOne('events', partition, offset)
    return frame === undefined || frame.isDamaged ? undefined : new EventMessage(partition, frame)
  }

  async function describe(letter: DeadLetter): Promise<KeptDeadLetter> {
    const message = await readMessage(letter.partition, letter.offset)
    if (message === undefined) return { ...letter, message: {} }
    const { messageId, type, event, name } = message.parsed
    const texts = Object.entries({ messageId, type, event: event ?? name }).filter(([, value]) => value !== undefined)
    return { ...letter, message: Object.fromEntries(texts.map(([key, value]) => [key, String(value)])) }
  }

  function reconfigure(): void {
    configuring = configuring.then(() => configure(snapshots.current)).catch(onFailed)
  }

  async function configure(snapshot: Snapshot): Promise<void> {
    if (isStopped) return
    const wanted = new Set(snapshot.destinations.map(({ number }) => number))
    await Promise.all(
      snapshot.destinations.map((destination) => {
        const connection = connections.get(destination.number) ?? addConnection(destination)
        return configureConnection(connection, destination, snapshot)
      }),
    )
    for (const connection of [...connections.values()]) {
      // Not waited for: what it has in flight may take as long as its requests may, and nobody else's change waits for that.
      if (sends && !wanted.has(connection.number) && !connection.isClosed)
        follow(removing, removeConnection(connection))
    }
  }

  function addConnection(destination: DestinationSnapshot): Connection {
    const connection = makeConnection(createLedger(destination.number, destination.source))
    connections.set(destination.number, connection)
    return connection
  }

  /** A field of a mapping may hold a secret too: a header, say. */
  function openMappings({ mappings, ...destination }: DestinationSnapshot): DestinationSnapshot {
    if (mappings === undefined) return destination
    const open = mappings.map((mapping) => ({ ...mapping, fields: options.openSettings(mapping.fields) }))
    return { ...destination, mappings: open }
  }

  async function configureConnection(
    connection: Connection,
    destination: DestinationSnapshot,
    { settings: deployment }: Snapshot,
  ): Promise<void> {
    connection.ledger.source = destination.source
    for (const stream of streams.values()) join(connection, stream, firstOffsetOf(destination.number, stream.partition))
    const text = JSON.stringify([destination, deployment.delivery])
    if (!sends || planTexts.get(destination.number) === text) return
    try {
      const definition = await options.definitionOf(destination.type)
      const settings = options.openSettings(destination.settings)
      const { delivery } = deployment
      connection.configure(
        compilePlan({ destination: openMappings(destination), definition, settings, delivery, random: options.random }),
      )
      planTexts.set(destination.number, text)
    } catch (error) {
      // Its messages wait in the journal; the others go on.
      log.error({ err: error, connection: destination.number, type: destination.type }, 'a destination cannot be used')
      after(PLAN_RETRY_MS, reconfigure)
    }
  }

  async function removeConnection(connection: Connection): Promise<void> {
    for (const stream of streams.values()) stream.remove(connection)
    await connection.remove()
    connections.delete(connection.number)
    planTexts.delete(connection.number)
    closedLedgers.set(connection.number, connection.ledger)
    log.info({ connection: connection.number }, 'connection deleted')
  }

  // ---- Partitions ----------------------------------------------------------------------------------------------------

  /** Looks into the directory now and then only: the dispatcher asks before each round. */
  async function lookForPartitions(): Promise<void> {
    const nowMs = clock.now()
    if (streams.size > 0 && nowMs - lastLookMs < FIND_PARTITIONS_MS) {
      // Whoever woke us may have written to a new one.
      if (!willLookAgain) after(FIND_PARTITIONS_MS, dispatcher.wake)
      willLookAgain = true
      return
    }
    willLookAgain = false
    lastLookMs = nowMs
    await findPartitions()
  }

  async function findPartitions(): Promise<void> {
    for (const partition of await journal.partitions('events')) {
      if (streams.has(partition)) continue
      const stream = new Stream(partition, await startOf(partition), startCatchUpSoon)
      streams.set(partition, stream)
      for (const destination of snapshots.current.destinations) {
        const connection = connections.get(destination.number)
        if (connection !== undefined) join(connection, stream, firstOffsetOf(destination.number, partition))
      }
    }
  }

  /** Where a connection begins in a partition. */
  function firstOffsetOf(connection: number, partition: number): number {
    const destination = snapshots.current.destinations.find(({ number }) => number === connection)
    return destination?.start[partition] ?? 0
  }

  /** Where the dispatcher begins: where the connection that has counted least stands, or at the end when there is none. */
  async function startOf(partition: number): Promise<number> {
    const counted = snapshots.current.destinations.map(({ number, start }) =>
      Math.max(connections.get(number)?.ledger.partitions.get(partition)?.counted ?? 0, start[partition] ?? 0),
    )
    return counted.length === 0 ? await journal.durableEnd('events', partition) : Math.min(...counted)
  }

  function join(connection: Connection, stream: Stream, start: number): void {
    if (connection.feeds.has(stream.partition)) return
    const member = { connection, feed: connection.addFeed(stream.partition, start, stream) }
    stream.add(member)
    follow(
      counting,
      countUp(member, catchUpParts(connection)).then(() => startCatchUp(member)),
    )
  }

  /** Not at once: the dispatcher has not passed the frame yet for which there was no room, and nobody may think it had. */
  function startCatchUpSoon(member: Member): void {
    queueMicrotask(() => startCatchUp(member))
  }

  function startCatchUp(member: Member): void {
    if (sends) follow(catchingUp, catchUp(member, catchUpParts(member.connection)))
  }

  function catchUpParts(connection: Connection): CatchUpParts {
    const isOver = () => isStopped || connection.isClosed
    return { journal, clock, isStopped: isOver }
  }

  function follow(set: Set<Promise<void>>, work: Promise<void>): void {
    const running = work.catch(onFailed).finally(() => set.delete(running))
    set.add(running)
  }

  // ---- Redeliveries --------------------------------------------------------------------------------------------------

  /** Then the store holds everything that was appended. */
  async function settle(): Promise<void> {
    await outcomes.flushed()
    checkpoint()
  }

  function redeliveryParts(connection: Connection): RedeliveryParts {
    return {
      ledger: connection.ledger,
      store,
      outcomes,
      clock,
      readMessage,
      retryStoreSize: () => connection.retryStoreSize,
      settle,
      isEnabled: () => connection.isEnabled,
      isStopped: () => isStopped || connection.isClosed,
    }
  }

  function resumeRedeliveries(): void {
    for (const connection of connections.values()) {
      const running = connection.ledger.redeliveries.find(({ state }) => state === 'running')
      if (running !== undefined) follow(redelivering, redeliver(redeliveryParts(connection), running))
    }
  }

  function liveConnection(number: number): Connection {
    const connection = connections.get(number)
    if (connection === undefined || connection.isClosed)
      throw new AppError('unknown_destination', 404, 'There is no such destination.')
    return connection
  }

  async function orderRedelivery(
    number: number,
    { filter, messagesPerSecond }: { filter: DeadLetterFilter; messagesPerSecond?: number },
  ): Promise<Redelivery> {
    const connection = liveConnection(number)
    const { ledger } = connection
    if (!connection.isEnabled)
      throw new AppError('destination_disabled', 409, 'The destination is disabled.', {
        hint: 'Enable it first; while it is disabled, messages are dropped.',
      })
    if (ledger.redeliveries.some(({ state }) => state === 'running'))
      throw new AppError('redelivery_running', 409, 'A redelivery of this destination is running.', {
        hint: 'Wait until it has ended, or cancel it.',
      })
    const parts = redeliveryParts(connection)
    await parts.settle()
    // What was discarded in this very millisecond is meant, too.
    const orderedAtMs = clock.now() + 1
    const matched = await countDeadMessages(parts, filter)
    const id = options.newId()
    const order = {
      id,
      orderedAtMs,
      filter,
      matched,
      ...(messagesPerSecond === undefined ? {} : { messagesPerSecond }),
    }
    await new Promise<void>((resolve) => outcomes.appendConnection(number, { event: 'redelivery', order }, resolve))
    const redelivery = ledger.redeliveries.find((each) => each.id === id)
    assert(redelivery !== undefined, 'what was appended has been folded')
    follow(redelivering, redeliver(parts, redelivery))
    return redelivery
  }

  // ---- Checkpoints ---------------------------------------------------------------------------------------------------

  function* allLedgers(): Generator<Ledger> {
    for (const connection of connections.values()) yield connection.ledger
    yield* closedLedgers.values()
  }

  function ledgerOf(connection: number): Ledger | undefined {
    return connections.get(connection)?.ledger ?? closedLedgers.get(connection)
  }

  function syncPositions(): void {
    for (const connection of connections.values()) {
      for (const feed of connection.feeds.values()) feed.syncCounted()
      connection.moveCursors()
    }
  }

  function checkpoint(): void {
    syncPositions()
    const positions = [...streams.values()].map(({ position }) => position)
    const standing = JSON.stringify([outcomes.appliedOffset, positions, [...connections.keys()]])
    if (standing === lastCheckpoint) return
    store.save(journal.id, outcomes.appliedOffset, allLedgers())
    lastCheckpoint = standing
  }

  async function expire(): Promise<void> {
    const nowMs = clock.now()
    const { deadLetterDays } = snapshots.current.settings.retention
    const left = store.expire(nowMs, { deadLetterDays, traceDays: TRACE_DAYS })
    for (const ledger of allLedgers()) ledger.deadLetters = left.get(ledger.connection) ?? 0
    const old = (await journal.segments('outcomes', options.partition)).filter(
      ({ isSealed, lastTimeMs }) => isSealed && lastTimeMs < nowMs - TRACE_DAYS * DAY_MS,
    )
    const end = old.at(-1)?.endOffset
    if (end !== undefined)
      await journal.removeBefore('outcomes', options.partition, Math.min(end, outcomes.appliedOffset))
  }

  // ---- Questions -----------------------------------------------------------------------------------------------------

  async function status(): Promise<ConnectionStatus[]> {
    // Until the dispatcher has passed everything once, some outcomes may be of messages that are not counted again yet.
    await caughtUpOnce
    await Promise.all(counting)
    const ages = await Promise.all([...connections.values()].map(oldestWaitingSeconds))
    const live = [...connections.values()].map(({ ledger }, index) => statusOf(ledger, ages[index] ?? 0))
    return [...live, ...[...closedLedgers.values()].map((ledger) => statusOf(ledger, 0))]
  }

  async function oldestWaitingSeconds(connection: Connection): Promise<number> {
    const times = await Promise.all(
      connection.oldestWaiting().map(async ({ partition, offset }) => {
        const frame = await journal.readOne('events', partition, offset)
        return frame?.timeMs ?? Infinity
      }),
    )
    const oldestMs = Math.min(...times)
    return oldestMs === Infinity ? 0 : Math.max(0, (clock.now() - oldestMs) / 1000)
  }

  /** What is below may be removed for good, so it must not have to be counted again: not even when a power cut takes what the
   *  database had not synced. */
  function lowWatermark(partition: number): number {
    checkpoint()
    store.flush()
    const stream = streams.get(partition)
    if (stream === undefined) return 0
    let low = stream.position
    for (const connection of connections.values()) {
      const feed = connection.feeds.get(partition)
      low = Math.min(low, feed === undefined ? 0 : Math.min(feed.low, feed.books.counted))
    }
    return low
  }

  async function stop(): Promise<void> {
    isStopped = true
    for (const stopOne of stopListening) stopOne()
    for (const timer of timers) clock.clear(timer)
    await configuring
    await dispatcher.stop()
    const closed = Promise.all([...connections.values()].map((connection) => connection.close()))
    const work = [closed, ...counting, ...catchingUp, ...removing, ...redelivering]
    await Promise.race([Promise.all(work), sleep(clock, STOP_MS)])
    await outcomes.close()
    checkpoint()
    log.info({}, 'delivery stopped')
  }

  return {
    start,
    async open() {
      sends = false
      await start()
    },
    stop,
    status,
    async trace(source, partition, offset) {
      syncPositions()
      const ledgers = [...allLedgers()].filter((ledger) => ledger.source === source)
      return await traceMessage({ journal, store, outcomesPartition: options.partition, ledgers }, partition, offset)
    },
    async recount() {
      await caughtUpOnce
      await Promise.all(counting)
      syncPositions()
      const covered = outcomes.appliedOffset
      return await recount({
        journal,
        partition: options.partition,
        ledgers: allLedgers(),
        covered,
        startOf: firstOffsetOf,
      })
    },
    lowWatermark,
    lastDeliveredAt() {
      const lastMs = Math.max(0, ...[...allLedgers()].map(({ lastDeliveredAtMs }) => lastDeliveredAtMs))
      return lastMs === 0 ? undefined : lastMs
    },
    async deadLetters(connection, filter, limit) {
      await settle()
      return await Promise.all(store.deadLetters(connection, filter, limit).map(describe))
    },
    async countDeadMessages(number, filter) {
      const parts = redeliveryParts(liveConnection(number))
      await parts.settle()
      return await countDeadMessages(parts, filter)
    },
    history: (connection, seconds, fromMs, toMs) => store.history(connection, seconds, fromMs, toMs),
    redeliver: orderRedelivery,
    redeliveries: (connection) => ledgerOf(connection)?.redeliveries.map((each) => ({ ...each })) ?? [],
    async cancelRedelivery(number, id) {
      const connection = liveConnection(number)
      if (!connection.ledger.redeliveries.some((each) => each.id === id && each.state === 'running')) return false
      await end(redeliveryParts(connection), id, 'cancelled')
      return true
    },
  }
}

function cursorsOf(ledger: Ledger | undefined): Record<number, number> {
  const cursors: Record<number, number> = {}
  for (const [partition, { cursor }] of ledger?.partitions ?? []) cursors[partition] = cursor
  return cursors
}
