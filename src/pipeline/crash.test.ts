/** Kills at every kind of moment: the frames of an append are durable in part, wholly, or not at all, and nobody learns of it; the
 *  index has lost what it had not flushed. Whatever comes, each message has exactly one frame in the end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  eventKinds,
  isCall,
  JournalUnavailable,
  type FrameInput,
  type Journal,
  type PartitionWriter,
} from '../journal/index.ts'
import { createDedupeMemory, type DedupeDisk } from './dedupe-memory.ts'
import type { DedupeIndex } from './dedupe.ts'
import { forwardedId } from './forwarder.ts'
import { receivedTotals, waitingMessages } from './received-totals.ts'
import { recount } from './recount.ts'
import { createBed, sourceWith, track, type Bed } from './testing/pipeline-bed.ts'

/** When the pipeline dies: at its `append`th append, after `survive` of the append's frames have become durable. */
interface Death {
  append: number
  survive: number
}

type Append = PartitionWriter['append']

const forwardedPartition = 1_000

/** A journal in which the appends of the pipeline go through `change`: to `events`, and of forwarded events to `received`. */
function withAppend(journal: Journal, change: (append: Append) => Append): Journal {
  return {
    ...journal,
    async openWriter(topic, partition, options) {
      const opened = await journal.openWriter(topic, partition, options)
      if (topic !== 'events' && partition !== forwardedPartition) return opened
      const { writer } = opened
      const append = change((frames) => writer.append(frames))
      return {
        ...opened,
        writer: {
          topic,
          partition,
          append,
          get nextOffset() {
            return writer.nextOffset
          },
          get pendingBytes() {
            return writer.pendingBytes
          },
          get isWritable() {
            return writer.isWritable
          },
          close: () => writer.close(),
        },
      }
    },
  }
}

/** A journal that takes part of an append and then nothing more, as a killed process does. */
function dyingJournal(journal: Journal, death: Death): Journal {
  let appends = 0
  return withAppend(journal, (append) => async (frames) => {
    appends += 1
    if (appends < death.append) return append(frames)
    const kept = appends === death.append ? frames.slice(0, death.survive) : []
    if (kept.length > 0) await append(kept)
    throw new JournalUnavailable('failed', 'killed')
  })
}

/** Forgets at death whatever was not flushed, and flushes only as often as told. */
function forgetfulIndex(disk: DedupeDisk, flushEvery: number): DedupeIndex {
  const index = createDedupeMemory(disk)
  let puts = 0
  return {
    check: (keys) => index.check(keys),
    async put(entries, covered) {
      await index.put(entries, covered)
      puts += 1
      if (puts % flushEvery === 0) await index.flush()
    },
    get covered() {
      return index.covered
    },
    find: (key) => index.find(key),
    flush: () => index.flush(),
    close: async () => undefined,
  }
}

async function runUntilDeath(bed: Bed, death: Death, index: DedupeIndex): Promise<void> {
  const journal = bed.journal
  bed.journal = dyingJournal(journal, death)
  try {
    const pipeline = await bed.start(index)
    await bed.settled(pipeline).catch(() => undefined)
    await pipeline.stop()
  } finally {
    bed.journal = journal
    bed.failures.length = 0
    await bed.reopen()
  }
}

const request = fc.record({
  source: fc.integer({ min: 1, max: 3 }),
  partition: fc.integer({ min: 0, max: 1 }),
  // Few ids, so that duplicates are frequent; 0 is a message that is rejected, 1 one without an id.
  ids: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 6 }),
})
const death = fc.record({ append: fc.integer({ min: 1, max: 4 }), survive: fc.integer({ min: 0, max: 20 }) })
const round = fc.record({ requests: fc.array(request, { minLength: 1, maxLength: 5 }), death })

function messageOf(id: number): object {
  if (id === 0) return { type: 'track', userId: 'u' }
  return id === 1 ? track(undefined) : track(`id-${id}`)
}

test('frames out are messages in, exactly once, whatever is killed when', async () => {
  const rounds = fc.array(round, { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(rounds, fc.integer({ min: 1, max: 5 }), async (plan, flushEvery) => {
      const bed = await createBed({ segmentBytesMax: 3000 })
      try {
        const disk: DedupeDisk = { entries: [], covered: undefined }
        const sent: { source: number; ids: number[] }[] = []
        for (const { requests, death } of plan) {
          for (const { source, partition, ids } of requests) {
            await bed.send({ source, partition, messages: ids.map(messageOf) })
            sent.push({ source, ids })
          }
          await runUntilDeath(bed, death, forgetfulIndex(disk, flushEvery))
        }
        await checkAll(bed, sent, forgetfulIndex(disk, 1))
      } finally {
        await bed.end()
      }
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

async function checkAll(bed: Bed, sent: { source: number; ids: number[] }[], index: DedupeIndex): Promise<void> {
  const pipeline = await bed.start(index)
  await bed.settled(pipeline)
  const status = pipeline.status()
  const frames = (await bed.events()).filter((item) => item.type === 'frame')
  const count = sent.reduce((sum, { ids }) => sum + ids.length, 0)
  assert.equal(frames.length, count, 'one frame for each message')
  const inputs = new Set(frames.map((frame) => `${frame.inputPartition} ${frame.inputOffset} ${frame.index}`))
  assert.equal(inputs.size, count, 'each frame has an input of its own')

  const accepted = frames.filter(({ kind }) => isCall(kind)).map(({ body }) => idOf(body))
  assert.equal(new Set(accepted).size, accepted.length, 'no id is processed twice')
  const expected = new Set(sent.flatMap(({ ids }) => ids.filter((id) => id > 1)).map((id) => `id-${id}`))
  assert.deepEqual(new Set(accepted.filter((id) => id.startsWith('id-'))), expected, 'every id is processed')

  const totals = await receivedTotals(bed.journal)
  for (const source of new Set(sent.map((request) => request.source))) {
    const ids = sent.filter((request) => request.source === source).flatMap((request) => request.ids)
    const counts = status.sources[source]!
    assert.equal(totals[source], ids.length)
    assert.deepEqual(counts.rejected, ids.includes(0) ? { event_not_defined: ids.filter((id) => id === 0).length } : {})
    assert.equal(counts.processed + counts.duplicate, ids.filter((id) => id > 0).length)
    const newest = frames.findLast((frame) => frame.source === source)
    assert.equal(newest?.sourceTotal, ids.length, 'running totals count every message')
  }
  assert.ok(Object.values(waitingMessages(totals, status)).every((waiting) => waiting === 0))
  assert.deepEqual(await recount(bed.journal, 0, status), [])
  assert.equal(frames.filter(({ kind }) => kind === eventKinds.dropped).length, 0)
  assert.deepEqual(bed.failures, [])
  await pipeline.stop()
}

test('what a source blocks and forwards comes to the other source exactly once, whatever is killed when', async () => {
  const rounds = fc.array(round, { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(rounds, fc.integer({ min: 1, max: 5 }), async (plan, flushEvery) => {
      const bed = await createBed({ segmentBytesMax: 3000 })
      try {
        // In a circle, with a source that forwards nothing.
        bed.configure([
          sourceWith(1, { blockedEvents: ['Order Completed'], forwardBlockedEventsTo: 2 }),
          sourceWith(2, { blockedEvents: ['Order Completed'], forwardBlockedEventsTo: 1 }),
          sourceWith(3),
        ])
        const disk: DedupeDisk = { entries: [], covered: undefined }
        const count = { 1: 0, 2: 0, 3: 0 } as Record<number, number>
        for (const { requests, death } of plan) {
          for (const { source, partition, ids } of requests) {
            await bed.send({ source, partition, messages: ids.map(messageOf) })
            count[source]! += ids.length
          }
          await runUntilDeath(bed, death, forgetfulIndex(disk, flushEvery))
        }
        await checkForwarded(bed, count, forgetfulIndex(disk, 1))
      } finally {
        await bed.end()
      }
    }),
    { numRuns: 30, endOnFailure: true },
  )
})

async function checkForwarded(bed: Bed, sent: Record<number, number>, index: DedupeIndex): Promise<void> {
  const pipeline = await bed.start(index)
  await bed.settled(pipeline)
  const { sources, forwarded } = pipeline.status()
  const frames = (await bed.events()).filter((item) => item.type === 'frame')
  const arrived = frames.filter(({ inputPartition }) => inputPartition === forwardedPartition)
  assert.ok(
    arrived.every(({ kind }) => isCall(kind)),
    'what was forwarded is not blocked again',
  )
  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const blocked = frames.filter(({ source, kind }) => source === from && kind === eventKinds.dropped)
    const ids = arrived.filter(({ source }) => source === to).map(({ body }) => idOf(body))
    assert.deepEqual(
      ids,
      blocked.map(({ body }) => forwardedId(idOf(body))),
      'each once, in order',
    )
    assert.equal(forwarded[to] ?? 0, blocked.length)
    assert.deepEqual(sources[from]?.dropped ?? {}, blocked.length === 0 ? {} : { event_setting: blocked.length })
  }
  const totals = await receivedTotals(bed.journal)
  for (const source of [1, 2, 3]) {
    const received = sent[source]! + (forwarded[source] ?? 0)
    assert.equal(totals[source] ?? 0, received)
    assert.equal(frames.filter((frame) => frame.source === source).length, received)
  }
  assert.ok(Object.values(waitingMessages(totals, pipeline.status())).every((waiting) => waiting === 0))
  assert.deepEqual(await recount(bed.journal, 0, pipeline.status()), [])
  assert.deepEqual(bed.failures, [])
  await pipeline.stop()
}

function idOf(body: Buffer): string {
  return (JSON.parse(body.toString()) as { messageId: string }).messageId
}

test('a failed append stops the pipeline once, and nothing is counted for it', async () => {
  const bed = await createBed()
  const journal = bed.journal
  bed.journal = dyingJournal(journal, { append: 1, survive: 0 })
  await bed.send({ messages: [track('a')] })
  const pipeline = await bed.start(createDedupeMemory())
  await assert.rejects(bed.settled(pipeline), /killed/)
  assert.equal(bed.failures.length, 1)
  assert.deepEqual(pipeline.status().sources, {})
  await pipeline.stop()
  bed.journal = journal
  await bed.end()
})

test('an append refused for want of disk space is made again, and stopping meanwhile loses nothing', async () => {
  const bed = await createBed()
  let isFull = true
  const refused = Promise.withResolvers<void>()
  const fill = (journal: Journal): Journal =>
    withAppend(journal, (append) => async (frames: readonly FrameInput[]) => {
      if (!isFull) return append(frames)
      refused.resolve()
      throw new JournalUnavailable('disk_reserve', 'full')
    })
  await bed.send({ messages: [track('a')] })
  bed.journal = fill(bed.journal)
  const first = await bed.start(createDedupeMemory())
  await refused.promise
  await first.stop()
  assert.deepEqual(first.status().sources, {})
  await bed.reopen()
  bed.journal = fill(bed.journal)
  const second = await bed.start(createDedupeMemory())
  isFull = false
  await bed.settled(second)
  assert.equal(second.status().sources[1]?.processed, 1)
  assert.deepEqual(bed.failures, [])
  await second.stop()
  await bed.end()
})
