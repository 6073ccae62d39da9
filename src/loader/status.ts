/** The accounting of one source at one warehouse (`design.md` §3): what its cursor's ledger says, and what waits behind it. */
import type { Clock } from '../base/clock.ts'
import type { Journal } from '../journal/index.ts'
import type { SourceSnapshot, WarehouseSnapshot } from '../snapshot/index.ts'
import { addLedger, emptyLedger, ledgerTotal } from './ledger.ts'
import type { SourceCursor } from './read-events.ts'
import type { WarehouseSync } from './sync.ts'
import type { TailTotals } from './tail-totals.ts'

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
  tails: TailTotals
  clock: Clock
  warehouse: WarehouseSnapshot
  source: SourceSnapshot
  sync: WarehouseSync
}

/** Messages that a cursor has passed stand in its ledger, those behind it are waiting. */
export async function statusOf(parts: Parts): Promise<ConnectionStatus> {
  const { clock, warehouse, source, sync } = parts
  const sum = emptyLedger(0)
  let waiting = 0
  let oldestMs = Number.POSITIVE_INFINITY
  for (const live of await sync.cursorsOf(source)) {
    // A copy: a load that ends in the meantime moves the cursor and its ledger, and the two terms must be of one moment.
    const cursor = { ...live }
    addLedger(sum, cursor.ledger)
    const behind = await readBehind(parts, cursor)
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
    oldestWaitingSeconds: Number.isFinite(oldestMs) ? Math.max(0, (clock.now() - oldestMs) / 1000) : 0,
  }
}

const NOTHING = { count: 0, oldestMs: Number.POSITIVE_INFINITY }

/** Messages of the source behind the cursor. Running totals count those that a gap has swallowed too. */
async function readBehind({ journal, tails, source, sync }: Parts, cursor: SourceCursor): Promise<typeof NOTHING> {
  const { partition, offset, ledger } = cursor
  const total = await tails.totalAt(partition, source.number, Math.min(offset, sync.lowestOffset(partition)))
  if (total === undefined || (ledger.sourceTotal !== null && total <= ledger.sourceTotal)) return NOTHING
  const first = await readFirst(journal, source, cursor)
  if (first === undefined) return NOTHING
  const before = ledger.sourceTotal ?? first.sourceTotal - 1
  return { count: Math.max(0, total - before), oldestMs: first.timeMs }
}

const READ_BYTES = 256 * 1024

async function readFirst(journal: Journal, source: SourceSnapshot, { partition, offset }: SourceCursor) {
  const reader = await journal.openReader('events', partition, offset)
  try {
    for (;;) {
      const items = await reader.read(READ_BYTES)
      if (items.length === 0) return undefined
      for (const item of items) if (item.type === 'frame' && item.source === source.number) return item
    }
  } finally {
    await reader.close()
  }
}
