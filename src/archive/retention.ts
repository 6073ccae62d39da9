import { topics, type Journal, type Segment, type Topic } from '../journal/index.ts'

/** One sealed hot segment, and what is known about who still needs it. */
export interface SealedSegment extends Segment {
  topic: Topic
  partition: number
  /** Everybody who reads it has passed it. */
  isPassed: boolean
  /** It has a copy in the cold tier, or needs none. */
  isCopied: boolean
}

/** The sealed segments of one partition, oldest first. */
export type SealedPartition = SealedSegment[]

export interface RetentionRules {
  nowMs: number
  /** How long outcomes are kept after they were folded, for traces. */
  outcomesKeepMs: number
  /** Bytes that the hot journal may have. */
  hotBytesMax: number
}

/** Lists the sealed segments per partition, and the bytes of the whole hot journal. */
export async function listSealed(
  journal: Journal,
  lowWatermark: (topic: Topic, partition: number) => Promise<number>,
): Promise<{ partitions: SealedPartition[]; hotBytes: number }> {
  const partitions: SealedPartition[] = []
  let hotBytes = 0
  for (const topic of topics) {
    for (const partition of await journal.partitions(topic)) {
      const passed = await lowWatermark(topic, partition)
      const segments = await journal.segments(topic, partition)
      hotBytes += segments.reduce((sum, { bytes }) => sum + bytes, 0)
      const sealed = segments.filter(({ isSealed }) => isSealed)
      partitions.push(
        sealed.map((segment) => {
          const isPassed = segment.endOffset <= passed
          return { ...segment, topic, partition, isPassed, isCopied: topic !== 'events' }
        }),
      )
    }
  }
  return { partitions, hotBytes }
}

/** The segments that leave the hot journal now: first those that nobody needs there, then, while it is too large, the oldest
 *  of those that may go although a cursor is behind them. A partition loses its oldest segments only, so one that has to
 *  stay keeps those after it. */
export function segmentsToRemove(
  partitions: readonly SealedPartition[],
  hotBytes: number,
  rules: RetentionRules,
): SealedSegment[] {
  const removed: SealedSegment[] = []
  const left = partitions.map((segments) => {
    const kept = segments.findIndex((segment) => !isDone(segment, rules))
    const doneCount = kept < 0 ? segments.length : kept
    removed.push(...segments.slice(0, doneCount))
    return segments.slice(doneCount)
  })
  let excess = hotBytes - rules.hotBytesMax - removed.reduce((sum, { bytes }) => sum + bytes, 0)
  while (excess > 0) {
    const oldest = left
      .filter(([first]) => first !== undefined && mayGoForRoom(first))
      .sort(([a], [b]) => a!.lastTimeMs - b!.lastTimeMs)[0]
      ?.shift()
    if (oldest === undefined) break
    removed.push(oldest)
    excess -= oldest.bytes
  }
  return removed
}

function isDone(segment: SealedSegment, { nowMs, outcomesKeepMs }: RetentionRules): boolean {
  if (!segment.isPassed || !segment.isCopied) return false
  return segment.topic !== 'outcomes' || segment.lastTimeMs < nowMs - outcomesKeepMs
}

/** `received` waits for the pipeline and `outcomes` for the ledger in any case: what they hold is nowhere else yet. */
function mayGoForRoom(segment: SealedSegment): boolean {
  return segment.topic === 'events' ? segment.isCopied : segment.topic === 'outcomes' && segment.isPassed
}
