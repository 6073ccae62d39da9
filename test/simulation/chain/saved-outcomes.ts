/**
 * What delivery keeps in its database, in memory: a kill leaves the last checkpoint, a power cut any since the last one that was
 * synced, or nothing at all. Each checkpoint is whole.
 */
import type { DeadLetter, DeadLetterFilter, DeadMessage, OutcomeStore } from '../../../src/delivery/index.ts'
import { ledgerFromJson, ledgerToJson, type Ledger, type OpenMessage } from '../../../src/delivery/ledger.ts'
import { eachOffset } from '../../../src/delivery/offset-runs.ts'
import type { Random } from '../../../src/base/seeded-random.ts'
import type { Process } from '../scheduler.ts'

interface Checkpoint {
  journalId: string
  covered: number
  /** JSON by connection. */
  ledgers: Map<number, string>
  /** JSON by `connection partition offset`. */
  open: Map<string, string>
  /** Offsets of `outcomes` by `connection partition offset`. */
  places: Map<string, number[]>
  letters: Map<string, DeadLetter & { connection: number }>
}

export class SavedOutcomes {
  /** Oldest first; the first one is synced, the last one is what a reader of the database sees. */
  #versions: Checkpoint[] = []

  losePower(random: Random, mayLoseAll: boolean): void {
    if (mayLoseAll && random.chance(0.2)) this.loseAll()
    else this.#versions = this.#versions.slice(0, 1 + random.integer(this.#versions.length))
  }

  loseAll(): void {
    this.#versions = []
  }

  /** The database as one process has it: nothing is written once that is dead. */
  open(process: Process): OutcomeStore {
    const current = (): Checkpoint | undefined => this.#versions.at(-1)
    type Letters = Checkpoint['letters']
    const noted: { places: [string, number][]; letters: ((letters: Letters) => void)[] } = { places: [], letters: [] }
    const push = (version: Checkpoint): void => {
      if (process.isAlive) this.#versions.push(version)
    }
    return {
      load(journalId) {
        const saved = current()
        if (saved === undefined || saved.journalId !== journalId) return undefined
        const ledgers = new Map([...saved.ledgers].map(([number, json]) => [number, ledgerFromJson(JSON.parse(json))]))
        for (const [key, json] of saved.open) {
          const [connection, partition, offset] = key.split(' ').map(Number) as [number, number, number]
          ledgers
            .get(connection)
            ?.partitions.get(partition)
            ?.open.set(offset, JSON.parse(json) as OpenMessage)
        }
        return { covered: saved.covered, ledgers: [...ledgers.values()] }
      },
      reset() {
        noted.places = []
        noted.letters = []
        push({ ...empty(), journalId: '' })
      },
      index(outcome, offset) {
        if (outcome.kind !== 'outcomes') return
        for (const group of outcome.body.groups) {
          const { partition, state, mapping = '', code = '', status, attempt = 0, detail } = group
          eachOffset(group.offsets, (at) => {
            const key = `${outcome.connection} ${partition} ${at}`
            noted.places.push([key, offset])
            if (group.again !== undefined)
              noted.letters.push((letters) => {
                for (const each of letters.keys()) if (each.startsWith(`${key} `)) letters.delete(each)
              })
            if (state !== 'discarded') return
            const place = { connection: outcome.connection, partition, offset: at, mapping }
            const letter = { ...place, code, status, attempts: attempt, atMs: outcome.timeMs, detail }
            noted.letters.push((letters) => letters.set(`${key} ${mapping}`, letter))
          })
        }
      },
      tally: () => undefined,
      history: () => ({ buckets: [], latencyMs: undefined }),
      save(journalId, covered, ledgers) {
        const before = current() ?? empty()
        const next: Checkpoint = {
          journalId,
          covered,
          ledgers: new Map(before.ledgers),
          open: new Map(before.open),
          places: new Map(before.places),
          letters: new Map(before.letters),
        }
        for (const ledger of ledgers) saveLedger(next, ledger)
        for (const [key, offset] of noted.places) next.places.set(key, [...(next.places.get(key) ?? []), offset])
        for (const write of noted.letters) write(next.letters)
        noted.places = []
        noted.letters = []
        push(next)
      },
      flush: () => {
        if (process.isAlive) this.#versions = this.#versions.slice(-1)
      },
      chunksFor(connection, partition, offset) {
        const key = `${connection} ${partition} ${offset}`
        const saved = current()?.places.get(key) ?? []
        const offsets = [...saved, ...noted.places.filter(([other]) => other === key).map(([, at]) => at)]
        const chunkFrames = 256
        return [...new Set(offsets.map((at) => Math.floor(at / chunkFrames)))]
          .sort((a, b) => a - b)
          .map((n) => n * chunkFrames)
      },
      deadLetters: (connection, filter, limit) => lettersIn(current(), connection, filter).slice(0, limit),
      deadMessages: (connection, filter, after, limit) =>
        deadMessagesIn(current(), connection, filter)
          .filter(({ offset }) => offset > after.offset)
          .slice(0, limit),
      countDeadMessages: (connection, filter) => deadMessagesIn(current(), connection, filter).length,
      expire: () => {
        const counts = new Map<number, Set<number>>()
        for (const { connection, offset } of current()?.letters.values() ?? [])
          counts.set(connection, (counts.get(connection) ?? new Set()).add(offset))
        return new Map([...counts].map(([connection, offsets]) => [connection, offsets.size]))
      },
      close() {},
    }
  }
}

function lettersIn(checkpoint: Checkpoint | undefined, connection: number, filter: DeadLetterFilter) {
  return [...(checkpoint?.letters.values() ?? [])].filter(
    (letter) =>
      letter.connection === connection &&
      (filter.codes?.includes(letter.code) ?? true) &&
      letter.atMs >= (filter.fromMs ?? 0) &&
      letter.atMs < (filter.toMs ?? Infinity),
  )
}

/** The simulated world has one partition. Of several mappings the one that failed first gives the code. */
function deadMessagesIn(
  checkpoint: Checkpoint | undefined,
  connection: number,
  filter: DeadLetterFilter,
): DeadMessage[] {
  const wanted = new Set(lettersIn(checkpoint, connection, filter).map(({ offset }) => offset))
  const all = lettersIn(checkpoint, connection, {}).filter(({ offset }) => wanted.has(offset))
  const byOffset = Map.groupBy(all, ({ offset }) => offset)
  return [...byOffset]
    .sort(([a], [b]) => a - b)
    .map(([offset, letters]) => {
      const [first, ...others] = letters.sort((a, b) => a.atMs - b.atMs || (a.mapping < b.mapping ? -1 : 1))
      // A group has at least one.
      const { partition, code } = first!
      return { partition, offset, code, mappings: [first!, ...others].map(({ mapping }) => mapping) }
    })
}

function empty(): Checkpoint {
  return {
    journalId: '',
    covered: 0,
    ledgers: new Map(),
    open: new Map(),
    places: new Map(),
    letters: new Map(),
  }
}

/** As the real one does: the ledger whole, of its open messages those that have changed. */
function saveLedger(checkpoint: Checkpoint, ledger: Ledger): void {
  checkpoint.ledgers.set(ledger.connection, JSON.stringify(ledgerToJson(ledger, { withOpen: false })))
  for (const [partition, books] of ledger.partitions) {
    for (const offset of books.changed) {
      const key = `${ledger.connection} ${partition} ${offset}`
      const open = books.open.get(offset)
      if (open === undefined) checkpoint.open.delete(key)
      else checkpoint.open.set(key, JSON.stringify(open))
    }
    books.changed.clear()
  }
}
