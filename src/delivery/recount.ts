/** Does the books again from the journal alone and compares: what `doctor` asks. */
import type { Journal } from '../journal/index.ts'
import { countFrame, countGap } from './count.ts'
import { fold } from './fold.ts'
import { createLedger, ledgerFromJson, ledgerToJson, partitionOf, type Counts, type Ledger } from './ledger.ts'
import { decodeOutcome } from './outcome-frame.ts'

const READ_BYTES = 1024 * 1024

export interface RecountParts {
  journal: Journal
  /** The partition of `outcomes`. */
  partition: number
  /** The books as they are; not changed. */
  ledgers: Iterable<Ledger>
  /** One past the last outcome that they hold. */
  covered: number
  /** First offset of a connection in a partition of `events`. */
  startOf: (connection: number, partition: number) => number
}

/** Sentences for what the journal contradicts. What has left the journal is not compared, nor what was damaged after it was
 *  counted. */
export async function recount(parts: RecountParts): Promise<string[]> {
  // Copies, because the books go on while the journal is read.
  const books = [...parts.ledgers].map((ledger) => ledgerFromJson(ledgerToJson(ledger, { withOpen: true })))
  const { covered } = parts
  const again = new Map(books.map(({ connection, source }) => [connection, createLedger(connection, source)]))
  const hasOutcomes = await foldAgain(parts, again, covered)
  const problems: string[] = []
  for (const ledger of books) {
    const counted = again.get(ledger.connection)!
    if (hasOutcomes) problems.push(...compare(ledger, counted, outcomeFields))
    // A deleted connection counts no more, and its last count stands in `outcomes`.
    if (ledger.isDeleted || !(await countAgain(parts, ledger, counted))) continue
    if (corruptOf(counted) <= corruptOf(ledger)) problems.push(...compare(ledger, counted, receivedFields))
  }
  return problems
}

async function foldAgain(
  { journal, partition }: RecountParts,
  again: Map<number, Ledger>,
  covered: number,
): Promise<boolean> {
  if ((await journal.firstOffset('outcomes', partition)) > 0) return false
  const reader = await journal.openReader('outcomes', partition, 0)
  try {
    while (reader.offset < covered) {
      const items = await reader.read(READ_BYTES)
      if (items.length === 0) return false
      for (const item of items) {
        if (item.offset >= covered) return true
        if (item.type === 'gap' || item.isDamaged) return false
        const outcome = decodeOutcome(item)
        const ledger = outcome && again.get(outcome.connection)
        if (outcome && ledger) fold(ledger, outcome)
      }
    }
    return true
  } finally {
    await reader.close()
  }
}

async function countAgain({ journal, startOf }: RecountParts, ledger: Ledger, counted: Ledger): Promise<boolean> {
  counted.received = 0
  for (const [partition, { counted: end }] of ledger.partitions) {
    const start = startOf(ledger.connection, partition)
    if ((await journal.firstOffset('events', partition)) > start) return false
    const books = partitionOf(counted, partition, start)
    const reader = await journal.openReader('events', partition, start)
    try {
      while (reader.offset < end) {
        const items = await reader.read(READ_BYTES)
        if (items.length === 0) return false
        for (const item of items) {
          if (item.offset >= end) break
          // Retention took away what is being read.
          if (item.type === 'gap' && item.reason === 'expired') return false
          if (item.type === 'gap') countGap(books, item)
          else if (item.source === ledger.source) countFrame(counted, books, item)
        }
      }
    } finally {
      await reader.close()
    }
  }
  return true
}

type Field = 'received' | 'rejected' | 'duplicate' | 'sourceDropped' | 'delivered' | 'discarded' | 'dropped'
const receivedFields: Field[] = ['received', 'rejected', 'duplicate', 'sourceDropped']
const outcomeFields: Field[] = ['delivered', 'discarded', 'dropped']

function corruptOf({ sourceDropped }: Ledger): number {
  return sourceDropped['JOURNAL_CORRUPT'] ?? 0
}

function compare(ledger: Ledger, counted: Ledger, fields: Field[]): string[] {
  return fields.flatMap((field) => {
    const [reported, found] = [canonical(ledger[field]), canonical(counted[field])]
    return reported === found
      ? []
      : [`Connection ${ledger.connection}, ${field}: reported ${reported}, the journal says ${found}.`]
  })
}

function canonical(value: number | Counts): string {
  return JSON.stringify(typeof value === 'number' ? value : Object.entries(value).sort())
}
