/** Folds the topic `outcomes` into ledgers. Pure, and indifferent to where it starts: a frame folded into a state that already
 *  knows it changes no count. */
import { droppedCodes } from '../protocol/index.ts'
import {
  increment,
  isReported,
  moveCursor,
  partitionOf,
  type Leg,
  type Ledger,
  type OpenMessage,
  type PartitionLedger,
} from './ledger.ts'
import { eachOffset } from './offset-runs.ts'
import type { ConnectionBody, Outcome, OutcomeGroup } from './outcome-frame.ts'

/** Discarded without a payload to keep. */
const codesWithoutPayload = new Set(['WINDOW_EXHAUSTED', 'CONNECTION_DELETED', 'JOURNAL_CORRUPT'])

export function fold(ledger: Ledger, outcome: Outcome): void {
  if (outcome.kind === 'connection') return foldConnection(ledger, outcome.body)
  // The cursors are of the moment before these groups, so they come first. A ledger made from nothing takes them over; what lies
  // below has still to be counted.
  for (const [partition, cursor] of Object.entries(outcome.body.cursors)) {
    moveCursor(partitionOf(ledger, Number(partition), 0), cursor)
  }
  for (const group of outcome.body.groups) foldGroup(ledger, group, outcome.timeMs)
}

function foldConnection(ledger: Ledger, body: ConnectionBody): void {
  if (body.event === 'lost') {
    increment(body.state === 'dropped' ? ledger.dropped : ledger.discarded, body.code, body.count)
    return
  }
  Object.assign(ledger, body.received)
  ledger.isDeleted = true
  if (body.waiting > 0) increment(ledger.discarded, 'CONNECTION_DELETED', body.waiting)
  for (const books of ledger.partitions.values()) {
    for (const offset of books.open.keys()) books.changed.add(offset)
    books.open.clear()
  }
}

function foldGroup(ledger: Ledger, group: OutcomeGroup, timeMs: number): void {
  const books = partitionOf(ledger, group.partition, 0)
  const isSimple = (group.legs ?? 1) === 1 && group.state !== 'waiting'
  if (group.state === 'delivered' && timeMs > ledger.lastDeliveredAtMs) ledger.lastDeliveredAtMs = timeMs
  eachOffset(group.offsets, (offset) => {
    const open = books.open.get(offset)
    if (open === undefined && (offset < books.cursor || books.ended.has(offset))) return
    if ((group.attempt ?? 0) > 1) ledger.retries++
    if (open === undefined && isSimple) endMessage(ledger, books, offset, group.state, group.code)
    else foldLeg(ledger, books, offset, open, group)
  })
}

function foldLeg(
  ledger: Ledger,
  books: PartitionLedger,
  offset: number,
  open: OpenMessage | undefined,
  group: OutcomeGroup,
): void {
  const message = open ?? { legCount: 1, legs: [] }
  if (open === undefined) books.open.set(offset, message)
  books.changed.add(offset)
  message.legCount = group.legs ?? 1
  const leg = legOf(group)
  const index = message.legs.findIndex(({ mapping }) => mapping === leg.mapping)
  if (index < 0) message.legs.push(leg)
  // An end is final, whatever is said later.
  else if (message.legs[index]!.state === 'waiting') message.legs[index] = leg
  if (!isReported(message) || message.legs.some(({ state }) => state === 'waiting')) return
  const { state, code } = endOf(message.legs)
  endMessage(ledger, books, offset, state, code)
}

function legOf(group: OutcomeGroup): Leg {
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
  }
}

/** A message counts once: discarded if any mapping failed, else delivered if any was, else dropped. */
function endOf(legs: readonly Leg[]): Leg {
  const found =
    legs.find(({ state }) => state === 'discarded') ?? legs.find(({ state }) => state === 'delivered') ?? legs[0]
  return found!
}

function endMessage(
  ledger: Ledger,
  books: PartitionLedger,
  offset: number,
  state: OutcomeGroup['state'],
  code = 'INTERNAL',
): void {
  if (books.open.delete(offset)) books.changed.add(offset)
  if (offset >= books.cursor) books.ended.add(offset)
  if (state === 'delivered') ledger.delivered++
  else if (state === 'dropped') increment(ledger.dropped, code)
  else {
    increment(ledger.discarded, code)
    if (hasPayload(code)) ledger.deadLetters++
  }
}

/** Whether a message discarded with this code becomes a dead letter. */
export function hasPayload(code: string): boolean {
  return !codesWithoutPayload.has(code) && !Object.hasOwn(droppedCodes, code)
}
