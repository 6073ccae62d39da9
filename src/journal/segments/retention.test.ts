import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createScheduler, type Process } from '../../../test/simulation/scheduler.ts'
import {
  createSimulatedDisk,
  plainProcess,
  type SimulatedDisk,
} from '../../../test/simulation/simulated-file-system.ts'
import { createRandom } from '../../base/seeded-random.ts'
import type { Journal } from '../journal.ts'
import { open, texts } from '../journal-suite.ts'
import { openJournal } from './open-journal.ts'

function openOn(disk: SimulatedDisk, process: Process): Promise<Journal> {
  return openJournal({
    directory: '/journal',
    fileSystem: disk.fileSystemOf(process),
    clock: process.clock,
    newId: () => 'journal',
    segmentBytesMax: 600,
    defer: process.schedule,
  })
}

function aProcess(): Process {
  const timers = { now: () => 0, after: () => ({ timer: undefined }), clear: () => {} }
  return Object.assign(plainProcess(), { clock: timers })
}

test('a power cut in the middle of a removal leaves no hole between older and newer segments', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const disk = createSimulatedDisk(createRandom(seed))
    const journal = await openOn(disk, aProcess())
    const { writer } = await open(journal, 0, () => null)
    for (let i = 0; i < 12; i += 1) await writer.append(texts(String(i).repeat(200)))
    const before = disk.paths().filter((path) => path.endsWith('.segment'))
    assert.ok(before.length > 6)
    let removals = 0
    disk.fault = ({ kind }) => (kind === 'remove' && (removals += 1) > 4 ? 'EIO' : undefined)
    await assert.rejects(journal.removeBefore('received', 0, writer.nextOffset), { code: 'EIO' })
    disk.fault = undefined
    disk.cutPower()
    const after = disk.paths().filter((path) => path.endsWith('.segment'))
    assert.deepEqual(after, before.slice(before.length - after.length), `seed ${seed}`)
  }
})

test('the first offset of a partition that is just beginning is its first, whenever one asks', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const scheduler = createScheduler(seed)
    const disk = createSimulatedDisk(scheduler.random)
    const [one, other] = [scheduler.createProcess(), scheduler.createProcess()]
    let first: number | undefined
    async function run(): Promise<void> {
      const { writer } = await open(await openOn(disk, one), 0, () => null)
      const reader = await openOn(disk, other)
      const appended = writer.append(texts('a', 'b'))
      first = await reader.firstOffset('received', 0)
      await appended
    }
    let isDone = false
    void run().finally(() => (isDone = true))
    await scheduler.run(() => isDone)
    assert.equal(first, 0, `seed ${seed}`)
  }
})
