import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { systemClock } from '../base/clock.ts'
import { diskFileSystem } from '../base/file-system.ts'
import { eventKinds, openJournal, type Journal, type PartitionWriter } from '../journal/index.ts'
import { createRawLog, type RawLog } from './raw-log.ts'

const DAY_MS = Date.UTC(2026, 2, 1)

let directory: string
let journal: Journal
let writer: PartitionWriter
let rawLog: RawLog

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tributary-raw-log-'))
  journal = await openJournal({
    directory: join(directory, 'journal'),
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId: () => 'a'.repeat(32),
    segmentBytesMax: 4_000,
  })
  const opened = await journal.openWriter('events', 0, { checkpoint: () => null })
  writer = opened.writer
  rawLog = createRawLog({ journal, archiveDirectory: directory, sourceIdOf: (source) => `src_${source}` })
})

afterEach(async () => {
  await writer.close()
  await journal.close()
  await rm(directory, { recursive: true })
})

async function append(id: string, options: { source?: number; kind?: number; timeMs?: number } = {}): Promise<void> {
  const { source = 1, kind = eventKinds.track, timeMs = DAY_MS + 5 } = options
  const body = [Buffer.from(JSON.stringify({ type: 'track', messageId: id, fill: 'x'.repeat(200) }))]
  await writer.append([
    { kind, flags: 0, source, timeMs, index: 0, inputPartition: 0, inputOffset: 0, sourceTotal: 1, body },
  ])
}

/** Ids in all objects of a source and day, in the order of their names. */
async function idsOf(source: number, dayMs: number): Promise<string[]> {
  const folder = join(directory, 'segment-logs', `src_${source}`, String(dayMs))
  const ids: string[] = []
  for (const name of (await readdir(folder)).sort()) {
    assert.match(name, /^\d+\.0\.\d+\.gz$/)
    const lines = gunzipSync(await readFile(join(folder, name))).toString()
    assert.ok(lines.endsWith('\n'))
    for (const line of lines.trimEnd().split('\n')) ids.push((JSON.parse(line) as { messageId: string }).messageId)
  }
  return ids
}

test('a flush writes every message by source and day of receipt, decisions left out', async () => {
  await append('a1')
  await append('b1', { source: 2 })
  await append('rejected', { kind: eventKinds.rejected })
  await append('a2', { timeMs: DAY_MS + 86_400_000 })
  await rawLog.flush()
  assert.deepEqual(await idsOf(1, DAY_MS), ['a1'])
  assert.deepEqual(await idsOf(1, DAY_MS + 86_400_000), ['a2'])
  assert.deepEqual(await idsOf(2, DAY_MS), ['b1'])
})

test('writing again, and sealing what was flushed in part, overwrites instead of doubling', async () => {
  const ids = Array.from({ length: 60 }, (_, i) => `m${i}`)
  for (const [i, id] of ids.entries()) {
    await append(id)
    if (i % 7 === 0) await rawLog.flush()
    if (i % 11 === 0) await rawLog.writeSealed()
  }
  await rawLog.flush()
  await rawLog.flush()
  assert.deepEqual((await idsOf(1, DAY_MS)).sort(), ids.sort())
})

test('sealed segments are written once: what was removed by the operator stays removed', async () => {
  for (let i = 0; i < 60; i++) await append(`m${i}`)
  await rawLog.writeSealed()
  await rm(join(directory, 'segment-logs', 'src_1'), { recursive: true })
  await rawLog.writeSealed()
  assert.deepEqual((await readdir(join(directory, 'segment-logs'))).sort(), ['written.json'])
})
