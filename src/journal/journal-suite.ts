/**
 * The behaviour that every journal engine must show, as tests. An engine's own test file calls `journalSuite` with a
 * factory; faults that only one engine can have (torn files, damaged marks) are tested beside that engine.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Frame, FrameInput, Gap, Journal, OpenedWriter, PartitionWriter, Reader } from './journal.ts'

export interface JournalFixture {
  journal: Journal
  /** Another view of the same journal, as another process has it. */
  openAnother(): Promise<Journal>
  /** Ends all views as a crash does, without closing anything, and opens the journal again. */
  crash(): Promise<Journal>
  end(): Promise<void>
}

export interface SuiteOptions {
  /** About how large a segment may become: small, so that a test fills several. */
  segmentBytesMax: number
}

/** Registers the suite with node:test. */
export function journalSuite(name: string, makeJournal: (options: SuiteOptions) => Promise<JournalFixture>): void {
  function test(title: string, run: (fixture: JournalFixture) => Promise<void>, segmentBytesMax = 1024 * 1024): void {
    it(title, async () => {
      const fixture = await makeJournal({ segmentBytesMax })
      try {
        await run(fixture)
      } finally {
        await fixture.end()
      }
    })
  }

  describe(`${name}: journal`, () => {
    test('a partition that nobody has written is empty and has no partitions', async ({ journal }) => {
      assert.deepEqual(await journal.partitions('events'), [])
      assert.equal(await journal.durableEnd('events', 0), 0)
      assert.equal(await journal.firstOffset('events', 0), 0)
      assert.equal(await journal.readOne('events', 0, 0), undefined)
      assert.deepEqual(await (await journal.openReader('events', 0, 0)).read(1000), [])
    })

    test('a frame is read back with everything it was given', async ({ journal }) => {
      const writer = await openFresh(journal)
      const input: FrameInput = {
        kind: 255,
        flags: 129,
        source: 4_000_000_000,
        timeMs: 1_790_000_000_123,
        index: 4_294_967_295,
        inputPartition: 65_535,
        inputOffset: 9_007_199_254_740_991,
        sourceTotal: 281_474_976_710_655,
        body: [Buffer.from('one '), Buffer.from(''), Buffer.from('body')],
      }
      assert.equal(await writer.append([input]), 0)
      const { body, ...rest } = (await journal.readOne('received', 0, 0))!
      const { body: _, ...header } = input
      assert.deepEqual(rest, { type: 'frame', offset: 0, isDamaged: false, ...header })
      assert.equal(body.toString(), 'one body')
    })

    test('appends made together are durable in the order made, with consecutive offsets', async ({ journal }) => {
      const writer = await openFresh(journal)
      const firsts = await Promise.all([
        writer.append(texts('a', 'b')),
        writer.append(texts('c')),
        writer.append(texts('d')),
      ])
      assert.deepEqual(firsts, [0, 2, 3])
      assert.equal(writer.nextOffset, 4)
      assert.equal(writer.pendingBytes, 0)
      assert.equal(await journal.durableEnd('received', 0), 4)
      assert.deepEqual(await readTexts(journal), ['a', 'b', 'c', 'd'])
    })

    test('bodies from empty to many megabytes survive', async ({ journal }) => {
      const writer = await openFresh(journal)
      const sizes = [0, 1, 63, 16_383, 16_384, 300_000, 5_000_000, 2]
      await Promise.all(sizes.map((size, index) => writer.append([frame(Buffer.alloc(size, index + 1))])))
      const bodies = (await readAll(journal)).map((item) => (item as Frame).body)
      assert.deepEqual(
        bodies.map((body) => body.byteLength),
        sizes,
      )
      bodies.forEach((body, index) => assert.ok(body.every((byte) => byte === index + 1)))
    })

    test('a body read back stays as it is while reading goes on', async ({ journal }) => {
      const writer = await openFresh(journal)
      for (let index = 0; index < 20; index += 1) await writer.append(texts(`body ${index}`))
      const reader = await journal.openReader('received', 0, 0)
      const bodies: Buffer[] = []
      for (let items = await reader.read(1); items.length > 0; items = await reader.read(1)) {
        bodies.push(...items.map((item) => (item as Frame).body))
      }
      await reader.close()
      assert.deepEqual(
        bodies.map(String),
        Array.from({ length: 20 }, (_, index) => `body ${index}`),
      )
    })

    test('reading stops at about the bytes asked for and goes on from there', async ({ journal }) => {
      const writer = await openFresh(journal)
      await writer.append(texts(...Array.from({ length: 100 }, (_, index) => String(index).padStart(10_000, '.'))))
      const reader = await journal.openReader('received', 0, 0)
      let count = 0
      for (let items = await reader.read(50_000); items.length > 0; items = await reader.read(50_000)) {
        assert.ok(items.length <= 6, 'a block is about as large as asked')
        assert.equal(items[0]!.offset, count)
        count += items.length
      }
      await reader.close()
      assert.equal(count, 100)
    })

    test('a reader can begin anywhere and seek in both directions', async ({ journal }) => {
      const writer = await openFresh(journal)
      for (let index = 0; index < 500; index += 1) void writer.append(texts(`body ${index} ${'.'.repeat(400)}`))
      await writer.append(texts('last'))
      const reader = await journal.openReader('received', 0, 321)
      for (const offset of [321, 5, 499, 0, 250, 500, 249]) {
        reader.seek(offset)
        assert.equal((await reader.read(1))[0]?.offset, offset)
      }
      reader.seek(501)
      assert.deepEqual(await reader.read(1), [])
      reader.seek(900)
      assert.deepEqual(await reader.read(1), [])
      assert.equal(reader.offset, 900)
      await reader.close()
    }, 20_000)

    test('another process reads what is durable, and goes on reading as more comes', async ({
      journal,
      openAnother,
    }) => {
      const writer = await openFresh(journal)
      const another = await openAnother()
      assert.equal(another.id, journal.id)
      const reader = await another.openReader('received', 0, 0)
      for (let round = 0; round < 10; round += 1) {
        await writer.append(texts(`round ${round}`, '.'.repeat(500)))
        assert.equal(await another.durableEnd('received', 0), 2 * round + 2)
        assert.deepEqual((await reader.read(100_000)).map(textOf)[0], `round ${round}`)
        assert.deepEqual(await reader.read(100_000), [])
      }
      await reader.close()
    }, 3_000)

    test('those who watch a topic are called after appends, in this and in another process', async ({
      journal,
      openAnother,
    }) => {
      const another = await openAnother()
      const here = calls()
      const there = calls()
      const stopHere = journal.onAppend('received', here.run)
      const stopThere = another.onAppend('received', there.run)
      const writer = await openFresh(journal, 3)
      await writer.append(texts('one'))
      await Promise.all([here.next(), there.next()])
      assert.equal(await another.durableEnd('received', 3), 1)
      stopHere()
      stopThere()
    })

    test('a new partition is numbered, listed and separate', async ({ journal }) => {
      const first = await openFresh(journal, 0)
      const second = await openFresh(journal, 12)
      await Promise.all([first.append(texts('zero')), second.append(texts('twelve'))])
      assert.deepEqual(await journal.partitions('received'), [0, 12])
      assert.deepEqual(await readTexts(journal, 12), ['twelve'])
    })

    test('a closed writer refuses appends and has stored what came before', async ({ journal }) => {
      const writer = await openFresh(journal)
      const append = writer.append(texts('last'))
      await writer.close()
      assert.equal(await append, 0)
      assert.equal(writer.isWritable, false)
      await assert.rejects(writer.append(texts('late')), { name: 'JournalUnavailable', reason: 'closed' })
      assert.deepEqual(await readTexts(journal), ['last'])
    })

    test('a writer that opens again finds the newest checkpoint and the frames after it', async ({
      journal,
      crash,
    }) => {
      let count = 0
      const opened = await open(journal, 0, () => ({ count }))
      assert.equal(opened.checkpoint, undefined)
      assert.deepEqual(await drain(opened), [])
      for (; count < 100; count += 1) await opened.writer.append(texts(`body ${count} ${'.'.repeat(200)}`))
      const again = await open(await crash(), 0, () => ({ count }))
      const tail = await drain(again)
      const checkpoint = again.checkpoint as { count: number }
      assert.ok(checkpoint.count > 50, 'the checkpoint is of the newest segment')
      assert.deepEqual(
        tail.map((item) => item.offset),
        range(checkpoint.count, 100),
      )
      assert.equal(again.writer.nextOffset, 100)
      assert.equal(await again.writer.append(texts('next')), 100)
    }, 4_000)

    test('a writer never gives an offset below the one its owner demands', async ({ journal, crash }) => {
      await (await openFresh(journal)).append(texts('a', 'b'))
      const again = await crash()
      const opened = await again.openWriter('received', 0, { checkpoint: () => null, nextOffsetAtLeast: 10 })
      assert.equal(opened.writer.nextOffset, 10)
      assert.equal(await again.durableEnd('received', 0), 10)
      assert.deepEqual((await drain(opened)).at(-1), { type: 'gap', offset: 2, count: 8, reason: 'corrupt' })
      assert.equal(await opened.writer.append(texts('k')), 10)
      assert.deepEqual(
        (await readAll(again)).map(({ offset, type }) => [offset, type]),
        [
          [0, 'frame'],
          [1, 'frame'],
          [2, 'gap'],
          [10, 'frame'],
        ],
      )
    })

    test('segments tell offsets and times, and removal leaves a gap that readers are told of', async ({ journal }) => {
      const writer = await openFresh(journal)
      for (let index = 0; index < 100; index += 1) {
        await writer.append([{ ...frame(Buffer.alloc(200)), timeMs: 1000 + index }])
      }
      const segments = await journal.segments('received', 0)
      assert.ok(segments.length > 5)
      assert.equal(segments[0]!.baseOffset, 0)
      assert.equal(segments.at(-1)!.endOffset, 100)
      segments.forEach((segment, index) => {
        const isLast = index === segments.length - 1
        assert.equal(segment.isSealed, !isLast)
        assert.equal(segment.firstTimeMs, 1000 + segment.baseOffset)
        assert.equal(segment.lastTimeMs, isLast ? 0 : 999 + segment.endOffset)
        if (!isLast) assert.equal(segments[index + 1]!.baseOffset, segment.endOffset)
      })
      const kept = segments[3]!.baseOffset
      await journal.removeBefore('received', 0, kept + 1)
      assert.equal((await journal.segments('received', 0))[0]!.baseOffset, kept)
      assert.equal(await journal.firstOffset('received', 0), kept)
      assert.equal(await journal.readOne('received', 0, kept - 1), undefined)
      const items = await readAll(journal)
      assert.deepEqual(items[0], { type: 'gap', offset: 0, count: kept, reason: 'expired' })
      assert.deepEqual(
        items.slice(1).map(({ offset }) => offset),
        range(kept, 100),
      )
    }, 4_000)

    test('the checkpoint at the head of any segment kept can be read', async ({ journal }) => {
      let count = 0
      const { writer } = await open(journal, 0, () => ({ count }))
      for (; count < 100; count += 1) await writer.append(texts('.'.repeat(200)))
      for (const { baseOffset } of await journal.segments('received', 0)) {
        assert.deepEqual(await journal.checkpointAt('received', 0, baseOffset), { count: baseOffset })
      }
      assert.equal(await journal.checkpointAt('received', 0, 1), undefined)
    }, 4_000)

    test('removal spares the segment being written and the one before it', async ({ journal }) => {
      const writer = await openFresh(journal)
      for (let index = 0; index < 100; index += 1) await writer.append(texts('.'.repeat(200)))
      await journal.removeBefore('received', 0, 100)
      const segments = await journal.segments('received', 0)
      assert.deepEqual(
        segments.map(({ isSealed }) => isSealed),
        [true, false],
      )
    }, 4_000)

    test('a reader inside a segment that is removed reads on', async ({ journal, openAnother }) => {
      const writer = await openFresh(journal)
      for (let index = 0; index < 100; index += 1) await writer.append(texts('.'.repeat(200)))
      const reader = await (await openAnother()).openReader('received', 0, 0)
      assert.equal((await reader.read(1))[0]!.offset, 0)
      await journal.removeBefore('received', 0, 100)
      const items = await readToEnd(reader)
      let expected = items[0]!.offset
      for (const item of items) {
        assert.equal(item.offset, expected)
        expected += item.type === 'gap' ? item.count : 1
      }
      assert.equal(expected, 100)
    }, 4_000)

    test('a thousand appends at once are all there, in order', async ({ journal, openAnother }) => {
      const writer = await openFresh(journal)
      const bodies = range(0, 1000).map((index) => `${index} ${'x'.repeat((index * 37) % 3000)}`)
      await Promise.all(bodies.map((body) => writer.append(texts(body))))
      assert.deepEqual(await readTexts(await openAnother()), bodies)
    }, 100_000)
  })
}

/** A frame with this body and nothing particular in its header. */
export function frame(body: Uint8Array): FrameInput {
  return {
    kind: 1,
    flags: 0,
    source: 7,
    timeMs: 5,
    index: 0,
    inputPartition: 0,
    inputOffset: 0,
    sourceTotal: 0,
    body: [body],
  }
}

/** Frames with these texts as bodies. */
export function texts(...bodies: string[]): FrameInput[] {
  return bodies.map((body) => frame(Buffer.from(body)))
}

export function textOf(item: Frame | Gap): string {
  return item.type === 'frame'
    ? item.isDamaged
      ? 'damaged'
      : item.body.toString()
    : `gap ${item.offset}+${item.count} ${item.reason}`
}

/** All items of a partition of `received` that can be read now. */
export async function readAll(journal: Journal, partition = 0, offset = 0): Promise<(Frame | Gap)[]> {
  return await readToEnd(await journal.openReader('received', partition, offset))
}

export async function readTexts(journal: Journal, partition = 0): Promise<string[]> {
  return (await readAll(journal, partition)).map(textOf)
}

/** Opens the writer of a partition of `received`. */
export async function open(journal: Journal, partition: number, checkpoint: () => unknown): Promise<OpenedWriter> {
  return await journal.openWriter('received', partition, { checkpoint })
}

/** Everything that a writer found after its checkpoint. */
export async function drain({ tail }: OpenedWriter): Promise<(Frame | Gap)[]> {
  return await Array.fromAsync(tail)
}

async function openFresh(journal: Journal, partition = 0): Promise<PartitionWriter> {
  return (await open(journal, partition, () => null)).writer
}

async function readToEnd(reader: Reader): Promise<(Frame | Gap)[]> {
  const all: (Frame | Gap)[] = []
  for (let items = await reader.read(64 * 1024); items.length > 0; items = await reader.read(64 * 1024))
    all.push(...items)
  await reader.close()
  return all
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

function calls() {
  let seen = false
  let wake = () => {}
  return {
    run() {
      seen = true
      wake()
    },
    async next() {
      while (!seen) await new Promise<void>((resolve) => (wake = resolve))
      seen = false
    },
  }
}
