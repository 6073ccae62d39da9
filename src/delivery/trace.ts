/** What became of one message at the connections of its source, found by index. */
import type { Journal } from '../journal/index.ts'
import type { Ledger } from './ledger.ts'
import { holdsOffset } from './offset-runs.ts'
import { decodeOutcome, type OutcomeGroup, type OutcomeState } from './outcome-frame.ts'
import { CHUNK_FRAMES, type OutcomeStore } from './outcome-store.ts'

export interface DeliveryTrace {
  connection: number
  /** Decisions and attempts, oldest first. */
  attempts: DeliveryAttempt[]
  /** Where the message stands now. */
  state: OutcomeState
  code?: string
}

export interface DeliveryAttempt {
  atMs: number
  /** How many attempts there had been, this one included; 0 for a decision without one. */
  attempt: number
  state: OutcomeState
  code?: string
  status?: number
  latencyMs?: number
  mapping?: string
  nextTryAtMs?: number
  detail?: string
}

export interface TraceParts {
  journal: Journal
  store: OutcomeStore
  /** The partition of `outcomes`. */
  outcomesPartition: number
  /** Connections of the message's source, deleted ones too. */
  ledgers: readonly Ledger[]
}

interface Said {
  atMs: number
  group: OutcomeGroup
}

export async function traceMessage(parts: TraceParts, partition: number, offset: number): Promise<DeliveryTrace[]> {
  const said = await findGroups(parts, partition, offset)
  return parts.ledgers.flatMap((ledger) => {
    const entries = said.get(ledger.connection) ?? []
    const standing = standingOf(ledger, entries, partition, offset)
    return standing === undefined
      ? []
      : [{ connection: ledger.connection, attempts: entries.map(toAttempt), ...standing }]
  })
}

/** Everything that `outcomes` says about the message, by connection. */
async function findGroups(parts: TraceParts, partition: number, offset: number): Promise<Map<number, Said[]>> {
  const said = new Map<number, Said[]>(parts.ledgers.map(({ connection }) => [connection, []]))
  const chunks = new Set([...said.keys()].flatMap((connection) => parts.store.chunksFor(connection, partition, offset)))
  for (const chunk of [...chunks].sort((a, b) => a - b)) {
    for await (const frame of framesOf(parts, chunk)) {
      const outcome = said.has(frame.source) ? decodeOutcome(frame) : undefined
      if (outcome?.kind !== 'outcomes') continue
      for (const group of outcome.body.groups) {
        if (group.partition !== partition || !holdsOffset(group.offsets, offset)) continue
        said.get(outcome.connection)!.push({ atMs: outcome.timeMs, group })
      }
    }
  }
  return said
}

async function* framesOf({ journal, outcomesPartition }: TraceParts, chunk: number) {
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

function standingOf(
  ledger: Ledger,
  entries: readonly Said[],
  partition: number,
  offset: number,
): { state: OutcomeState; code?: string } | undefined {
  if (entries.length === 0) {
    const books = ledger.partitions.get(partition)
    // Below the cursor and never spoken of: older than the index, or from before the connection.
    if (books === undefined || offset < books.cursor) return undefined
    return ledger.isDeleted ? { state: 'discarded', code: 'CONNECTION_DELETED' } : { state: 'waiting' }
  }
  const last = new Map(entries.map(({ atMs, group }) => [group.mapping ?? '', { atMs, group }]))
  // By their ends: of those that failed the first one says why.
  const groups = [...last.values()]
    .sort((a, b) => a.atMs - b.atMs || ((a.group.mapping ?? '') < (b.group.mapping ?? '') ? -1 : 1))
    .map(({ group }) => group)
  const legs = entries.at(-1)!.group.legs ?? 1
  const waiting = groups.find(({ state }) => state === 'waiting')
  if (waiting !== undefined || groups.length < legs) {
    return ledger.isDeleted ? { state: 'discarded', code: 'CONNECTION_DELETED' } : withCode('waiting', waiting?.code)
  }
  const end =
    groups.find(({ state }) => state === 'discarded') ?? groups.find(({ state }) => state === 'delivered') ?? groups[0]!
  return withCode(end.state, end.code)
}

function withCode(state: OutcomeState, code: string | undefined): { state: OutcomeState; code?: string } {
  return code === undefined ? { state } : { state, code }
}

function toAttempt({ atMs, group }: Said): DeliveryAttempt {
  const { state, mapping, code, attempt = 0, status, latencyMs, nextTryAtMs, detail } = group
  const entry: DeliveryAttempt = { atMs, attempt, state }
  if (code !== undefined) entry.code = code
  if (status !== undefined) entry.status = status
  if (latencyMs !== undefined) entry.latencyMs = latencyMs
  if (mapping !== undefined && mapping !== '') entry.mapping = mapping
  if (nextTryAtMs !== undefined) entry.nextTryAtMs = nextTryAtMs
  if (detail !== undefined) entry.detail = detail
  return entry
}
