import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import { diskFileSystem } from '../base/file-system.ts'
import { silentLogger } from '../base/logger.ts'
import {
  coldDirectory,
  listColdSegments,
  openJournal,
  type Frame,
  type FrameInput,
  type Gap,
  type Journal,
  type PartitionWriter,
  type Topic,
} from '../journal/index.ts'
import { createArchiveRunner, type ArchiveRunner, type ArchiveSettings } from './runner.ts'

interface Scene {
  journal: Journal
  archiveDirectory: string
  runner: ArchiveRunner
  settings: ArchiveSettings
  /** Offset that everybody has passed, per topic. */
  passed: Partial<Record<Topic, number>>
  clock: { nowMs: number }
  fill(topic: Topic, count: number): Promise<PartitionWriter>
  readAll(topic: Topic): Promise<(Frame | Gap)[]>
}

function scene(title: string, run: (scene: Scene) => Promise<void>): void {
  test(title, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'archive-'))
    const time = { nowMs: 1000 }
    const clock: Clock = { ...systemClock, now: () => time.nowMs }
    const archiveDirectory = join(directory, 'archive')
    const journal = await openJournal({
      directory: join(directory, 'journal'),
      fileSystem: diskFileSystem,
      clock,
      newId: randomUUID,
      segmentBytesMax: 4000,
      archiveDirectory,
    })
    const settings: ArchiveSettings = { isEnabled: true, hotBytesMax: 1e9, outcomesDays: 7 }
    const passed: Scene['passed'] = {}
    const runner = createArchiveRunner({
      journal,
      archiveDirectory,
      fileSystem: diskFileSystem,
      clock,
      log: silentLogger,
      lowWatermark: async (topic) => passed[topic] ?? 0,
      settings: () => settings,
    })
    try {
      await run({ journal, archiveDirectory, runner, settings, passed, clock: time, fill, readAll })
    } finally {
      await runner.stop()
      await journal.close()
      await rm(directory, { recursive: true })
    }

    async function fill(topic: Topic, count: number): Promise<PartitionWriter> {
      const { writer } = await journal.openWriter(topic, 0, { checkpoint: () => null })
      for (let index = 0; index < count; index += 1) await writer.append([aFrame(index)])
      return writer
    }

    async function readAll(topic: Topic): Promise<(Frame | Gap)[]> {
      const reader = await journal.openReader(topic, 0, 0)
      const all: (Frame | Gap)[] = []
      for (let items = await reader.read(5000); items.length > 0; items = await reader.read(5000)) all.push(...items)
      await reader.close()
      return all
    }
  })
}

function aFrame(index: number): FrameInput {
  const body = [Buffer.from(`body ${index} ${'.'.repeat(300)}`)]
  return {
    kind: 2,
    flags: 1,
    source: 3,
    timeMs: 1000 + index,
    index,
    inputPartition: 4,
    inputOffset: index,
    sourceTotal: index,
    body,
  }
}

scene('sealed segments of events are copied, and leave the hot journal when everybody has passed them', async (s) => {
  await s.fill('events', 100)
  const before = await s.readAll('events')
  const sealed = (await s.journal.segments('events', 0)).filter(({ isSealed }) => isSealed)
  s.passed.events = 50
  await s.runner.runOnce()
  const cold = await listColdSegments(diskFileSystem, coldDirectory(s.archiveDirectory, 'events', 0))
  assert.deepEqual(
    cold.map(({ baseOffset, endOffset }) => [baseOffset, endOffset]),
    sealed.map(({ baseOffset, endOffset }) => [baseOffset, endOffset]),
  )
  const [firstHot] = await s.journal.segments('events', 0)
  assert.ok(firstHot!.baseOffset > 30 && firstHot!.baseOffset <= 50)
  assert.equal(await s.journal.firstOffset('events', 0), 0)
  assert.deepEqual(await s.readAll('events'), before)
  assert.deepEqual(await s.journal.readOne('events', 0, 7), before[7])
})

scene('without the archive, what was passed is gone and reported as expired', async (s) => {
  s.settings.isEnabled = false
  await s.fill('events', 100)
  s.passed.events = 100
  await s.runner.runOnce()
  const [gap] = await s.readAll('events')
  const [firstHot] = await s.journal.segments('events', 0)
  assert.deepEqual(gap, { type: 'gap', offset: 0, count: firstHot!.baseOffset, reason: 'expired' })
  await assert.rejects(stat(coldDirectory(s.archiveDirectory, 'events', 0)), { code: 'ENOENT' })
})

scene(
  'a full journal gives up the oldest archived events, never requests that the pipeline has not read',
  async (s) => {
    await s.fill('events', 100)
    await s.fill('received', 100)
    s.settings.hotBytesMax = 10_000
    await s.runner.runOnce()
    assert.deepEqual(
      (await s.journal.segments('events', 0)).map(({ isSealed }) => isSealed),
      [true, false],
    )
    assert.equal((await s.journal.segments('received', 0))[0]!.baseOffset, 0)
    assert.deepEqual(
      (await s.readAll('events')).map(({ offset, type }) => [offset, type]),
      range(100).map((offset) => [offset, 'frame']),
    )
  },
)

scene('outcomes stay for the trace window after they were folded', async (s) => {
  await s.fill('outcomes', 100)
  s.passed.outcomes = 100
  await s.runner.runOnce()
  assert.equal((await s.journal.segments('outcomes', 0))[0]!.baseOffset, 0)
  s.clock.nowMs += 8 * 24 * 60 * 60 * 1000
  await s.runner.runOnce()
  assert.deepEqual(
    (await s.journal.segments('outcomes', 0)).map(({ isSealed }) => isSealed),
    [true, false],
  )
})

scene('cold segments end after their days', async (s) => {
  await s.fill('events', 100)
  s.passed.events = 100
  await s.runner.runOnce()
  s.settings.archiveDays = 3
  s.clock.nowMs += 2 * 24 * 60 * 60 * 1000
  await s.runner.runOnce()
  assert.equal(await s.journal.firstOffset('events', 0), 0)
  s.clock.nowMs += 2 * 24 * 60 * 60 * 1000
  await s.runner.runOnce()
  const [firstHot] = await s.journal.segments('events', 0)
  assert.equal(await s.journal.firstOffset('events', 0), firstHot!.baseOffset)
})

scene('one round follows the other until the runner is stopped', async (s) => {
  await s.fill('events', 100)
  s.runner.start()
  const directory = coldDirectory(s.archiveDirectory, 'events', 0)
  while ((await listColdSegments(diskFileSystem, directory)).length === 0)
    await new Promise((resolve) => setImmediate(resolve))
  await s.runner.stop()
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
