import { assert } from '../base/assert.ts'

/** Messages of one partition that a connection has taken up and that neither ended nor went to the retry store. They come in
 *  ascending order and finish in any; the lowest unfinished one is where the cursor stands. */
export class Watermark<T> {
  #offsets: number[] = []
  #head = 0
  readonly #finished = new Set<number>()
  readonly #taken = new Map<number, T>()

  /** Messages taken up and not finished. */
  get size(): number {
    return this.#taken.size
  }

  /** Lowest unfinished offset; undefined when there is none. */
  get low(): number | undefined {
    return this.#offsets[this.#head]
  }

  has(offset: number): boolean {
    return this.#taken.has(offset)
  }

  take(offset: number, item: T): void {
    const last = this.#offsets.at(-1)
    assert(last === undefined || offset > last, 'messages of a partition are taken up in order')
    this.#offsets.push(offset)
    this.#taken.set(offset, item)
  }

  /** Gives what was taken up with this offset, or undefined when it had finished before. */
  finish(offset: number): T | undefined {
    const item = this.#taken.get(offset)
    if (!this.#taken.delete(offset)) return undefined
    this.#finished.add(offset)
    for (let low = this.low; low !== undefined && this.#finished.delete(low); low = this.low) this.#head++
    // Amortised: each offset is moved at most once for each time the list has doubled.
    if (this.#head > 1024 && this.#head * 2 > this.#offsets.length) {
      this.#offsets = this.#offsets.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
