/** The accounting of one source at one warehouse (`design.md` §3): what its cursor's ledger says, and what waits behind it. */
import type { Clock } from '../base/clock.ts'
import type { Journal } from '../journal/index.ts'
import type { SourceSnapshot, WarehouseSnapshot } from '../store/index.ts'
import { addLedger, emptyLedger, ledgerTotal, type Ledger } from './ledger.ts'
import type { SourceCursor } from './read-events.ts'
import type { WarehouseSync } from './sync.ts'

/** received = rejected + duplicate + dropped + delivered + discarded + waiting, always. */
export interface ConnectionStatus {
  source: string
  warehouse: string
  received: number
  rejected: Record<string, number>
  duplicate: number
  dropped: Record<string, number>
  delivered: number
  discarded: Record<string, number>
  waiting: number
  deadLetters: 0
  oldestWaitingSeconds: number
}

interface Parts {
  journal: Journal
  clock: Clock
  warehouse: WarehouseSnapshot
  source: SourceSnapshot
  sync: WarehouseSync
}

/** Counts what waits by reading the frames behind the cursor. */
export async function statusOf({ journal, clock, warehouse, source, sync }: Parts): Promise<ConnectionStatus> {
  const sum: Ledger = emptyLedger(0)
  let waiting = 0
  let oldestMs = Number.POSITIVE_INFINITY
  for (const cursor of await sync.cursorsOf(source)) {
    // One moment for both terms: a load that ends while frames are counted must not change the sum.
    addLedger(sum, cursor.ledger)
    const behind = await readBehind(journal, source, { ...cursor })
    waiting += behind.count
    oldestMs = Math.min(oldestMs, behind.oldestMs)
  }
  const { delivered, rejected, duplicate, dropped, discarded } = sum
  return {
    source: source.slug,
    warehouse: warehouse.slug,
    received: ledgerTotal(sum) + waiting,
    rejected,
    duplicate,
    dropped,
    delivered,
    discarded,
    waiting,
    deadLetters: 0,
    oldestWaitingSeconds: waiting === 0 ? 0 : Math.max(0, (clock.now() - oldestMs) / 1000),
  }
}

const READ_BYTES = 4 * 1024 * 1024

/** Messages of the source behind the cursor. Running totals count those that a gap has swallowed too. */
async function readBehind(
  journal: Journal,
  source: SourceSnapshot,
  { partition, offset, ledger }: SourceCursor,
): Promise<{ count: number; oldestMs: number }> {
  const end = await journal.durableEnd('events', partition)
  if (offset >= end) return { count: 0, oldestMs: Number.POSITIVE_INFINITY }
  const reader = await journal.openReader('events', partition, offset)
  let seen = 0
  let newestTotal = 0
  let oldestMs = Number.POSITIVE_INFINITY
  try {
    while (reader.offset < end) {
      const items = await reader.read(READ_BYTES)
      if (items.length === 0) break
      for (const item of items) {
        if (item.type === 'gap' || item.source !== source.number) continue
        seen += 1
        newestTotal = item.sourceTotal
        oldestMs = Math.min(oldestMs, item.timeMs)
      }
    }
  } finally {
    await reader.close()
  }
  const counted = ledger.sourceTotal === null || newestTotal === 0 ? seen : newestTotal - ledger.sourceTotal
  return { count: Math.max(0, counted), oldestMs }
}
