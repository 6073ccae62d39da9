/** The received side of a ledger: folds frames of `events` into it. Every frame is counted once, in order, by whichever reader
 *  passes it first (`PartitionLedger.counted`). */
import type { Frame, Gap } from '../journal/index.ts'
import { eventKinds, isCall } from '../journal/index.ts'
import { increment, type Ledger, type PartitionLedger } from './ledger.ts'

/** Counts a frame of the connection's source at or after `books.counted`. */
export function countFrame(ledger: Ledger, books: PartitionLedger, frame: Frame): void {
  countMissing(ledger, books, frame)
  books.counted = frame.offset + 1
  books.lastTotal = frame.sourceTotal
  ledger.received++
  if (frame.isDamaged) return increment(ledger.sourceDropped, 'JOURNAL_CORRUPT')
  if (isCall(frame.kind)) return
  if (frame.kind === eventKinds.duplicate) ledger.duplicate++
  else if (frame.kind === eventKinds.rejected) increment(ledger.rejected, codeOf(frame))
  else increment(ledger.sourceDropped, codeOf(frame))
}

/** A gap says that frames are gone; how many of them were of this source is told by the running total of the next frame. */
export function countGap(books: PartitionLedger, gap: Gap): void {
  books.gap = gap.reason
  books.counted = Math.max(books.counted, gap.offset + gap.count)
}

function countMissing(ledger: Ledger, books: PartitionLedger, frame: Frame): void {
  if (books.lastTotal === undefined || frame.sourceTotal === 0) return
  const missing = frame.sourceTotal - books.lastTotal - 1
  // They count as waiting until the connection has come as far and ends what is nowhere (`Connection.#settleLost`).
  if (missing > 0) ledger.received += missing
}

function codeOf(frame: Frame): string {
  // The body of a decision is JSON of our own making with the code as a string.
  return (JSON.parse(frame.body.toString()) as { code: string }).code
}
