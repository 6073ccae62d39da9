import type { Journal } from '../journal/index.ts'
import type { PipelineStatus } from './consume.ts'
import { decidedOf } from './counters.ts'

const readBytes = 1024 * 1024

/** Messages accepted per source number since its first one, as far as they are durable: the running totals of all partitions of
 *  `received`. Reads the newest segment of each, so a process that can ask the gateway for its totals should do that. */
export async function receivedTotals(journal: Journal): Promise<Record<number, number>> {
  const totals: Record<number, number> = {}
  for (const partition of await journal.partitions('received')) {
    for (const [source, total] of await totalsOf(journal, partition)) totals[source] = (totals[source] ?? 0) + total
  }
  return totals
}

/** Messages per source number that are accepted and not decided yet. `received` must not be older than `status`. */
export function waitingMessages(received: Record<number, number>, status: PipelineStatus): Record<number, number> {
  return Object.fromEntries(
    Object.entries(received).map(([source, total]) => {
      const counts = status.sources[Number(source)]
      return [source, Math.max(0, total - (counts === undefined ? 0 : decidedOf(counts)))]
    }),
  )
}

async function totalsOf(journal: Journal, partition: number): Promise<Map<number, number>> {
  const { base, totals } = await newestCheckpoint(journal, partition)
  const end = await journal.durableEnd('received', partition)
  const reader = await journal.openReader('received', partition, base)
  try {
    while (reader.offset < end) {
      const items = await reader.read(readBytes)
      if (items.length === 0) break
      for (const item of items) if (item.type === 'frame') totals.set(item.source, item.sourceTotal)
    }
  } finally {
    await reader.close()
  }
  return totals
}

/** The newest sound checkpoint of the partition's writer; the beginning of what is kept when there is none. */
async function newestCheckpoint(journal: Journal, partition: number) {
  const totals = new Map<number, number>()
  for (const { baseOffset } of (await journal.segments('received', partition)).reverse()) {
    const checkpoint = await journal.checkpointAt('received', partition, baseOffset)
    if (checkpoint === undefined) continue
    // The gateway's shape: `totals` by source number (gateway/received-topic.ts).
    for (const [source, total] of Object.entries((checkpoint as { totals: Record<string, number> }).totals))
      totals.set(Number(source), total)
    return { base: baseOffset, totals }
  }
  return { base: await journal.firstOffset('received', partition), totals }
}
