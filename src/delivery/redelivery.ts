/**
 * Redelivery: dead letters are put back into the retry store, where they wait for their turn like any message that has failed
 * for now. That somebody ordered it, each message that was taken, and that nothing is left are facts in `outcomes`; so a
 * redelivery goes on after a restart, and a message that was taken is never taken twice.
 */
import { sleep, type Clock } from '../base/clock.ts'
import type { EventMessage } from './event-message.ts'
import type { Ledger, Redelivery } from './ledger.ts'
import type { DeadLetterFilter, OutcomeGroup } from './outcome-frame.ts'
import type { OutcomeLog } from './outcome-log.ts'
import type { DeadMessage, OutcomeStore } from './outcome-store.ts'

/** Messages taken at once. */
const PAGE_MAX = 500
/** Part of the retry store that redeliveries may fill, so that what fails now finds its place, too. */
export const REDELIVERY_ROOM = 5_000
/** Between two pages at a rate, and while there is no room. */
const PAUSE_MS = 250

export interface RedeliveryParts {
  ledger: Ledger
  store: OutcomeStore
  outcomes: OutcomeLog
  clock: Clock
  readMessage: (partition: number, offset: number) => Promise<EventMessage | undefined>
  /** Messages in the retry store now. */
  retryStoreSize: () => number
  /** Resolves when the store holds everything that was appended. */
  settle: () => Promise<void>
  /** While false nothing is taken: it would end as dropped. */
  isEnabled: () => boolean
  isStopped: () => boolean
}

/** Works off one redelivery; resolves when nothing is left of it, when it was cancelled, or when delivery stops. */
export async function redeliver(parts: RedeliveryParts, order: Redelivery): Promise<void> {
  const { ledger, store, clock } = parts
  const filter = boundedBy(order)
  // Then what fails again does so after the order.
  await sleep(clock, Math.min(1_000, Math.max(0, order.orderedAtMs - clock.now())))
  let after = { partition: -1, offset: -1 }
  while (!parts.isStopped() && isRunning(ledger, order.id)) {
    const room = REDELIVERY_ROOM - parts.retryStoreSize()
    if (room <= 0 || !parts.isEnabled()) {
      await sleep(clock, PAUSE_MS)
      continue
    }
    await parts.settle()
    const page = store.deadMessages(ledger.connection, filter, after, Math.min(room, pageSize(order)))
    const last = page.at(-1)
    if (last === undefined) return end(parts, order.id, 'done')
    const startedAtMs = clock.now()
    const groups = await groupsOf(parts, order, page)
    if (parts.isStopped() || !isRunning(ledger, order.id)) return
    if (groups.length > 0) parts.outcomes.append(ledger.connection, groups)
    after = last
    await pause(parts, order, groups.length, startedAtMs)
  }
}

/** Counts what a filter is for. With an event's name each message is read. */
export async function countDeadMessages(
  parts: Pick<RedeliveryParts, 'ledger' | 'store' | 'readMessage'>,
  filter: DeadLetterFilter,
): Promise<number> {
  const { connection } = parts.ledger
  if (filter.event === undefined) return parts.store.countDeadMessages(connection, filter)
  let count = 0
  let after = { partition: -1, offset: -1 }
  for (;;) {
    const page = parts.store.deadMessages(connection, filter, after, PAGE_MAX)
    const last = page.at(-1)
    if (last === undefined) return count
    for (const message of page) if (await fits(parts, message, filter)) count++
    after = last
  }
}

/** Ends a redelivery; what it has taken goes on. */
export function end({ outcomes, ledger }: RedeliveryParts, id: string, state: 'done' | 'cancelled'): Promise<void> {
  return new Promise((resolve) =>
    outcomes.appendConnection(ledger.connection, { event: 'redeliveryEnded', id, state }, resolve),
  )
}

function isRunning(ledger: Ledger, id: string): boolean {
  return ledger.redeliveries.some((each) => each.id === id && each.state === 'running')
}

/** What fails again is a dead letter of after the order, and not taken by it. */
function boundedBy({ filter, orderedAtMs }: Redelivery): DeadLetterFilter {
  return { ...filter, toMs: Math.min(filter.toMs ?? Infinity, orderedAtMs) }
}

function pageSize({ messagesPerSecond }: Redelivery): number {
  if (messagesPerSecond === undefined) return PAGE_MAX
  return Math.min(PAGE_MAX, Math.max(1, Math.floor((messagesPerSecond * PAUSE_MS) / 1000)))
}

async function pause({ clock }: RedeliveryParts, order: Redelivery, taken: number, startedAtMs: number): Promise<void> {
  if (order.messagesPerSecond === undefined) return
  const waitMs = (taken * 1000) / order.messagesPerSecond - (clock.now() - startedAtMs)
  if (waitMs > 0) await sleep(clock, waitMs)
}

async function groupsOf(parts: RedeliveryParts, order: Redelivery, page: DeadMessage[]): Promise<OutcomeGroup[]> {
  const nowMs = parts.clock.now()
  const groups: OutcomeGroup[] = []
  for (const message of page) {
    if (!(await fits(parts, message, order.filter))) continue
    const { partition, offset, code, mappings } = message
    for (const mapping of mappings) {
      groups.push({
        partition,
        offsets: [offset, 1],
        state: 'waiting',
        code: 'REDELIVERY',
        mapping,
        ...(mappings.length === 1 ? {} : { legs: mappings.length }),
        nextTryAtMs: nowMs,
        again: code,
        redelivery: order.id,
      })
    }
  }
  return groups
}

/** A message that cannot be read fits no name. */
async function fits(
  { readMessage }: Pick<RedeliveryParts, 'readMessage'>,
  { partition, offset }: DeadMessage,
  { event }: DeadLetterFilter,
): Promise<boolean> {
  if (event === undefined) return true
  const message = await readMessage(partition, offset)
  return message !== undefined && (message.parsed['event'] ?? message.parsed['name']) === event
}
