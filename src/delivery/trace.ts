/** What became of one message at the connections of its source, found by index. */
import type { Journal } from '../journal/index.ts'
import { holdsOffset } from './offset-runs.ts'
import { decodeOutcome, type OutcomeGroup } from './outcome-frame.ts'
import { CHUNK_FRAMES, type OutcomeStore } from './outcome-store.ts'

export interface TraceEntry {
  connection: number
  atMs: number
  state: OutcomeGroup['state']
  mapping?: string
  code?: string
  attempt?: number
  status?: number
  latencyMs?: number
  nextTryAtMs?: number
  detail?: string
}

export interface TraceParts {
  journal: Journal
  store: OutcomeStore
  /** The partition of `outcomes`. */
  outcomesPartition: number
}

/** Entries in the order in which they were written. */
export async function traceMessage(
  { journal, store, outcomesPartition }: TraceParts,
  connections: readonly number[],
  partition: number,
  offset: number,
): Promise<TraceEntry[]> {
  const chunks = new Set(connections.flatMap((connection) => store.chunksFor(connection, partition, offset)))
  const entries: TraceEntry[] = []
  for (const chunk of [...chunks].sort((a, b) => a - b)) {
    const reader = await journal.openReader('outcomes', outcomesPartition, chunk)
    try {
      while (reader.offset < chunk + CHUNK_FRAMES) {
        const items = await reader.read(1024 * 1024)
        if (items.length === 0) break
        for (const item of items) {
          if (item.type === 'gap' || item.isDamaged || item.offset >= chunk + CHUNK_FRAMES) continue
          if (!connections.includes(item.source)) continue
          const outcome = decodeOutcome(item)
          if (outcome?.kind !== 'outcomes') continue
          for (const group of outcome.body.groups) {
            if (group.partition !== partition || !holdsOffset(group.offsets, offset)) continue
            entries.push(toEntry(outcome.connection, outcome.timeMs, group))
          }
        }
      }
    } finally {
      await reader.close()
    }
  }
  return entries
}

function toEntry(connection: number, atMs: number, group: OutcomeGroup): TraceEntry {
  const { state, mapping, code, attempt, status, latencyMs, nextTryAtMs, detail } = group
  const entry: TraceEntry = { connection, atMs, state }
  if (mapping !== undefined && mapping !== '') entry.mapping = mapping
  if (code !== undefined) entry.code = code
  if (attempt !== undefined) entry.attempt = attempt
  if (status !== undefined) entry.status = status
  if (latencyMs !== undefined) entry.latencyMs = latencyMs
  if (nextTryAtMs !== undefined) entry.nextTryAtMs = nextTryAtMs
  if (detail !== undefined) entry.detail = detail
  return entry
}
