import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { createDedupeMemory } from './dedupe-memory.ts'
import { openDedupeStore, type DedupeStoreOptions } from './dedupe-store.ts'
import { entryKinds, messageKey, messageKeyLength, type DedupeIndex, type IndexEntry } from './dedupe.ts'

const day = 86_400_000
const noon = Date.UTC(2026, 2, 1, 12)

interface Folder {
  path: string
  open(changes?: Partial<DedupeStoreOptions>): Promise<DedupeIndex>
}

async function aFolder(t: TestContext): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'tributary-dedupe-'))
  const opened: DedupeIndex[] = []
  t.after(async () => {
    for (const index of opened) await index.close().catch(() => undefined)
    await rm(path, { recursive: true, force: true })
  })
  return {
    path,
    async open(changes = {}) {
      const index = await openDedupeStore({
        directory: path,
        journalId: 'j1',
        windowDays: () => 7,
        clock: systemClock,
        log: silentLogger,
        onFailure: (error) => assert.fail(error),
        ...changes,
      })
      opened.push(index)
      return index
    },
  }
}

function accepted(id: string, offset: number, receivedAtMs = noon): IndexEntry {
  return { kind: entryKinds.accepted, key: messageKey(1, id), offset, receivedAtMs }
}

function offsets(places: ({ offset: number } | undefined)[]): (number | undefined)[] {
  return places.map((place) => place?.offset)
}

const keys = (...ids: string[]): string[] => ids.map((id) => messageKey(1, id))

test('a key depends on the workspace and on the messageId', () => {
  const all = [messageKey(1, 'a'), messageKey(2, 'a'), messageKey(1, 'b'), messageKey(11, ''), messageKey(1, '1')]
  assert.equal(new Set(all).size, all.length)
  assert.ok(all.every((key) => /^[\w-]+$/.test(key) && key.length === messageKeyLength))
})

for (const kind of ['disk', 'memory']) {
  test(`${kind}: an entry is found at once and after it is written, the newest one where an id was taken twice`, async (t) => {
    const folder = await aFolder(t)
    const index = kind === 'disk' ? await folder.open() : createDedupeMemory()
    await index.put([accepted('a', 0), accepted('b', 1)], 2)
    assert.deepEqual(offsets(await index.check(keys('a', 'b', 'c'))), [0, 1, undefined])
    await index.flush()
    assert.deepEqual(await index.check(keys('c', 'b', 'a')), [
      undefined,
      { offset: 1, receivedAtMs: noon },
      { offset: 0, receivedAtMs: noon },
    ])
    await index.put([accepted('a', 7, noon + 8 * day)], 8)
    assert.deepEqual(offsets(await index.check(keys('a'))), [7])
    await index.flush()
    assert.deepEqual(offsets(await index.check(keys('a', 'b'))), [7, 1])
    assert.equal(index.covered, 8)
  })

  test(`${kind}: rejected and duplicate frames are found by their id and do not take it`, async (t) => {
    const folder = await aFolder(t)
    const index = kind === 'disk' ? await folder.open() : createDedupeMemory()
    const key = messageKey(1, 'a')
    const at = (kind: IndexEntry['kind'], offset: number, receivedAtMs = noon): IndexEntry => ({
      kind,
      key,
      offset,
      receivedAtMs,
    })
    await index.put([at(entryKinds.rejected, 3)], 4)
    assert.deepEqual(await index.check([key]), [undefined])
    await index.put(
      [at(entryKinds.accepted, 40), at(entryKinds.duplicate, 41), at(entryKinds.duplicate, 1000, noon + day)],
      1001,
    )
    assert.deepEqual(await index.find(key), [
      { kind: entryKinds.rejected, offset: 3 },
      { kind: entryKinds.accepted, offset: 40 },
      { kind: entryKinds.duplicate, offset: 41 },
      { kind: entryKinds.duplicate, offset: 1000 },
    ])
    assert.deepEqual(await index.find(messageKey(1, 'b')), [])
  })
}

test('a question is answered while entries keep coming', async (t) => {
  const folder = await aFolder(t)
  const index = await folder.open()
  await index.put([accepted('a', 0)], 1)
  let isAnswered = false
  const answer = index.find(messageKey(1, 'a')).finally(() => (isAnswered = true))
  for (let offset = 1; !isAnswered; offset += 1) {
    await index.put([accepted(`more-${offset}`, offset)], offset + 1)
    await new Promise(setImmediate)
  }
  assert.deepEqual(await answer, [{ kind: entryKinds.accepted, offset: 0 }])
})

test('the index says how far it is complete, also after it was opened again', async (t) => {
  const folder = await aFolder(t)
  const first = await folder.open()
  assert.equal(first.covered, undefined)
  await first.put([accepted('a', 4)], 10)
  await first.put([accepted('b', 12, noon + day)], 20)
  await first.close()
  const second = await folder.open()
  assert.equal(second.covered, 20)
  assert.deepEqual(offsets(await second.check(keys('a', 'b'))), [4, 12])
})

test('what a kill leaves is complete up to where it says', async (t) => {
  const folder = await aFolder(t)
  const first = await folder.open()
  await first.put([accepted('a', 0)], 1)
  await first.flush()
  await first.put([accepted('b', 1)], 2)
  await cp(join(folder.path, 'j1'), join(folder.path, 'killed'), { recursive: true })
  const second = await folder.open({ directory: folder.path, journalId: 'killed' }).catch(() => undefined)
  // Opening under another id removes the other stores, which this process still holds: on Linux their files live on.
  assert.equal(second?.covered, 1)
  assert.deepEqual(offsets(await second!.check(keys('a', 'b'))), [0, undefined])
})

test('a new day gets a store of its own, and one outside the window is removed', async (t) => {
  const folder = await aFolder(t)
  const index = await folder.open()
  for (let i = 0; i <= 10; i += 1) await index.put([accepted(`m${i}`, i, noon + i * day)], i + 1)
  await index.flush()
  assert.deepEqual(await readdir(join(folder.path, 'j1')), [
    '2026-03-03',
    '2026-03-04',
    '2026-03-05',
    '2026-03-06',
    '2026-03-07',
    '2026-03-08',
    '2026-03-09',
    '2026-03-10',
    '2026-03-11',
  ])
  assert.deepEqual(offsets(await index.check(keys('m1', 'm2', 'm10'))), [undefined, 2, 10])
  await index.close()
  assert.equal((await folder.open()).covered, 11)
})

test('a day never goes backwards: an older message joins the current day', async (t) => {
  const folder = await aFolder(t)
  const index = await folder.open()
  await index.put([accepted('a', 0, noon), accepted('late', 1, noon - day)], 2)
  await index.flush()
  assert.deepEqual(await readdir(join(folder.path, 'j1')), ['2026-03-01'])
  assert.deepEqual(offsets(await index.check(keys('late'))), [1])
})

test('an index of another journal is not used', async (t) => {
  const folder = await aFolder(t)
  const first = await folder.open()
  await first.put([accepted('a', 0)], 1)
  await first.close()
  const second = await folder.open({ journalId: 'j2' })
  assert.equal(second.covered, undefined)
  assert.deepEqual(await second.check(keys('a')), [undefined])
  assert.ok(!(await readdir(folder.path)).includes('j1'))
})

test('a store that is damaged, or missing between others, makes the index new', async (t) => {
  for (const harm of ['damage', 'remove'] as const) {
    const folder = await aFolder(t)
    const first = await folder.open()
    for (let i = 0; i < 3; i += 1) await first.put([accepted(`m${i}`, i, noon + i * day)], i + 1)
    await first.close()
    const middle = join(folder.path, 'j1', '2026-03-02')
    if (harm === 'remove') await rm(middle, { recursive: true })
    else await writeFile(join(middle, 'CURRENT'), 'nonsense\n')
    const second = await folder.open()
    assert.equal(second.covered, undefined, harm)
    assert.deepEqual(await second.check(keys('m0', 'm1', 'm2')), [undefined, undefined, undefined])
    await second.put([accepted('m0', 0)], 3)
    await second.flush()
    assert.equal(second.covered, 3)
  }
})

test('a store that another process holds is left alone', async (t) => {
  const folder = await aFolder(t)
  const first = await folder.open()
  await first.put([accepted('a', 0)], 1)
  await first.flush()
  await assert.rejects(folder.open())
  assert.deepEqual(offsets(await first.check(keys('a'))), [0])
})

test('the cover of a memory index goes back to what was flushed when it is dropped', async () => {
  const disk = { entries: [], covered: undefined }
  const first = createDedupeMemory(disk)
  await first.put([accepted('a', 0)], 1)
  await first.flush()
  await first.put([accepted('b', 1)], 2)
  const second = createDedupeMemory(disk)
  assert.equal(second.covered, 1)
  assert.deepEqual(offsets(await second.check(keys('a', 'b'))), [0, undefined])
})
