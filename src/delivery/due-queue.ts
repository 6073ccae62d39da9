/** A binary heap of things by the time when they are due. */
export class DueQueue<T> {
  readonly #heap: { atMs: number; item: T }[] = []

  get size(): number {
    return this.#heap.length
  }

  /** When the first is due; undefined when there is none. */
  get nextAtMs(): number | undefined {
    return this.#heap[0]?.atMs
  }

  push(atMs: number, item: T): void {
    const heap = this.#heap
    let index = heap.length
    heap.push({ atMs, item })
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (heap[parent]!.atMs <= atMs) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = { atMs, item }
  }

  /** Takes the first that is due at `nowMs`. */
  popDue(nowMs: number): T | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.atMs > nowMs) return undefined
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return first.item
  }

  /** Takes all, in no order. */
  drain(): { atMs: number; item: T }[] {
    return this.#heap.splice(0)
  }

  #sink(entry: { atMs: number; item: T }): void {
    const heap = this.#heap
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++
      if (heap[child]!.atMs >= entry.atMs) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = entry
  }
}
