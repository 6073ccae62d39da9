/**
 * What became of every message of one source at one warehouse (`design.md` §3). It is stored with the cursor, in the transaction of
 * the rows, so that it is exact whatever happens; what lies behind the cursor is `waiting`.
 */
import type { Frame, Gap } from '../journal/index.ts'

export interface Ledger {
  delivered: number
  rejected: Record<string, number>
  duplicate: number
  dropped: Record<string, number>
  discarded: Record<string, number>
  /** Running total of the source's messages as of the newest frame that is counted here; null before the first one, when the
   *  cursor did not begin at the start of the partition. */
  sourceTotal: number | null
}

export function emptyLedger(startOffset: number): Ledger {
  return {
    delivered: 0,
    rejected: {},
    duplicate: 0,
    dropped: {},
    discarded: {},
    sourceTotal: startOffset === 0 ? 0 : null,
  }
}

export function copyLedger(ledger: Ledger): Ledger {
  return {
    ...ledger,
    rejected: { ...ledger.rejected },
    dropped: { ...ledger.dropped },
    discarded: { ...ledger.discarded },
  }
}

/** Reads a ledger back from a cursor that we wrote. */
export function readLedger(stored: unknown, startOffset: number): Ledger {
  // Written by `load` with the cursor; fields of later versions may be missing.
  return { ...emptyLedger(startOffset), ...(stored as Partial<Ledger>) }
}

export function addLedger(sum: Ledger, ledger: Ledger): void {
  sum.delivered += ledger.delivered
  sum.duplicate += ledger.duplicate
  for (const kind of ['rejected', 'dropped', 'discarded'] as const) {
    for (const [code, count] of Object.entries(ledger[kind])) countCode(sum[kind], code, count)
  }
}

/** All messages in the ledger. */
export function ledgerTotal(ledger: Ledger): number {
  const sum = (codes: Record<string, number>) => Object.values(codes).reduce((total, count) => total + count, 0)
  return ledger.delivered + ledger.duplicate + sum(ledger.rejected) + sum(ledger.dropped) + sum(ledger.discarded)
}

export function countCode(codes: Record<string, number>, code: string, count = 1): void {
  codes[code] = (Object.hasOwn(codes, code) ? codes[code]! : 0) + count
}

/** Takes a frame of the source into account that comes after `gap`: how many of the source's messages the gap swallowed
 *  shows in its running total. */
export function countMissing(ledger: Ledger, frame: Frame, gap: Gap['reason'] | undefined): void {
  // A writer that does not count gives zeros.
  if (frame.sourceTotal === 0) return
  if (ledger.sourceTotal !== null) {
    const missing = frame.sourceTotal - ledger.sourceTotal - 1
    if (missing > 0 && gap === 'expired') countCode(ledger.discarded, 'WINDOW_EXHAUSTED', missing)
    else if (missing > 0) countCode(ledger.dropped, 'JOURNAL_CORRUPT', missing)
  }
  ledger.sourceTotal = frame.sourceTotal
}
