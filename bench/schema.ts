/** Cost per event in the view that discovers schemas, reading the journal and writing the counts included: one source with one event
 *  name against 1,000 sources with 5, and one source with 5,000; and what it takes when no two messages look alike. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { diskFileSystem } from '../src/base/file-system.ts'
import { silentLogger } from '../src/base/logger.ts'
import { eventKinds, openJournal, type FrameInput, type PartitionWriter } from '../src/journal/index.ts'
import { createSchema } from '../src/schema/index.ts'
import { isShort, median, report, type Row } from './report.ts'
import { sampleEvent } from './sample-event.ts'

const sourcesMany = isShort ? 50 : 1_000
const namesMany = isShort ? 200 : 5_000
/** Between two writes: with 5,000 names one takes some 0.2 s, and the view writes for a 200th of its time (src/schema/schema.ts), so
 *  as many as come in 40 s at 10,000 a second. */
const events = isShort ? 4_000 : 400_000
const rounds = isShort ? 1 : 5
/** Different messages, where there are few: divisible by the numbers of sources and names. */
const different = isShort ? 1_000 : 20_000

interface Load {
  what: string
  /** The n-th event comes again after `different`. */
  isCycle: boolean
  make(n: number): { source: number; event: Record<string, unknown> }
}

const one: Load = {
  what: '1 source, 1 event name',
  isCycle: true,
  make: (n) => ({ source: 1, event: sampleEvent(n) }),
}
const others: (Load & { budget?: number })[] = [
  {
    what: `${sourcesMany.toLocaleString('en')} sources, 5 event names each`,
    budget: 1.1,
    isCycle: true,
    make: (n) => ({ source: 1 + (n % sourcesMany), event: named(n, `Event ${Math.floor(n / sourcesMany) % 5}`) }),
  },
  {
    what: `1 source, ${namesMany.toLocaleString('en')} event names`,
    budget: 1.1,
    isCycle: true,
    make: (n) => ({ source: 1, event: named(n, `Event ${n % namesMany}`) }),
  },
  {
    what: 'every message has a property of its own',
    isCycle: false,
    make: (n) => ({ source: 1, event: { ...sampleEvent(n), properties: { ...propertiesOf(n), [`own_${n}`]: n } } }),
  },
]

const atMs = Date.UTC(2026, 2, 1, 12)

const rows: Row[] = []
for (const other of others) {
  const [base, costs] = await alternately(one, other)
  const ratio = median(costs.map((cost, round) => cost / base[round]!))
  rows.push({
    what: `cost per event: ${other.what}, against ${one.what}`,
    result: ratio.toFixed(2),
    budget: other.budget === undefined ? '' : `≤ ${other.budget}`,
    isMet: other.budget === undefined || ratio <= other.budget,
    note: `${median(costs).toFixed(1)} µs and ${median(base).toFixed(1)} µs an event`,
  })
}
report('Schema discovery', rows)

function named(n: number, event: string): Record<string, unknown> {
  return { ...sampleEvent(n), event }
}

function propertiesOf(n: number): object {
  return sampleEvent(n)['properties'] as object
}

/** Microseconds per event of both, once a round, in turn. */
async function alternately(a: Load, b: Load): Promise<[number[], number[]]> {
  const [bedA, bedB] = [await createBed(a), await createBed(b)]
  try {
    // The first rounds warm up and make the names known.
    for (let round = 0; round < 2; round += 1) for (const bed of [bedA, bedB]) await bed.cost()
    const costs: [number[], number[]] = [[], []]
    for (let round = 0; round < rounds; round += 1) {
      costs[0].push(await bedA.cost())
      costs[1].push(await bedB.cost())
    }
    return costs
  } finally {
    await bedA.end()
    await bedB.end()
  }
}

async function createBed(load: Load) {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-bench-schema-'))
  const journal = await openJournal({
    directory,
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId: randomUUID,
  })
  const { writer, tail } = await journal.openWriter('events', 0, { checkpoint: () => null })
  for await (const _ of tail);
  const schema = createSchema({
    journal,
    path: join(directory, 'schema.sqlite'),
    // It stands still, so that a question reads to the end and writes once.
    clock: { ...systemClock, now: () => atMs },
    log: silentLogger,
    seed: 1,
    sources: async () => new Set(),
  })
  const cycle = load.isCycle ? Array.from({ length: different }, (_, n) => frameOf(load, n)) : undefined
  let next = 0
  return {
    async cost(): Promise<number> {
      await append(writer, next, (n) => cycle?.[n % different] ?? frameOf(load, n))
      next += events
      const startedAt = performance.now()
      const waiting = await schema.ask((reader) => reader.waiting)
      const tookMs = performance.now() - startedAt
      assert.equal(waiting, 0)
      await journal.removeBefore('events', 0, next)
      return (tookMs * 1000) / events
    },
    async end() {
      await schema.stop()
      await journal.close()
      await rm(directory, { recursive: true })
    },
  }
}

async function append(writer: PartitionWriter, from: number, make: (n: number) => FrameInput): Promise<void> {
  for (let done = 0; done < events; done += 500)
    await writer.append(Array.from({ length: Math.min(500, events - done) }, (_, i) => make(from + done + i)))
}

function frameOf(load: Load, n: number): FrameInput {
  const { source, event } = load.make(n)
  return {
    kind: eventKinds.track,
    flags: 0,
    source,
    // All of one hour: a new hour makes new shapes once.
    timeMs: atMs,
    index: 0,
    inputPartition: 0,
    inputOffset: 0,
    sourceTotal: 0,
    body: [Buffer.from(JSON.stringify(event))],
  }
}
