import type { PartitionLedger } from './ledger.ts'
import type { Owed } from './owed.ts'
import { Watermark } from './watermark.ts'

/** How one connection stands in one partition of `events`. Attached, it gets its messages from the dispatcher; else it reads
 *  them itself until it has caught up. */
export class Feed {
  readonly partition: number
  readonly books: PartitionLedger
  readonly watermark = new Watermark<Owed>()
  /** Where the dispatcher stands. */
  readonly #stream: { readonly position: number }
  #next: number
  isAttached = false
  /** The dispatcher counts for this connection; else its own reader does until it has caught up. */
  isCountedByDispatcher = false

  constructor(partition: number, books: PartitionLedger, stream: { readonly position: number }) {
    this.partition = partition
    this.books = books
    this.#stream = stream
    this.#next = books.cursor
  }

  /** First offset that the connection has not taken up. */
  get next(): number {
    return this.isAttached ? Math.max(this.#next, this.#stream.position) : this.#next
  }

  /** Where the cursor may stand: everything below is ended or in the retry store. */
  get low(): number {
    return this.watermark.low ?? this.next
  }

  /** Its own reader has taken up everything below `offset`. */
  reached(offset: number): void {
    this.#next = offset
  }

  /** Lets the dispatcher count for it when it has counted as far. */
  countIfCaughtUp(): boolean {
    if (this.books.counted >= this.#stream.position) this.isCountedByDispatcher = true
    return this.isCountedByDispatcher
  }

  /** Lets the dispatcher carry it along when it has come as far. */
  attachIfCaughtUp(): boolean {
    if (this.isCountedByDispatcher && this.#next >= this.#stream.position) this.isAttached = true
    return this.isAttached
  }

  /** The frame at `offset` found no room: from there on it reads for itself. */
  detach(offset: number): void {
    this.isAttached = false
    this.#next = offset
  }

  /** What the dispatcher has passed is counted, whether it held anything for this connection or not. */
  syncCounted(): void {
    if (this.isCountedByDispatcher) this.books.counted = Math.max(this.books.counted, this.#stream.position)
  }
}
