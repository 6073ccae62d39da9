/** Folds the topic `outcomes` into ledgers. Pure, and indifferent to where it starts: a frame folded into a state that already
 *  knows it changes no count. */
import { droppedCodes } from '../protocol/index.ts'
import type { Tally } from './history.ts'
import {
  increment,
  isReported,
  moveCursor,
  partitionOf,
  REDELIVERIES_MAX,
  type Leg,
  type Ledger,
  type OpenMessage,
  type PartitionLedger,
} from './ledger.ts'
import { eachOffset } from './offset-runs.ts'
import type { ConnectionBody, Outcome, OutcomeGroup } from './outcome-frame.ts'

/** Discarded without a payload to keep. */
const codesWithoutPayload = new Set(['WINDOW_EXHAUSTED', 'CONNECTION_DELETED', 'JOURNAL_CORRUPT'])

/** `tally` hears of each end and each retry that was counted. */
export function fold(ledger: Ledger, outcome: Outcome, tally: Tally = () => undefined): void {
  const { timeMs } = outcome
  if (outcome.kind === 'connection') return foldConnection(ledger, outcome.body, timeMs)
  // The cursors are of the moment before these groups, so they come first. A ledger made from nothing takes them over; what lies
  // below has still to be counted.
  for (const [partition, cursor] of Object.entries(outcome.body.cursors)) {
    moveCursor(partitionOf(ledger, Number(partition), 0), cursor)
  }
  for (const group of outcome.body.groups) foldGroup(ledger, group, timeMs, tally)
}

function foldConnection(ledger: Ledger, body: ConnectionBody, timeMs: number): void {
  switch (body.event) {
    case 'lost':
      return increment(body.state === 'dropped' ? ledger.dropped : ledger.discarded, body.code, body.count)
    case 'redelivery':
      ledger.redeliveries = [...ledger.redeliveries, { ...body.order, state: 'running' as const, taken: 0 }].slice(
        -REDELIVERIES_MAX,
      )
      return
    case 'redeliveryEnded': {
      const redelivery = ledger.redeliveries.find(({ id, state }) => id === body.id && state === 'running')
      if (redelivery !== undefined) Object.assign(redelivery, { state: body.state, endedAtMs: timeMs })
      return
    }
    case 'deleted':
      return foldDeleted(ledger, body)
  }
}

function foldDeleted(ledger: Ledger, body: Extract<ConnectionBody, { event: 'deleted' }>): void {
  Object.assign(ledger, body.received)
  ledger.isDeleted = true
  if (body.waiting > 0) increment(ledger.discarded, 'CONNECTION_DELETED', body.waiting)
  for (const books of ledger.partitions.values()) {
    for (const offset of books.open.keys()) books.changed.add(offset)
    books.open.clear()
  }
}

function foldGroup(ledger: Ledger, group: OutcomeGroup, timeMs: number, tally: Tally): void {
  const books = partitionOf(ledger, group.partition, 0)
  const isSimple = (group.legs ?? 1) === 1 && group.state !== 'waiting'
  if (group.state === 'delivered' && timeMs > ledger.lastDeliveredAtMs) ledger.lastDeliveredAtMs = timeMs
  let retries = 0
  // How many messages ended and how.
  const ends = new Map<string, { end: End; count: number }>()
  const note = (end: End): void => {
    const key = `${end.state} ${end.code}`
    const found = ends.get(key)
    if (found === undefined) ends.set(key, { end, count: 1 })
    else found.count++
  }
  eachOffset(group.offsets, (offset) => {
    const open = books.open.get(offset)
    if (open === undefined && (offset < books.cursor || books.ended.has(offset))) {
      if (group.again === undefined) return
      reopenMessage(ledger, books, offset, group.again, group.redelivery)
    }
    if ((group.attempt ?? 0) > 1) retries++
    if (open === undefined && isSimple) note(endMessage(ledger, books, offset, group.state, group.code))
    else {
      const end = foldLeg(ledger, books, offset, open, group, timeMs)
      if (end !== undefined) note(end)
    }
  })
  ledger.retries += retries
  if (retries > 0) tally(ledger.connection, timeMs, { state: 'retried', code: group.code ?? '', count: retries })
  for (const { end, count } of ends.values()) {
    const latencyMs =
      end.state === 'delivered' && group.receivedAtMs !== undefined ? timeMs - group.receivedAtMs : undefined
    tally(ledger.connection, timeMs, { ...end, count, ...(latencyMs === undefined ? {} : { latencyMs }) })
  }
}

/** How a message counts in the end. */
interface End {
  state: 'delivered' | 'dropped' | 'discarded'
  /** Empty when delivered. */
  code: string
}

/** A dead letter is waiting again. */
function reopenMessage(
  ledger: Ledger,
  books: PartitionLedger,
  offset: number,
  code: string,
  redelivery: string | undefined,
): void {
  books.ended.delete(offset)
  increment(ledger.discarded, code, -1)
  if (ledger.discarded[code] === 0) delete ledger.discarded[code]
  // What retention has removed of the dead letters was taken off already.
  ledger.deadLetters = Math.max(0, ledger.deadLetters - 1)
  const running = ledger.redeliveries.find(({ id }) => id === redelivery)
  if (running !== undefined) running.taken++
}

function foldLeg(
  ledger: Ledger,
  books: PartitionLedger,
  offset: number,
  open: OpenMessage | undefined,
  group: OutcomeGroup,
  timeMs: number,
): End | undefined {
  const message = open ?? { legCount: 1, legs: [] }
  if (open === undefined) books.open.set(offset, message)
  books.changed.add(offset)
  message.legCount = group.legs ?? 1
  const leg = legOf(group, timeMs)
  const index = message.legs.findIndex(({ mapping }) => mapping === leg.mapping)
  if (index < 0) message.legs.push(leg)
  // An end is final, whatever is said later.
  else if (message.legs[index]!.state === 'waiting') message.legs[index] = leg
  if (!isReported(message) || message.legs.some(({ state }) => state === 'waiting')) return undefined
  const { state, code } = endOf(message.legs)
  return endMessage(ledger, books, offset, state, code)
}

function legOf(group: OutcomeGroup, timeMs: number): Leg {
  const attempt = group.attempt ?? 0
  return {
    mapping: group.mapping ?? '',
    state: group.state,
    ...(group.code === undefined ? {} : { code: group.code }),
    attempt,
    step: group.step ?? attempt,
    nextTryAtMs: group.nextTryAtMs ?? 0,
    firstAttemptAtMs: group.firstAttemptAtMs ?? 0,
    ...(group.order === undefined ? {} : { order: group.order }),
    ...(group.state === 'waiting' ? {} : { endedAtMs: timeMs }),
  }
}

/** A message counts once: discarded if any mapping failed, with the code of the one that failed first, else delivered if any
 *  was, else dropped. */
function endOf(legs: readonly Leg[]): Leg {
  const [failed] = legs.filter(({ state }) => state === 'discarded').sort(byEnd)
  // A message has at least one leg.
  return failed ?? legs.find(({ state }) => state === 'delivered') ?? legs[0]!
}

/** The same order as that of `deadMessages` in the store, from which a redelivery takes the code. */
function byEnd(a: Leg, b: Leg): number {
  return (a.endedAtMs ?? 0) - (b.endedAtMs ?? 0) || (a.mapping < b.mapping ? -1 : 1)
}

function endMessage(
  ledger: Ledger,
  books: PartitionLedger,
  offset: number,
  state: OutcomeGroup['state'],
  code = 'INTERNAL',
): End {
  if (books.open.delete(offset)) books.changed.add(offset)
  if (offset >= books.cursor) books.ended.add(offset)
  if (state === 'delivered') {
    ledger.delivered++
    return { state, code: '' }
  }
  if (state === 'dropped') {
    increment(ledger.dropped, code)
    return { state, code }
  }
  increment(ledger.discarded, code)
  if (hasPayload(code)) ledger.deadLetters++
  return { state: 'discarded', code }
}

/** Whether a message discarded with this code becomes a dead letter. */
export function hasPayload(code: string): boolean {
  return !codesWithoutPayload.has(code) && !Object.hasOwn(droppedCodes, code)
}
