/** How many messages of each source a partition of `events` holds: the running totals of the newest frames. Read when asked for,
 *  from where the last answer ended, so that asking again costs what is new. One for each warehouse. */
import type { Journal } from '../journal/index.ts'

export interface TailTotals {
  /** Running total of the source at the durable end; undefined when no frame of it was met. Frames before `fromOffset`, the lowest
   *  cursor of all sources, need not be read: they are in the ledgers. */
  totalAt(partition: number, source: number, fromOffset: number): Promise<number | undefined>
}

const READ_BYTES = 4 * 1024 * 1024

interface Tail {
  startOffset: number
  offset: number
  totals: Map<number, number>
}

export function createTailTotals(journal: Journal): TailTotals {
  const tails = new Map<number, Tail>()
  let reading: Promise<unknown> = Promise.resolve()

  async function advance(partition: number, fromOffset: number): Promise<Tail> {
    let tail = tails.get(partition)
    if (tail === undefined || fromOffset < tail.startOffset) {
      tail = { startOffset: fromOffset, offset: fromOffset, totals: new Map() }
      tails.set(partition, tail)
    }
    if (fromOffset > tail.offset) tail.offset = fromOffset
    const end = await journal.durableEnd('events', partition)
    if (tail.offset >= end) return tail
    const reader = await journal.openReader('events', partition, tail.offset)
    try {
      while (reader.offset < end) {
        const items = await reader.read(READ_BYTES)
        if (items.length === 0) break
        for (const item of items) if (item.type === 'frame') tail.totals.set(item.source, item.sourceTotal)
      }
      tail.offset = reader.offset
    } finally {
      await reader.close()
    }
    return tail
  }

  return {
    async totalAt(partition, source, fromOffset) {
      // One after the other: two readings at once would read the same frames twice.
      const turn = reading.then(() => advance(partition, fromOffset))
      reading = turn.catch(() => {})
      return (await turn).totals.get(source)
    },
  }
}
