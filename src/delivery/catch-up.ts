import { sleep, type Clock } from '../base/clock.ts'
import { isCall, type Frame, type Gap, type Journal } from '../journal/index.ts'
import type { Member } from './dispatcher.ts'
import { EventMessage } from './event-message.ts'

const READ_BYTES = 256 * 1024
const PAUSE_MS = 20

export interface CatchUpParts {
  journal: Journal
  clock: Clock
  isStopped: () => boolean
}

/** Reads for a connection that is not carried along by the dispatcher, as fast as it has room, until it has caught up. */
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
        if (item.type === 'frame' && item.source === connection.source) await takeUp(item)
        if (isStopped()) return
        pass(item)
      }
      feed.reached(reader.offset)
      if (feed.attachIfCaughtUp()) return
      if (items.length === 0) await sleep(clock, PAUSE_MS)
    }
  } finally {
    await reader.close()
  }

  async function takeUp(frame: Frame): Promise<void> {
    if (!feed.isCountedByDispatcher) connection.count(feed, frame)
    if (!isCall(frame.kind) || frame.isDamaged) return
    if (!connection.canTake()) await connection.room()
    if (!isStopped()) connection.take(feed, new EventMessage(feed.partition, frame))
  }

  function pass(item: Frame | Gap): void {
    if (item.type === 'gap') connection.countGap(feed, item)
    const next = item.type === 'gap' ? item.offset + item.count : item.offset + 1
    if (!feed.isCountedByDispatcher) feed.books.counted = Math.max(feed.books.counted, next)
    feed.reached(next)
  }
}
