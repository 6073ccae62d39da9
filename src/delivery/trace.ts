/** What became of one message at the connections of its source, found by index. */
import type { Frame, Journal } from '../journal/index.ts'
import { holdsOffset } from './offset-runs.ts'
import { decodeOutcome, type OutcomeGroup, type OutcomeState } from './outcome-frame.ts'
import { CHUNK_FRAMES, type OutcomeStore } from './outcome-store.ts'

/** A decision about the message, or an attempt. */
export interface TraceEntry {
  connection: number
  atMs: number
  state: OutcomeState
  mapping?: string
  /** Mappings that the message goes through in all; absent: one. */
  legs?: number
  code?: string
  /** How many attempts there had been, this one included; absent for a decision before any. */
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
  /** Connections of the message's source, deleted ones too. */
  connections: ReadonlySet<number>
}

/** Entries in the order in which they were written. */
export async function traceMessage(parts: TraceParts, partition: number, offset: number): Promise<TraceEntry[]> {
  const { store, connections } = parts
  const chunks = new Set([...connections].flatMap((connection) => store.chunksFor(connection, partition, offset)))
  const entries: TraceEntry[] = []
  for (const chunk of [...chunks].sort((a, b) => a - b)) {
    for await (const frame of framesOf(parts, chunk)) {
      const outcome = connections.has(frame.source) ? decodeOutcome(frame) : undefined
      if (outcome?.kind !== 'outcomes') continue
      for (const group of outcome.body.groups) {
        if (group.partition !== partition || !holdsOffset(group.offsets, offset)) continue
        entries.push(toEntry(outcome.connection, outcome.timeMs, group))
      }
    }
  }
  return entries
}

async function* framesOf({ journal, outcomesPartition }: TraceParts, chunk: number): AsyncGenerator<Frame> {
  const reader = await journal.openReader('outcomes', outcomesPartition, chunk)
  try {
    for (;;) {
      const items = await reader.read(1024 * 1024)
      if (items.length === 0) return
      for (const item of items) {
        if (item.offset >= chunk + CHUNK_FRAMES) return
        if (item.type === 'frame' && !item.isDamaged) yield item
      }
    }
  } finally {
    await reader.close()
  }
}

function toEntry(connection: number, atMs: number, group: OutcomeGroup): TraceEntry {
  const { state, mapping, legs, code, attempt, status, latencyMs, nextTryAtMs, detail } = group
  const entry: TraceEntry = { connection, atMs, state }
  if (mapping !== undefined && mapping !== '') entry.mapping = mapping
  if (legs !== undefined) entry.legs = legs
  if (code !== undefined) entry.code = code
  if (attempt !== undefined) entry.attempt = attempt
  if (status !== undefined) entry.status = status
  if (latencyMs !== undefined) entry.latencyMs = latencyMs
  if (nextTryAtMs !== undefined) entry.nextTryAtMs = nextTryAtMs
  if (detail !== undefined) entry.detail = detail
  return entry
}

/** Where a message stands at one connection after these entries of it, by the rule of the accounting: waiting if any mapping
 *  waits, else discarded if any failed, else delivered if any was, else dropped. */
export function standingOf(entries: readonly TraceEntry[]): { state: OutcomeState; code?: string } {
  const last = [...new Map(entries.map((entry) => [entry.mapping ?? '', entry])).values()]
  const withState = (state: OutcomeState) => last.find((entry) => entry.state === state)
  const isUnfinished = last.length < (entries.at(-1)?.legs ?? 1)
  const found =
    withState('waiting') ?? (isUnfinished ? undefined : (withState('discarded') ?? withState('delivered') ?? last[0]))
  const { state = 'waiting', code } = found ?? {}
  return code === undefined ? { state } : { state, code }
}
