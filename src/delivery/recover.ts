/** Brings back what delivery knew: the newest checkpoint, of the store or of the topic itself, and the outcomes after it. */
import type { Logger } from '../base/logger.ts'
import type { Journal, PartitionWriter } from '../journal/index.ts'
import { fold } from './fold.ts'
import { createLedger, ledgerFromJson, ledgerToJson, type Ledger } from './ledger.ts'
import { decodeOutcome } from './outcome-frame.ts'
import type { OutcomeStore, SavedState } from './outcome-store.ts'

const READ_BYTES = 1024 * 1024

export interface Recovered {
  writer: PartitionWriter
  ledgers: Map<number, Ledger>
}

export interface RecoverParts {
  journal: Journal
  /** The partition of `outcomes` that this process alone writes. */
  partition: number
  store: OutcomeStore
  log: Logger
  /** State for the head of the topic's next segment. */
  checkpoint: () => unknown
}

/** What `checkpoint` should give: the ledgers and one past the last outcome that they hold. */
export function stateToJson(covered: number, ledgers: Iterable<Ledger>): unknown {
  return { covered, ledgers: [...ledgers].map((ledger) => ledgerToJson(ledger, { withOpen: true })) }
}

export async function recover({ journal, partition, store, log, checkpoint }: RecoverParts): Promise<Recovered> {
  const saved = store.load(journal.id)
  const opened = await journal.openWriter('outcomes', partition, { checkpoint, nextOffsetAtLeast: saved?.covered ?? 0 })
  // The writer wants its tail read; the fold below may have to begin before it or after it.
  for await (const item of opened.tail) void item
  const ofTopic = stateFromJson(opened.checkpoint)
  const isSavedNewest = saved !== undefined && saved.covered >= ofTopic.covered
  const base = isSavedNewest ? saved : ofTopic
  if (!isSavedNewest) adopt(store, ofTopic)
  const ledgers = new Map(base.ledgers.map((ledger) => [ledger.connection, ledger]))
  const indexedTo = isSavedNewest ? saved.covered : await journal.firstOffset('outcomes', partition)
  await replay({ journal, partition, store, log, ledgers, foldedTo: base.covered, indexedTo })
  return { writer: opened.writer, ledgers }
}

function stateFromJson(json: unknown): SavedState {
  if (typeof json !== 'object' || json === null) return { covered: 0, ledgers: [] }
  // Made by `stateToJson`.
  const { covered, ledgers } = json as { covered: number; ledgers: unknown[] }
  return { covered, ledgers: ledgers.map(ledgerFromJson) }
}

/** The store is missing or older than the topic's own checkpoint: it is made anew. */
function adopt(store: OutcomeStore, { ledgers }: SavedState): void {
  store.reset()
  for (const ledger of ledgers) {
    for (const books of ledger.partitions.values()) for (const offset of books.open.keys()) books.changed.add(offset)
  }
}

interface Replay extends Omit<RecoverParts, 'checkpoint'> {
  ledgers: Map<number, Ledger>
  foldedTo: number
  indexedTo: number
}

async function replay({ journal, partition, store, log, ledgers, foldedTo, indexedTo }: Replay): Promise<void> {
  const reader = await journal.openReader('outcomes', partition, Math.min(foldedTo, indexedTo))
  for (;;) {
    const items = await reader.read(READ_BYTES)
    if (items.length === 0) break
    for (const item of items) {
      if (item.type === 'gap' || item.isDamaged) {
        log.warn({ offset: item.offset }, 'outcomes are missing; the messages they spoke of are sent again')
        continue
      }
      const outcome = decodeOutcome(item)
      if (outcome === undefined) continue
      if (item.offset >= indexedTo) store.index(outcome, item.offset)
      if (item.offset >= foldedTo) fold(ledgerFor(ledgers, outcome.connection), outcome, store.tally)
    }
  }
  await reader.close()
}

function ledgerFor(ledgers: Map<number, Ledger>, connection: number): Ledger {
  let ledger = ledgers.get(connection)
  // The source is set when the configuration names the connection.
  if (ledger === undefined) ledgers.set(connection, (ledger = createLedger(connection, 0)))
  return ledger
}
