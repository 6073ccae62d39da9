/** What the embedded engine does when its files are cut, damaged, lost, or fail. The interleavings are in `test/simulation`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../base/clock.ts'
import { createRandom } from '../../base/seeded-random.ts'
import {
  createSimulatedDisk,
  plainProcess,
  type Call,
  type SimulatedDisk,
} from '../../../test/simulation/simulated-file-system.ts'
import type { Frame, Gap, Journal, OpenedWriter } from '../journal.ts'
import { drain, frame, journalSuite, open, readAll, textOf, texts, type JournalFixture } from '../journal-suite.ts'
import { openJournal, type JournalOptions } from './open-journal.ts'

const segment0 = '/journal/received/0/00000000000000000000.segment'
const markFile = '/journal/received/0/durable'

for (const crash of ['kill', 'power cut'] as const) {
  journalSuite(`segments on a simulated disk, ${crash}`, async ({ segmentBytesMax }): Promise<JournalFixture> => {
    const disk = createSimulatedDisk(createRandom(1))
    let processes: ReturnType<typeof plainProcess>[] = []
    async function openAnother(): Promise<Journal> {
      const process = plainProcess()
      processes.push(process)
      return await openOn(disk, { segmentBytesMax }, process)
    }
    return {
      journal: await openAnother(),
      openAnother,
      async crash() {
        for (const process of processes) disk.kill(process)
        if (crash === 'power cut') disk.cutPower()
        processes = []
        return await openAnother()
      },
      async end() {
        for (const process of processes) disk.kill(process)
      },
    }
  })
}

test('any cut of a file recovers a prefix that holds everything before the cut', async () => {
  const { content, ends } = await aSegment(8)
  await fc.assert(
    fc.asyncProperty(fc.nat(content.byteLength), fc.boolean(), async (length, keepsMark) => {
      const disk = await copyOf(content.subarray(0, length), undefined)
      if (keepsMark) disk.setContent(markFile, Buffer.from('not a mark'))
      const whole = ends.filter((end) => end <= length).length
      const { opened, items } = await reopen(disk)
      assert.deepEqual(items.map(textOf), bodies(8).slice(0, whole))
      assert.equal(opened.writer.nextOffset, whole)
      assert.equal(await opened.writer.append(texts('after')), whole)
    }),
    { numRuns: 300 },
  )
})

test('any flipped bit below the mark costs at most the frame it touches, and is reported', async () => {
  const { content, mark, ends } = await aSegment(8)
  await fc.assert(
    fc.asyncProperty(fc.nat(content.byteLength - 1), fc.nat(7), async (position, bit) => {
      const disk = await copyOf(content, mark)
      disk.flipBit(segment0, position, bit)
      const hit = ends.findIndex((end) => position < end)
      const isInHead = position < ends[0]! - (64 + bodies(8)[0]!.length)
      const { opened, items } = await reopen(disk)
      const expected = bodies(8) as string[]
      if (!isInHead) expected[hit] = textOf(items[hit]!).startsWith('gap') ? `gap ${hit}+1 corrupt` : 'damaged'
      assert.deepEqual(items.map(textOf), expected)
      assert.equal(await opened.writer.append(texts('after')), 8)
      assert.deepEqual((await readAll(opened.journal)).map(textOf), [...expected, 'after'])
    }),
    { numRuns: 500 },
  )
})

test('a flipped bit above the last known durable offset is a torn tail: what is before it stays', async () => {
  const { content, ends } = await aSegment(8)
  const disk = await copyOf(content, undefined)
  disk.flipBit(segment0, content.byteLength - 1, 3)
  const { opened, items } = await reopen(disk)
  assert.deepEqual(items.map(textOf), bodies(8).slice(0, 7))
  assert.equal(opened.writer.nextOffset, 7)
  assert.equal(disk.contentOf(segment0).byteLength, ends[6])
})

test('what a crash left behind a torn frame never comes back', async () => {
  const disk = createSimulatedDisk(createRandom(8))
  const process = plainProcess()
  const { writer } = await openWriter(disk, {}, process)
  // One group: nothing in it proves that an earlier part of it was durable.
  await writer.append(texts('old 0', 'old 1', 'old 2', 'old 3'))
  disk.kill(process)
  disk.setContent(markFile, Buffer.alloc(0))
  disk.flipBit(segment0, disk.contentOf(segment0).indexOf('old 2'), 0)
  const next = plainProcess()
  assert.equal(await (await openWriter(disk, {}, next)).writer.append(texts('new 2')), 2)
  disk.kill(next)
  const { items } = await reopen(disk)
  assert.deepEqual(items.map(textOf), ['old 0', 'old 1', 'new 2'])
})

test('without a mark, later frames prove that an earlier damaged one was durable: it is reported and not cut', async () => {
  const { content, ends } = await aSegment(8)
  const disk = await copyOf(content, undefined)
  disk.flipBit(segment0, ends[2]! + 70, 0)
  disk.flipBit(segment0, ends[4]! + 5, 0)
  const { opened, items } = await reopen(disk)
  const expected = bodies(8).with(3, 'damaged').with(5, 'gap 5+1 corrupt')
  assert.deepEqual(items.map(textOf), expected)
  assert.equal(opened.writer.nextOffset, 8)
})

test('a lost end of a segment below the mark is a gap, and its offsets are not used again', async () => {
  const { content, mark, ends } = await aSegment(8)
  const disk = await copyOf(content.subarray(0, ends[5]! + 10), mark)
  const { opened, items } = await reopen(disk)
  const expected = [...bodies(8).slice(0, 6), 'gap 6+2 corrupt']
  assert.deepEqual(items.map(textOf), expected)
  assert.equal(await opened.writer.append(texts('after')), 8)
  assert.deepEqual((await readAll(opened.journal)).map(textOf), [...expected, 'after'])
})

test('a body that imitates the header of the next frame does not mislead the search after damage', async () => {
  const { content, ends } = await aSegment(8)
  const imitation = Buffer.from(content.subarray(ends[1], ends[2]))
  const victim = createSimulatedDisk(createRandom(2))
  const { writer, journal } = await openWriter(victim, { newId: createRandom(50).uuid })
  await writer.append([...texts('first'), frame(imitation), ...texts('third')])
  await journal.close()
  const start = victim.contentOf(segment0).indexOf(imitation)
  victim.flipBit(segment0, start - 64 + 9, 1)
  const { items } = await reopen(victim)
  assert.deepEqual(items.map(textOf), ['first', 'gap 1+1 corrupt', 'third'])
})

test('a damaged head of the newest segment falls back to the checkpoint before it, with the whole tail', async () => {
  const disk = createSimulatedDisk(createRandom(1))
  const { writer, journal } = await openWriter(disk, { segmentBytesMax: 500 })
  for (const body of bodies(20)) await writer.append(texts(body))
  await journal.close()
  const [newest, before] = disk
    .paths()
    .filter((path) => path.endsWith('.segment'))
    .reverse()
  disk.flipBit(newest!, 20, 0)
  const process = plainProcess()
  const again = await openOn(disk, { segmentBytesMax: 500 }, process)
  const opened = await open(again, 0, () => ({ at: 20 }))
  const { at } = opened.checkpoint as { at: number }
  assert.ok(before!.endsWith(`${String(at).padStart(20, '0')}.segment`))
  assert.deepEqual((await drain(opened)).map(textOf), bodies(20).slice(at))
  assert.equal(await opened.writer.append(texts('after')), 20)
  const newestNow = disk
    .paths()
    .filter((path) => path.endsWith('.segment'))
    .at(-1)!
  assert.ok(newestNow.endsWith('20.segment'), 'the writer begins a segment with a sound head')
})

test('a call that fails, whichever it is, loses nothing that was acknowledged', async () => {
  let isLastCall = false
  for (let failing = 1; !isLastCall; failing += 1) {
    const disk = createSimulatedDisk(createRandom(failing))
    const process = plainProcess()
    let calls = 0
    disk.fault = () => (++calls === failing ? 'EIO' : undefined)
    const acknowledged: string[] = []
    const failure = await writeUntilFailure(disk, process, acknowledged)
    isLastCall = calls < failing
    assert.equal(failure === undefined, isLastCall || acknowledged.length === 12)
    disk.kill(process)
    if (failing % 2 === 0) disk.cutPower()
    disk.fault = undefined
    const { items } = await reopen(disk)
    assert.deepEqual(items.map(textOf).slice(0, acknowledged.length), acknowledged)
  }
})

test('after a failed sync everything is refused for ever, the owner is told once, and a restart recovers', async () => {
  const disk = createSimulatedDisk(createRandom(3))
  const process = plainProcess()
  const failures: Error[] = []
  const { writer } = await openWriter(disk, { onFailed: (error) => failures.push(error) }, process)
  await writer.append(texts('stored'))
  disk.fault = failOnce('sync')
  const lost = await Promise.allSettled([writer.append(texts('a')), writer.append(texts('b'))])
  assert.deepEqual(
    lost.map((result) => result.status === 'rejected' && result.reason.reason),
    ['failed', 'failed'],
  )
  assert.equal(writer.isWritable, false)
  await assert.rejects(writer.append(texts('c')), { reason: 'failed' })
  assert.equal(failures.length, 1)
  disk.kill(process)
  disk.cutPower()
  assert.equal(textOf((await reopen(disk)).items[0]!), 'stored')
})

test('a full disk refuses what it cannot take, keeps nothing of it, and is used again when there is room', async () => {
  const disk = createSimulatedDisk(createRandom(4))
  const time = { nowMs: 0 }
  const clock = { ...systemClock, now: () => time.nowMs }
  const { writer, journal } = await openWriter(disk, { clock })
  await writer.append(texts('stored'))
  disk.freeBytes = 100
  const refused = await Promise.allSettled([writer.append(texts('x'.repeat(90))), writer.append(texts('behind it'))])
  for (const result of refused) assert.equal(result.status === 'rejected' && result.reason.reason, 'disk_reserve')
  assert.equal(writer.isWritable, false)
  assert.equal(writer.pendingBytes, 0)
  assert.equal(writer.nextOffset, 1)
  await assert.rejects(writer.append(texts('too early')), { reason: 'disk_reserve' })
  disk.freeBytes = 1e9
  await refreshed(time, writer)
  assert.equal(await writer.append(texts('again')), 1)
  assert.deepEqual((await readAll(journal)).map(textOf), ['stored', 'again'])
})

test('appends stop at the disk reserve and go on above it', async () => {
  const disk = createSimulatedDisk(createRandom(5))
  const time = { nowMs: 0 }
  let diskReserveBytes = 1000
  disk.freeBytes = 2000
  const options = { clock: { ...systemClock, now: () => time.nowMs }, diskReserveBytes: () => diskReserveBytes }
  const { writer } = await openWriter(disk, options)
  assert.equal(writer.isWritable, true)
  await assert.rejects(writer.append(texts('.'.repeat(1000))), { reason: 'disk_reserve' })
  diskReserveBytes = 100
  await refreshed(time, writer)
  assert.equal(await writer.append(texts('.'.repeat(1000))), 0)
})

test('what waits for the disk is bounded', async () => {
  const { writer } = await openWriter(createSimulatedDisk(createRandom(6)), { pendingBytesMax: 1000 })
  const first = writer.append(texts('.'.repeat(900)))
  await assert.rejects(writer.append(texts('.'.repeat(900))), { reason: 'overloaded' })
  assert.equal(await first, 0)
  assert.equal(await writer.append(texts('.'.repeat(900))), 1)
})

test('one damaged copy of the journal id is mended; two are an error and never a new id', async () => {
  const disk = createSimulatedDisk(createRandom(7))
  const { id } = await openOn(disk)
  disk.flipBit('/journal/journal.json', 5, 1)
  assert.equal((await openOn(disk)).id, id)
  disk.flipBit('/journal/journal.copy.json', 5, 1)
  await assert.rejects(openOn(disk), { code: 'journal_identity_damaged' })
})

test('files of a later version are refused with a sentence', async () => {
  const { content } = await aSegment(1)
  const disk = await copyOf(Buffer.concat([content]), undefined)
  const head = disk.contentOf(segment0)
  head.writeUInt32LE(2, 4)
  const { crc32 } = await import('node:zlib')
  head.writeUInt32LE(crc32(head.subarray(16, 16 + head.readUInt32LE(8)), crc32(head.subarray(0, 12))), 12)
  disk.setContent(segment0, head)
  await assert.rejects(openWriter(disk), { code: 'newer_format', message: /newer version of Tributary/ })
})

/** Frames of different lengths, each appended and acknowledged by itself. */
function bodies(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `body ${index} ${'.'.repeat((index * 53) % 200)}`)
}

/** The files of a closed journal with one segment, and the position in it where each frame ends. */
async function aSegment(count: number) {
  const disk = createSimulatedDisk(createRandom(1))
  const { writer, journal } = await openWriter(disk)
  const ends: number[] = []
  for (const body of bodies(count)) {
    await writer.append(texts(body))
    ends.push(disk.contentOf(segment0).byteLength)
  }
  await journal.close()
  return { content: disk.contentOf(segment0), mark: disk.contentOf(markFile), ends }
}

/** A disk with such a segment, and perhaps its mark. Same seed, so the same journal id and frame tag. */
async function copyOf(segment: Uint8Array, mark: Uint8Array | undefined): Promise<SimulatedDisk> {
  const disk = createSimulatedDisk(createRandom(1))
  const { journal } = await openWriter(disk)
  await journal.close()
  disk.setContent(segment0, segment)
  disk.setContent(markFile, mark ?? Buffer.alloc(0))
  return disk
}

async function openOn(
  disk: SimulatedDisk,
  options: Partial<JournalOptions> = {},
  process = plainProcess(),
): Promise<Journal> {
  const random = createRandom(99)
  return await openJournal({
    directory: '/journal',
    fileSystem: disk.fileSystemOf(process),
    clock: systemClock,
    newId: random.uuid,
    defer: process.schedule,
    ...options,
  })
}

/** Opens the partition; its checkpoint is the offset it is of. */
async function openWriter(disk: SimulatedDisk, options: Partial<JournalOptions> = {}, process = plainProcess()) {
  const journal = await openOn(disk, options, process)
  const opened: OpenedWriter = await open(journal, 0, () => ({ at: opened.writer.nextOffset }))
  return { journal, ...opened }
}

async function reopen(
  disk: SimulatedDisk,
): Promise<{ opened: OpenedWriter & { journal: Journal }; items: (Frame | Gap)[] }> {
  const opened = await openWriter(disk)
  const tail = await drain(opened)
  const items = await readAll(opened.journal)
  assert.deepEqual(items.slice(items.length - tail.length), tail, 'the tail is what a reader sees')
  return { opened, items }
}

async function writeUntilFailure(
  disk: SimulatedDisk,
  process: ReturnType<typeof plainProcess>,
  acknowledged: string[],
): Promise<unknown> {
  try {
    const { writer } = await openWriter(disk, { segmentBytesMax: 600 }, process)
    for (const body of bodies(12)) {
      await writer.append(texts(body))
      acknowledged.push(body)
    }
  } catch (error) {
    return error
  }
  return undefined
}

function failOnce(kind: Call['kind']): SimulatedDisk['fault'] {
  let isSpent = false
  return (call) => {
    if (isSpent || call.kind !== kind) return undefined
    isSpent = true
    return 'EIO'
  }
}

/** Lets the free space be looked at again. */
async function refreshed(time: { nowMs: number }, writer: OpenedWriter['writer']): Promise<void> {
  time.nowMs += 1000
  while (!writer.isWritable) await new Promise((resolve) => setImmediate(resolve))
}
