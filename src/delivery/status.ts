/** The accounting of a connection, in the words of `status --json` (design: section 3). */
import { endedTotal, sum, waitingTotal, type Counts, type Ledger } from './ledger.ts'

export interface ConnectionStatus {
  connection: number
  /** Number of the source. */
  source: number
  isDeleted: boolean
  received: number
  rejected: Counts
  duplicate: number
  dropped: Counts
  delivered: number
  discarded: Counts
  waiting: number
  deadLetters: number
  oldestWaitingSeconds: number
}

export function statusOf(ledger: Ledger, oldestWaitingSeconds: number): ConnectionStatus {
  const { connection, source, isDeleted, rejected, duplicate, delivered, discarded, deadLetters } = ledger
  return {
    connection,
    source,
    isDeleted,
    // What has ended was received, also while its frame cannot be counted yet: after a power cut `events` may end before it, until
    // the pipeline has opened it again.
    received: Math.max(ledger.received, endedTotal(ledger)),
    rejected: { ...rejected },
    duplicate,
    dropped: add(ledger.sourceDropped, ledger.dropped),
    delivered,
    discarded: { ...discarded },
    waiting: Math.max(0, waitingTotal(ledger)),
    deadLetters,
    oldestWaitingSeconds,
  }
}

/** True when the terms of the sum fit: what every test and `doctor` ask. */
export function addsUp({
  received,
  rejected,
  duplicate,
  dropped,
  delivered,
  discarded,
  waiting,
}: ConnectionStatus): boolean {
  const total = sum(rejected) + duplicate + sum(dropped) + delivered + sum(discarded) + waiting
  return waiting >= 0 && received === total
}

function add(a: Counts, b: Counts): Counts {
  const total = { ...a }
  for (const code in b) total[code] = (total[code] ?? 0) + b[code]!
  return total
}
