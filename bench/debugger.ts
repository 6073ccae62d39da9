/** What the source debugger costs: an event that it only sees, and all events at 10 k a second with those that it keeps. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { diskFileSystem } from '../src/base/file-system.ts'
import { silentLogger } from '../src/base/logger.ts'
import { createDebugger } from '../src/debugger/index.ts'
import { encodeReceived, eventKinds, openJournal, receivedKinds, type PartitionWriter } from '../src/journal/index.ts'
import { isShort, median, report, type Row } from './report.ts'
import { sampleEvent } from './sample-event.ts'

const eventsPerSecond = 10_000
const batch = 20
/** Few enough at a time that it does not jump over any. */
const eventsPerRound = 8_000
const rounds = isShort ? 2 : 25

const rows: Row[] = []
for (const [what, perSource, budget] of [
  ['an event that is not kept', 0.0001, 1.5],
  [`all events at ${eventsPerSecond.toLocaleString('en')} a second from one source, 50 of them kept`, 50, 5],
] as const) {
  const costs = await costOf(perSource)
  rows.push({
    what,
    result: `${median(costs).toFixed(2)} µs an event`,
    budget: `≤ ${budget} µs`,
    isMet: median(costs) <= budget,
    note: `${((median(costs) * eventsPerSecond) / 10_000).toFixed(1)} % of a core at this rate`,
  })
}
report('Source debugger', rows)

/** Microseconds of processor time per event, once a round. */
async function costOf(perSource: number): Promise<number[]> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-bench-'))
  const journal = await openJournal({
    directory: join(directory, 'journal'),
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId: () => 'a-journal',
  })
  const received = (await journal.openWriter('received', 0, { checkpoint: () => null })).writer
  const events = (await journal.openWriter('events', 0, { checkpoint: () => null })).writer
  const sourceDebugger = createDebugger({
    journal,
    path: join(directory, 'debugger.sqlite'),
    clock: systemClock,
    log: silentLogger,
    sources: async () => new Set([1]),
    limits: { perSource },
  })
  const costs: number[] = []
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    await append(received, events, round * eventsPerRound)
    const before = process.cpuUsage()
    await sourceDebugger.catchUp()
    const { user, system } = process.cpuUsage(before)
    if (round > 0) costs.push((user + system) / eventsPerRound)
  }
  await sourceDebugger.stop()
  await journal.close()
  await rm(directory, { recursive: true })
  return costs
}

async function append(received: PartitionWriter, events: PartitionWriter, from: number): Promise<void> {
  const startMs = systemClock.now() - (systemClock.now() % 1000)
  for (let at = from; at < from + eventsPerRound; at += batch) {
    const messages = Array.from({ length: batch }, (_, i) => sampleEvent(at + i))
    const common = { flags: 0, source: 1, timeMs: startMs + (at * 1000) / eventsPerSecond, sourceTotal: at + batch }
    const body = encodeReceived(
      { route: 'batch', workspace: 1, messageBytesMax: 32_768 },
      Buffer.from(JSON.stringify({ batch: messages })),
    )
    const input = { inputPartition: 0, inputOffset: received.nextOffset }
    await Promise.all([
      received.append([{ ...common, ...input, inputOffset: 0, kind: receivedKinds.request, index: batch, body }]),
      events.append(
        messages.map((message, index) => {
          const sourceTotal = at + index + 1
          return {
            ...common,
            ...input,
            kind: eventKinds.track,
            index,
            sourceTotal,
            body: [Buffer.from(JSON.stringify(message))],
          }
        }),
      ),
    ])
  }
}
