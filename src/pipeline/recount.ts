import type { Journal } from '../journal/index.ts'
import type { PipelineStatus } from './consume.ts'
import { PipelineState, type SourceCounts } from './counters.ts'

/** A count that the journal contradicts. */
export interface CountDifference {
  source: number
  /** `processed`, `duplicate`, `rejected CODE` or `dropped CODE`. */
  what: string
  reported: number
  /** What the frames come to. */
  counted: number
}

const readBytes = 1024 * 1024

/** Counts again from the oldest checkpoint that is kept, frame by frame, up to where `status` stands, and returns what differs. */
export async function recount(journal: Journal, partition: number, status: PipelineStatus): Promise<CountDifference[]> {
  let counted = await countFrom(journal, partition, 0, status.eventsEnd)
  while ('keptFrom' in counted) counted = await countFrom(journal, partition, counted.keptFrom, status.eventsEnd)
  return differencesOf(status.sources, counted.state.counts())
}

/** Counts from the oldest checkpoint at or after `from`. Retention may take away what is being read; what is kept then begins at
 *  `keptFrom`. */
async function countFrom(
  journal: Journal,
  partition: number,
  from: number,
  end: number,
): Promise<{ state: PipelineState } | { keptFrom: number }> {
  const { base, state } = await oldestCheckpoint(journal, partition, from)
  const reader = await journal.openReader('events', partition, base)
  try {
    while (reader.offset < end) {
      const items = await reader.read(readBytes)
      if (items.length === 0) break
      for (const item of items) {
        if (item.offset >= end) break
        if (item.type === 'gap' && item.reason === 'expired') return { keptFrom: item.offset + item.count }
        if (item.type === 'gap') state.foldGap()
        else state.foldFrame(item)
      }
    }
  } finally {
    await reader.close()
  }
  return { state }
}

async function oldestCheckpoint(
  journal: Journal,
  partition: number,
  from: number,
): Promise<{ base: number; state: PipelineState }> {
  for (const { baseOffset } of await journal.segments('events', partition)) {
    if (baseOffset < from) continue
    const checkpoint = await journal.checkpointAt('events', partition, baseOffset)
    if (checkpoint !== undefined) return { base: baseOffset, state: PipelineState.fromCheckpoint(checkpoint) }
  }
  const base = Math.max(from, await journal.firstOffset('events', partition))
  return { base, state: new PipelineState() }
}

function differencesOf(
  reported: Record<number, SourceCounts>,
  counted: Record<number, SourceCounts>,
): CountDifference[] {
  const sources = new Set([...Object.keys(reported), ...Object.keys(counted)].map(Number))
  return [...sources].flatMap((source) => {
    const one = termsOf(reported[source])
    const other = termsOf(counted[source])
    return [...new Set([...one.keys(), ...other.keys()])]
      .map((what) => ({ source, what, reported: one.get(what) ?? 0, counted: other.get(what) ?? 0 }))
      .filter((difference) => difference.reported !== difference.counted)
  })
}

function termsOf(counts: SourceCounts | undefined): Map<string, number> {
  const terms = new Map<string, number>()
  if (counts === undefined) return terms
  terms.set('processed', counts.processed)
  terms.set('duplicate', counts.duplicate)
  for (const [code, count] of Object.entries(counts.rejected)) terms.set(`rejected ${code}`, count)
  for (const [code, count] of Object.entries(counts.dropped)) terms.set(`dropped ${code}`, count)
  return terms
}
