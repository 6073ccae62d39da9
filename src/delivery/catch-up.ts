/** What a connection reads for itself, because the dispatcher is ahead of it. */
import { sleep, type Clock } from '../base/clock.ts'
import { isCall, type Journal } from '../journal/index.ts'
import type { Member } from './dispatcher.ts'
import { EventMessage } from './event-message.ts'

const READ_BYTES = 256 * 1024
const PAUSE_MS = 20

export interface CatchUpParts {
  journal: Journal
  clock: Clock
  isStopped: () => boolean
}

/** Counts what the dispatcher passed before it knew the connection. Does not wait for room: the books are right at any moment. */
export async function countUp(
  { connection, feed }: Member,
  { journal, clock, isStopped }: CatchUpParts,
): Promise<void> {
  if (feed.countIfCaughtUp()) return
  const { books, partition } = feed
  const reader = await journal.openReader('events', partition, books.counted)
  try {
    while (!isStopped() && !feed.countIfCaughtUp()) {
      const items = await reader.read(READ_BYTES)
      // The dispatcher may have counted on from here in the meantime: each of the calls below takes a frame once.
      for (const item of items) {
        if (item.type === 'gap') connection.countGap(feed, item)
        else if (item.source === connection.source) connection.count(feed, item)
      }
      books.counted = Math.max(books.counted, reader.offset)
      if (items.length === 0) await sleep(clock, PAUSE_MS)
    }
  } finally {
    await reader.close()
  }
}

/** Takes up messages as fast as there is room, until the dispatcher can carry the connection along. */
export async function catchUp(
  { connection, feed }: Member,
  { journal, clock, isStopped }: CatchUpParts,
): Promise<void> {
  if (feed.attachIfCaughtUp()) return
  await connection.room()
  const reader = await journal.openReader('events', feed.partition, feed.next)
  try {
    while (!isStopped()) {
      const items = await reader.read(READ_BYTES)
      for (const item of items) {
        if (item.type === 'gap') connection.countGap(feed, item)
        else if (item.source === connection.source && isCall(item.kind) && !item.isDamaged) {
          if (!connection.canTake()) await connection.room()
          if (isStopped()) return
          connection.take(feed, new EventMessage(feed.partition, item))
        }
        feed.reached(item.type === 'gap' ? item.offset + item.count : item.offset + 1)
      }
      feed.reached(reader.offset)
      if (feed.attachIfCaughtUp()) return
      if (items.length === 0) await sleep(clock, PAUSE_MS)
    }
  } finally {
    await reader.close()
  }
}
