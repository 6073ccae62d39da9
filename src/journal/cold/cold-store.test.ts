import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { createRandom } from '../../base/seeded-random.ts'
import {
  createSimulatedDisk,
  plainProcess,
  type SimulatedDisk,
} from '../../../test/simulation/simulated-file-system.ts'
import type { Frame, Gap, Journal } from '../journal.ts'
import { frame, open, readAll, textOf } from '../journal-suite.ts'
import { openJournal } from '../segments/open-journal.ts'
import { writeColdSegment } from './write-cold-segment.ts'

const archiveDirectory = '/archive'
const count = 400

test('a cold segment gives back the same frames, in order and one by one', async () => {
  const { hot, cold } = await aColdSegment()
  assert.deepEqual(await readAll(cold), hot)
  for (const offset of [0, 1, 199, 398, 399]) assert.deepEqual(await cold.readOne('received', 0, offset), hot[offset])
  assert.equal(await cold.firstOffset('received', 0), 0)
})

test('reading one frame of a cold segment reads one block', async () => {
  const { disk, cold } = await aColdSegment()
  let bytes = 0
  disk.fault = (call) => {
    if (call.kind === 'read' && call.path.endsWith('.cold')) bytes += 1
    return undefined
  }
  assert.equal((await cold.readOne('received', 0, 300))?.offset, 300)
  // The trailer, the index, the block.
  assert.equal(bytes, 3)
})

test('a flipped bit in a cold segment costs at most its block, and is reported', async () => {
  const { disk, path, hot } = await aColdSegment()
  const size = disk.contentOf(path).byteLength
  const random = createRandom(5)
  for (let round = 0; round < 60; round += 1) {
    const position = random.integer(size)
    disk.flipBit(path, position, 2)
    const items = await readAll(await openOn(disk))
    const gaps = items.filter((item) => item.type === 'gap')
    assert.ok(gaps.length <= 1, 'one block at most')
    for (const gap of gaps) assert.ok(gap.reason === 'corrupt' && gap.count < count / 2, `${gap.count} frames`)
    assert.equal(endOf(items), count)
    for (const item of items) if (item.type === 'frame') assert.deepEqual(item, hot[item.offset])
    disk.flipBit(path, position, 2)
  }
})

test('a frame that was damaged when it was copied is damaged in the copy', async () => {
  const { hot, cold } = await aColdSegment((disk, segment) => {
    const content = disk.contentOf(segment)
    disk.flipBit(segment, content.indexOf('body 17 ') + 3, 0)
    disk.flipBit(segment, content.indexOf('body 30 ') - 30, 0)
  })
  const texts = (await readAll(cold)).map(textOf)
  assert.deepEqual(texts, hot.map(textOf))
  assert.equal(texts[17], 'damaged')
  assert.equal(texts[30], 'gap 30+1 corrupt')
})

/** A journal of which one segment was copied and then lost, and what it held. */
async function aColdSegment(damage: (disk: SimulatedDisk, segment: string) => void = () => {}) {
  const disk = createSimulatedDisk(createRandom(1))
  const journal = await openOn(disk)
  const { writer } = await open(journal, 0, () => null)
  const random = createRandom(2)
  for (let index = 0; index < count; index += 1) {
    const noise = Array.from({ length: 84 }, () => random.uuid()).join('')
    await writer.append([{ ...frame(Buffer.from(`body ${index} ${noise.slice(0, 3000)}`)), timeMs: 1000 + index }])
  }
  await writer.close()
  const segment = '/journal/received/0/00000000000000000000.segment'
  damage(disk, segment)
  const hot = await readAll(journal)
  const process = plainProcess()
  const fileSystem = disk.fileSystemOf(process)
  const range = { topic: 'received' as const, partition: 0, baseOffset: 0, endOffset: count }
  await writeColdSegment({ journal, fileSystem, archiveDirectory, ...range })
  await fileSystem.remove(segment)
  const path = disk.paths().find((one) => one.endsWith('.cold'))!
  return { disk, path, hot, cold: await openOn(disk) }
}

async function openOn(disk: SimulatedDisk): Promise<Journal> {
  const process = plainProcess()
  return await openJournal({
    directory: '/journal',
    archiveDirectory,
    fileSystem: disk.fileSystemOf(process),
    clock: systemClock,
    newId: createRandom(9).uuid,
    defer: process.schedule,
  })
}

function endOf(items: readonly (Frame | Gap)[]): number {
  return items.reduce((end, item) => {
    assert.equal(item.offset, end)
    return end + (item.type === 'gap' ? item.count : 1)
  }, 0)
}
