import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { diskFileSystem } from '../base/file-system.ts'
import { entryKinds, messageKey, type IndexEntry } from './dedupe.ts'
import { IdCollector, openIdFiles } from './id-file.ts'

async function aFolder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tributary-ids-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

function collect(base: number, entries: readonly IndexEntry[]): IdCollector {
  const ids = new IdCollector(base)
  for (const entry of entries) ids.add(entry)
  return ids
}

test('an id file gives back what was collected', async (t) => {
  const files = await openIdFiles(diskFileSystem, await aFolder(t))
  const entry = fc.record(
    {
      kind: fc.constantFrom(...Object.values(entryKinds)),
      key: fc.string().map((id) => messageKey(1, id)),
      offset: fc.integer({ min: 2 ** 40, max: 2 ** 40 + 2 ** 32 - 1 }),
      receivedAtMs: fc.integer({ min: 0, max: 253_402_300_799_999 }),
    },
    { noNullPrototype: true },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 1000 }), async (entries) => {
      await files.write(collect(2 ** 40, entries), 2 ** 41)
      const read = await files.read(2 ** 40)
      assert.deepEqual([...read!.entries], entries)
      assert.deepEqual([read!.base, read!.end], [2 ** 40, 2 ** 41])
    }),
    { numRuns: 20 },
  )
})

test('a damaged or missing id file is no id file', async (t) => {
  const folder = await aFolder(t)
  const files = await openIdFiles(diskFileSystem, folder)
  const entry = { kind: entryKinds.accepted, key: messageKey(1, 'a'), offset: 5, receivedAtMs: 7 }
  await files.write(collect(0, [entry]), 9)
  const path = join(folder, (await readdir(folder))[0]!)
  const whole = await readFile(path)
  for (let at = 0; at < whole.length; at += 1) {
    // Another version is refused rather than taken for damage.
    if (at >= 4 && at < 8) continue
    const flipped = Buffer.from(whole)
    flipped[at]! ^= 0x10
    await writeFile(path, flipped)
    assert.equal(await files.read(0), undefined, `byte ${at}`)
  }
  await writeFile(path, whole.subarray(0, 30))
  assert.equal(await files.read(0), undefined)
  assert.equal(await files.read(1), undefined)
})

test('an id file of a newer version is refused with a sentence', async (t) => {
  const folder = await aFolder(t)
  const files = await openIdFiles(diskFileSystem, folder)
  await files.write(collect(0, []), 9)
  const path = join(folder, (await readdir(folder))[0]!)
  const bytes = await readFile(path)
  bytes.writeUInt32LE(2, 4)
  await writeFile(path, bytes)
  await assert.rejects(files.read(0), { code: 'newer_format' })
})

test('files in which nothing is recent are removed', async (t) => {
  const files = await openIdFiles(diskFileSystem, await aFolder(t))
  for (const base of [0, 10, 20]) {
    const entry = { kind: entryKinds.accepted, key: messageKey(1, `${base}`), offset: base, receivedAtMs: base }
    await files.write(collect(base, [entry]), base + 10)
  }
  await files.removeOlder(10)
  assert.deepEqual(await files.ranges(), [
    { base: 10, end: 20, newestMs: 10 },
    { base: 20, end: 30, newestMs: 20 },
  ])
})
