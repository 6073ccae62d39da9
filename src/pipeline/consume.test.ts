import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { eventFlags, eventKinds, isCall, type Decision, type Frame } from '../journal/index.ts'
import { createDedupeMemory } from './dedupe-memory.ts'
import { receivedTotals, waitingMessages } from './received-totals.ts'
import { recount } from './recount.ts'
import { aTime, createBed, track, type Bed } from './testing/pipeline-bed.ts'

const day = 86_400_000

async function aBed(t: TestContext, options: { segmentBytesMax?: number } = {}): Promise<Bed> {
  const bed = await createBed(options)
  t.after(() => bed.end())
  return bed
}

function framesOf(items: Awaited<ReturnType<Bed['events']>>): Frame[] {
  return items.filter((item) => item.type === 'frame')
}

function decisionOf(frame: Frame): Decision {
  return JSON.parse(frame.body.toString()) as Decision
}

async function runOnce(bed: Bed): Promise<Awaited<ReturnType<Bed['start']>>> {
  const pipeline = await bed.start()
  await bed.settled(pipeline)
  return pipeline
}

test('each message becomes one frame with its call, its input and its place among those of its source', async (t) => {
  const bed = await aBed(t)
  await bed.send({ source: 1, messages: [track('a'), { type: 'identify', messageId: 'b', userId: 'u' }] })
  await bed.send({ source: 2, route: 'page', messages: [{ messageId: 'c', anonymousId: 'x', name: 'Home' }] })
  const pipeline = await runOnce(bed)
  const frames = framesOf(await bed.events())
  const seen = frames.map((f) => [f.kind, f.source, f.inputPartition, f.inputOffset, f.index, f.sourceTotal, f.timeMs])
  assert.deepEqual(seen, [
    [eventKinds.track, 1, 0, 0, 0, 1, aTime],
    [eventKinds.identify, 1, 0, 0, 1, 2, aTime],
    [eventKinds.page, 2, 0, 1, 0, 1, aTime],
  ])
  await pipeline.stop()
})

test('frames carry flags for what delivery would otherwise have to parse', async (t) => {
  const bed = await aBed(t)
  await bed.send({
    messages: [
      track('a'),
      track('b', { integrations: { All: false } }),
      track('c', { _metadata: { bundled: ['X'] }, context: { consent: { categoryPreferences: {} } } }),
    ],
  })
  const pipeline = await runOnce(bed)
  const flags = framesOf(await bed.events()).map((frame) => frame.flags)
  assert.deepEqual(flags, [0, eventFlags.integrations, eventFlags.bundled | eventFlags.consent])
  await pipeline.stop()
})

test('a message without an id gets one and is never a duplicate', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track(undefined), track(undefined)] })
  const pipeline = await runOnce(bed)
  assert.equal(pipeline.status().sources[1]?.processed, 2)
  await pipeline.stop()
})

test('a bad message in a good batch is rejected alone, with its payload and without the write key', async (t) => {
  const bed = await aBed(t)
  await bed.send({
    messages: [track('a'), { type: 'track', messageId: 'bad', event: 'x', writeKey: 'SECRET' }, track('b')],
  })
  const pipeline = await runOnce(bed)
  const [, rejected] = framesOf(await bed.events())
  assert.deepEqual(decisionOf(rejected!), {
    code: 'no_user_anon_id',
    messageId: 'bad',
    type: 'track',
    message: { type: 'track', messageId: 'bad', event: 'x' },
  })
  assert.deepEqual(pipeline.status().sources[1], {
    processed: 2,
    duplicate: 0,
    rejected: { no_user_anon_id: 1 },
    dropped: {},
  })
  await pipeline.stop()
})

test('of a rejected message larger than 64 KiB only the beginning is kept', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('a', { properties: { text: 'x'.repeat(100_000) } })] })
  const pipeline = await runOnce(bed)
  const [frame] = framesOf(await bed.events())
  const { code, message, excerpt } = decisionOf(frame!)
  assert.deepEqual([code, message, excerpt?.length], ['message_too_large', undefined, 4096])
  await pipeline.stop()
})

test('the verdict of the door rejects every message of its request', async (t) => {
  const bed = await aBed(t)
  await bed.send({ head: { verdict: 'source_disabled' }, messages: [track('a'), 7] })
  const pipeline = await runOnce(bed)
  assert.deepEqual(pipeline.status().sources[1]?.rejected, { source_disabled: 2 })
  await pipeline.stop()
})

test('a rejected message leaves its id free for a corrected copy', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [{ type: 'track', messageId: 'a', userId: 'u' }, track('a'), track('a')] })
  const pipeline = await runOnce(bed)
  assert.deepEqual(pipeline.status().sources[1], {
    processed: 1,
    duplicate: 1,
    rejected: { event_not_defined: 1 },
    dropped: {},
  })
  await pipeline.stop()
})

test('copies are found in the same batch, in the next request, in another partition and after a restart', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('a'), track('a')] })
  await bed.send({ messages: [track('a')] })
  await bed.send({ partition: 1, messages: [track('a'), track('b')] })
  const first = await runOnce(bed)
  await first.stop()
  await bed.reopen()
  await bed.send({ source: 2, messages: [track('a'), track('c')] })
  const second = await runOnce(bed)
  const { sources } = second.status()
  assert.deepEqual([sources[1]?.processed, sources[1]?.duplicate], [2, 3])
  assert.deepEqual([sources[2]?.processed, sources[2]?.duplicate], [1, 1])
  await second.stop()
})

test('workspaces do not share ids', async (t) => {
  const bed = await aBed(t)
  await bed.send({ source: 1, workspace: 1, messages: [track('a')] })
  await bed.send({ source: 2, workspace: 2, messages: [track('a')] })
  const pipeline = await runOnce(bed)
  assert.equal(pipeline.status().sources[2]?.processed, 1)
  await pipeline.stop()
})

test('an id is taken for exactly the window after the first copy was received, across days', async (t) => {
  const bed = await aBed(t)
  const pipeline = await bed.start()
  for (const at of [aTime, aTime + day, aTime + 7 * day - 1, aTime + 7 * day, aTime + 14 * day - 1]) {
    bed.clock.nowMs = at
    await bed.send({ messages: [track('a')] })
    await bed.settled(pipeline)
  }
  const kinds = framesOf(await bed.events()).map(({ kind }) => (isCall(kind) ? 'new' : 'duplicate'))
  assert.deepEqual(kinds, ['new', 'duplicate', 'duplicate', 'new', 'duplicate'])
  await pipeline.stop()
})

test('work goes on where the frames end: a request that was half written continues with its next message', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('a'), track('b'), track('c')] })
  const written = await bed.journal.openWriter('events', 0, { checkpoint: () => ({ sources: {}, inputs: {} }) })
  const body = [Buffer.from(JSON.stringify(track('a')))]
  const base = { flags: 0, source: 1, timeMs: aTime, inputPartition: 0, inputOffset: 0 }
  await written.writer.append([{ ...base, kind: eventKinds.track, index: 0, sourceTotal: 1, body }])
  await written.writer.close()
  const pipeline = await runOnce(bed)
  const seen = framesOf(await bed.events()).map((frame) => [frame.index, frame.sourceTotal])
  assert.deepEqual(seen, [
    [0, 1],
    [1, 2],
    [2, 3],
  ])
  await pipeline.stop()
})

test('counts and positions survive restarts over many segments, and a recount agrees', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 4096 })
  for (let round = 0; round < 4; round += 1) {
    const pipeline = await bed.start()
    for (let i = 0; i < 10; i += 1)
      await bed.send({ source: 1 + (i % 3), messages: [track(`${round} ${i}`), track('same'), {}] })
    await bed.settled(pipeline)
    assert.deepEqual(await recount(bed.journal, 0, pipeline.status()), [])
    await pipeline.stop()
    await bed.reopen()
  }
  assert.ok((await bed.journal.segments('events', 0)).length > 4)
  const pipeline = await bed.start()
  const { sources } = pipeline.status()
  const sum = (what: 'processed' | 'duplicate'): number =>
    Object.values(sources).reduce((n, counts) => n + counts[what], 0)
  assert.deepEqual([sum('processed'), sum('duplicate'), sources[1]?.rejected], [41, 39, { bad_request: 16 }])
  await pipeline.stop()
})

test('a recount shows a count that the journal contradicts', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('a'), track('a')] })
  const pipeline = await runOnce(bed)
  const status = pipeline.status()
  status.sources[1]!.processed = 5
  assert.deepEqual(await recount(bed.journal, 0, status), [{ source: 1, what: 'processed', reported: 5, counted: 1 }])
  await pipeline.stop()
})

test('what is accepted and not decided is waiting', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 2048 })
  const pipeline = await bed.start()
  for (let i = 0; i < 20; i += 1) await bed.send({ messages: [track(`a${i}`), track(`b${i}`)] })
  await bed.settled(pipeline)
  await pipeline.stop()
  await bed.send({ source: 2, messages: [track('x')] })
  await bed.send({ source: 1, partition: 3, messages: [track('y'), track('z')] })
  const totals = await receivedTotals(bed.journal)
  assert.deepEqual(totals, { 1: 42, 2: 1 })
  assert.deepEqual(waitingMessages(totals, pipeline.status()), { 1: 2, 2: 1 })
})

test('trace finds every frame that concerns an id', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [{ type: 'track', messageId: 'a', userId: 'u' }, track('a'), track('b')] })
  const pipeline = await bed.start()
  await bed.settled(pipeline)
  bed.clock.nowMs += 2 * day
  await bed.send({ source: 4, messages: [track('a')] })
  await bed.settled(pipeline)
  const traced = await pipeline.trace(1, 'a')
  assert.deepEqual(
    traced.map(({ result, source, offset, input }) => [result, source, offset, input.offset, input.index]),
    [
      ['rejected', 1, 0, 0, 0],
      ['accepted', 1, 1, 0, 1],
      ['duplicate', 4, 3, 1, 0],
    ],
  )
  assert.equal(traced[0]?.decision?.code, 'event_not_defined')
  assert.equal(traced[1]?.message?.messageId, 'a')
  assert.deepEqual(await pipeline.trace(2, 'a'), [])
  await pipeline.stop()
})

test('no content of a request stops those behind it', async (t) => {
  const bed = await aBed(t)
  await bed.send({ body: Buffer.from('not json'), count: 2 })
  await bed.send({ body: Buffer.from('{"batch":7}'), count: 1 })
  await bed.send({ body: Buffer.from(JSON.stringify({ batch: [track('x'), track('y')] })), count: 3 })
  await bed.send({ body: Buffer.from(`{"batch":${'['.repeat(5000)}${']'.repeat(5000)}}`), count: 1 })
  await bed.send({
    messages: [null, 'text', [], track('__proto__'), { type: 'constructor' }, track('', { event: '\ud800' })],
  })
  const pipeline = await runOnce(bed)
  const { processed, rejected } = pipeline.status().sources[1]!
  assert.equal(processed + Object.values(rejected).reduce((a, b) => a + b, 0), 13)
  assert.equal(processed, 2)
  assert.deepEqual(bed.failures, [])
  await pipeline.stop()
})

/** Flips one byte in the segment files of a topic, `distance` bytes before the text. */
async function damage(bed: Bed, topic: 'received' | 'events', text: string, distance: number): Promise<void> {
  const directory = join(bed.directory, 'journal')
  for (const name of await readdir(directory, { recursive: true })) {
    if (!name.startsWith(topic)) continue
    const path = join(directory, name)
    const bytes = await readFile(path).catch(() => Buffer.alloc(0))
    const at = bytes.indexOf(text)
    if (at < 0) continue
    bytes[at - distance]! ^= 1
    await writeFile(path, bytes)
    return
  }
  assert.fail(`${text} is not in ${topic}`)
}

test('a damaged request is accounted for, message by message', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('good')] })
  await bed.send({ messages: [track('broken-1'), track('broken-2')] })
  await bed.send({ messages: [track('last')] })
  await bed.reopen()
  await damage(bed, 'received', 'broken-1', 0)
  const pipeline = await runOnce(bed)
  assert.deepEqual(pipeline.status().sources[1], {
    processed: 2,
    duplicate: 0,
    rejected: {},
    dropped: { JOURNAL_CORRUPT: 2 },
  })
  await pipeline.stop()
})

test('requests whose headers are damaged are accounted for per source by the running totals', async (t) => {
  const bed = await aBed(t)
  const sizes = [3, 4, 5]
  await bed.send({ source: 1, messages: [track('first')] })
  for (const [i, size] of sizes.entries())
    await bed.send({ source: 1 + (i % 2), messages: Array.from({ length: size }, (_, n) => track(`lost-${i}-${n}`)) })
  await bed.send({ source: 1, messages: [track('one'), track('two')] })
  await bed.send({ source: 2, messages: [track('three')] })
  await bed.reopen()
  // The header is the 64 bytes before the body, which begins with the length of its head.
  for (const i of sizes.keys()) await damage(bed, 'received', `lost-${i}-0`, 150)
  const pipeline = await runOnce(bed)
  const { sources } = pipeline.status()
  assert.deepEqual(sources[1], { processed: 3, duplicate: 0, rejected: {}, dropped: { JOURNAL_CORRUPT: 8 } })
  assert.deepEqual(sources[2], { processed: 1, duplicate: 0, rejected: {}, dropped: { JOURNAL_CORRUPT: 4 } })
  assert.deepEqual(await receivedTotals(bed.journal), { 1: 11, 2: 5 })
  await pipeline.stop()
})

test('a message whose frame at the end of events cannot be read is decided again, not taken for its own duplicate', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('a'), track('b', { event: 'Last One' })] })
  const first = await runOnce(bed)
  await first.stop()
  await bed.reopen()
  const [, last] = framesOf(await bed.events())
  // The header is the 64 bytes before the body.
  await damage(bed, 'events', 'Last One', last!.body.indexOf('Last One') + 20)
  await bed.reopen()
  const second = await runOnce(bed)
  assert.deepEqual(second.status().sources[1], { processed: 2, duplicate: 0, rejected: {}, dropped: {} })
  const seen = (await bed.events()).map((item) => [item.type, item.offset])
  assert.deepEqual(seen, [
    ['frame', 0],
    ['gap', 1],
    ['frame', 2],
  ])
  await bed.send({ messages: [track('b')] })
  await bed.settled(second)
  assert.equal(second.status().sources[1]?.duplicate, 1)
  await second.stop()
})

test('frames of events that cannot be read in the middle count as dropped after a restart', async (t) => {
  const bed = await aBed(t)
  await bed.send({ messages: [track('a'), track('b', { event: 'Middle' }), track('c')] })
  const first = await runOnce(bed)
  await first.stop()
  await bed.reopen()
  const middle = framesOf(await bed.events())[1]
  await damage(bed, 'events', 'Middle', middle!.body.indexOf('Middle') + 20)
  await bed.reopen()
  await bed.send({ messages: [track('d')] })
  const second = await runOnce(bed)
  assert.deepEqual(second.status().sources[1], {
    processed: 3,
    duplicate: 0,
    rejected: {},
    dropped: { JOURNAL_CORRUPT: 1 },
  })
  assert.deepEqual(waitingMessages(await receivedTotals(bed.journal), second.status()), { 1: 0 })
  await second.stop()
})

test('the index is built anew from id files and frames when it is missing', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 2048 })
  const first = await bed.start()
  const ids = Array.from({ length: 60 }, () => randomUUID())
  for (const id of ids) await bed.send({ messages: [track(id)] })
  await bed.settled(first)
  await first.stop()
  await bed.reopen()
  await rm(join(bed.directory, 'dedupe'), { recursive: true })
  const idFiles = await readdir(join(bed.directory, 'ids', '0'))
  assert.ok(idFiles.length > 2)
  // One is missing, one is damaged: their segments are read instead.
  await rm(join(bed.directory, 'ids', '0', idFiles[0]!))
  const path = join(bed.directory, 'ids', '0', idFiles[1]!)
  const bytes = await readFile(path)
  bytes[bytes.length - 1]! ^= 1
  await writeFile(path, bytes)
  const second = await bed.start()
  for (const id of ids) await bed.send({ messages: [track(id)] })
  await bed.settled(second)
  const { processed, duplicate } = second.status().sources[1]!
  assert.deepEqual([processed, duplicate], [60, 60])
  assert.equal((await second.trace(1, ids[0]!)).length, 2)
  await second.stop()
  assert.ok(
    (await readdir(join(bed.directory, 'ids', '0'))).includes(idFiles[0]!),
    'the missing id file is written again',
  )
})

test('id files outside the window are removed', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 4096 })
  const pipeline = await bed.start()
  for (let i = 0; i < 20; i += 1) await bed.send({ messages: [track(`a${i}`)] })
  await bed.settled(pipeline)
  bed.clock.nowMs += 9 * day
  for (let i = 0; i < 20; i += 1) await bed.send({ messages: [track(`b${i}`)] })
  await bed.settled(pipeline)
  await pipeline.stop()
  const names = await readdir(join(bed.directory, 'ids', '0'))
  assert.ok(names.length > 0 && Number.parseInt(names[0]!, 10) > 0)
})

test('an index that a kill has cut short is completed from the frames', async (t) => {
  const bed = await aBed(t)
  const first = await bed.start()
  await bed.send({ messages: [track('a')] })
  await bed.settled(first)
  // Looking for an id writes what is waiting.
  assert.equal((await first.trace(1, 'a')).length, 1)
  await bed.send({ messages: [track('b')] })
  await bed.settled(first)
  // What is on the disk before the second message is written: what a kill would leave.
  await cp(join(bed.directory, 'dedupe'), join(bed.directory, 'killed'), { recursive: true })
  await first.stop()
  await bed.reopen()
  await rm(join(bed.directory, 'dedupe'), { recursive: true })
  await cp(join(bed.directory, 'killed'), join(bed.directory, 'dedupe'), { recursive: true })
  await bed.send({ messages: [track('a'), track('b')] })
  const second = await runOnce(bed)
  assert.equal(second.status().sources[1]?.duplicate, 2)
  await second.stop()
})

test('messages of one busy partition do not keep another waiting', async (t) => {
  const bed = await aBed(t)
  for (let i = 0; i < 30; i += 1)
    await bed.send({ partition: 0, messages: Array.from({ length: 200 }, () => track(undefined)) })
  await bed.send({ partition: 1, source: 2, messages: [track('quick')] })
  const pipeline = await runOnce(bed)
  const frames = framesOf(await bed.events())
  const place = frames.findIndex(({ source }) => source === 2)
  assert.ok(place >= 0 && place < 2500, `decided as number ${place} of ${frames.length}`)
  await pipeline.stop()
})

test('a partition that appears while the pipeline runs is read', async (t) => {
  const bed = await aBed(t)
  const pipeline = await bed.start(createDedupeMemory())
  await bed.send({ messages: [track('a')] })
  await bed.settled(pipeline)
  await bed.send({ partition: 5, messages: [track('a'), track('b')] })
  await bed.settled(pipeline)
  assert.deepEqual(pipeline.status().decidedThrough[5], { offset: 0, index: 2 })
  await pipeline.stop()
})

test('a lost index is built anew from id files whose segments retention has taken', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 2000 })
  const ids = Array.from({ length: 40 }, (_, i) => `id-${i}`)
  for (const id of ids) await bed.send({ messages: [track(id)] })
  const first = await runOnce(bed)
  await first.stop()
  await bed.reopen()
  await bed.journal.removeBefore('events', 0, ids.length)
  assert.ok((await bed.journal.firstOffset('events', 0)) > 10)
  for (const id of ids) await bed.send({ messages: [track(id)] })
  const second = await bed.start(createDedupeMemory())
  await bed.settled(second)
  assert.deepEqual(second.status().sources[1], { processed: 40, duplicate: 40, rejected: {}, dropped: {} })
  await second.stop()
})

test('a recount while retention takes what it reads begins with what is kept', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 2000 })
  for (let i = 0; i < 40; i += 1) await bed.send({ messages: [track(`id-${i}`)] })
  const pipeline = await runOnce(bed)
  const { journal } = bed
  let isTaken = false
  const raced: typeof journal = {
    ...journal,
    async openReader(topic, partition, offset) {
      if (!isTaken) await journal.removeBefore('events', 0, 40)
      isTaken = true
      return journal.openReader(topic, partition, offset)
    },
  }
  assert.deepEqual(await recount(raced, 0, pipeline.status()), [])
  assert.ok((await journal.firstOffset('events', 0)) > 10)
  await pipeline.stop()
})

test('retention is told to wait for id files: frames without one are needed still', async (t) => {
  const bed = await aBed(t, { segmentBytesMax: 2000 })
  for (let i = 0; i < 20; i += 1) await bed.send({ messages: [track(`id-${i}`)] })
  const first = await runOnce(bed)
  await first.stop()
  const sealedEnd = first.status().eventsNeededFrom
  assert.equal(sealedEnd, (await bed.journal.segments('events', 0)).at(-1)?.baseOffset)
  const files = join(bed.directory, 'ids', '0')
  const names = await readdir(files)
  assert.ok(names.length > 0)
  for (const name of names) await rm(join(files, name))
  await bed.reopen()
  const second = await bed.start()
  assert.equal(second.status().eventsNeededFrom, 0)
  await second.stop()
  assert.equal(second.status().eventsNeededFrom, sealedEnd)
  assert.deepEqual(await readdir(files), names)
})
