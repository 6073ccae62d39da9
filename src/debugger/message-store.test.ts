import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { NewMessage } from './kept-message.ts'
import { defaultStoreLimits, openMessageStore, type StoreLimits } from './message-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-debugger-'))
after(() => rmSync(directory, { recursive: true, force: true }))
let files = 0

function open(limits: Partial<StoreLimits> = {}, path = join(directory, `${(files += 1)}.sqlite`)) {
  return { path, store: openMessageStore(path, 'journal', { ...defaultStoreLimits, ...limits }) }
}

function message(source: number, offset: number, more: Partial<NewMessage> = {}): NewMessage {
  return {
    source,
    partition: 0,
    offset,
    receivedAtMs: 1_000_000 + offset,
    sourceTotal: offset + 1,
    decision: 'processed',
    raw: '{}',
    processed: '{}',
    ...more,
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const newest = Number.MAX_SAFE_INTEGER

test('a source keeps its newest messages, up to the number that is allowed', () => {
  const { store } = open({ messagesPerSource: 5 })
  store.add(
    range(0, 4).map((offset) => message(1, offset)),
    new Map([[0, 4]]),
  )
  store.add(
    range(4, 12).map((offset) => message(1, offset)),
    new Map([[0, 12]]),
  )
  assert.deepEqual(
    [...store.before(1, newest)].map(({ offset }) => offset),
    [11, 10, 9, 8, 7],
  )
  assert.deepEqual(
    [...store.after(1, 10)].map(({ ordinal }) => ordinal),
    [11, 12],
  )
  store.close()
})

test('large messages push out older ones by their bytes, and the newest stays however large it is', () => {
  const { store } = open({ bytesPerSource: 10_000 })
  for (const offset of range(0, 10)) store.add([message(1, offset, { raw: 'x'.repeat(3_000) })], new Map())
  assert.deepEqual(
    [...store.before(1, newest)].map(({ offset }) => offset),
    [9, 8, 7],
  )
  store.add([message(1, 10, { raw: 'x'.repeat(50_000) })], new Map())
  assert.deepEqual(
    [...store.before(1, newest)].map(({ offset }) => offset),
    [10],
  )
  store.close()
})

test('when all sources together have too much, those that were silent longest lose theirs', () => {
  const { path, store } = open({ bytes: 100_000, bytesPerSource: 30_000 })
  for (const source of range(1, 30))
    for (const i of range(0, 10)) store.add([message(source, source * 10 + i, { raw: 'x'.repeat(2_000) })], new Map())
  const kept = range(1, 30).filter((source) => [...store.before(source, newest)].length > 0)
  assert.deepEqual(kept, [26, 27, 28, 29])
  // A freed page is used again.
  store.close()
  assert.ok(statSync(path).size < 300_000, String(statSync(path).size))
})

test('what was stored is there after the file was opened again, with its bounds and its numbers', () => {
  const { path, store } = open({ messagesPerSource: 3 })
  store.add(
    range(0, 5).map((offset) => message(1, offset, { name: 'a\0\ud800😀', rawMissing: 'expired', raw: null })),
    new Map([[0, 5]]),
  )
  store.close()
  const again = open({ messagesPerSource: 3 }, path).store
  assert.deepEqual(again.positions(), new Map([[0, 5]]))
  again.add([message(1, 5)], new Map([[0, 6]]))
  assert.deepEqual(
    [...again.before(1, newest)].map(({ ordinal }) => ordinal),
    [6, 5, 4],
  )
  const [, before] = [...again.before(1, newest)]
  assert.deepEqual([before?.name, before?.raw, before?.rawMissing], ['a\0\ud800😀', null, 'expired'])
  again.close()
})

test('a file of another journal, of another version or that is none is made anew', () => {
  const { path, store } = open()
  store.add([message(1, 0)], new Map([[0, 1]]))
  store.close()
  const other = openMessageStore(path, 'another journal')
  assert.deepEqual([[...other.before(1, newest)], other.positions().size], [[], 0])
  other.close()
  writeFileSync(path, 'this is no database, whatever its name says'.repeat(100))
  const { store: made } = open({}, path)
  made.add([message(1, 0)], new Map())
  assert.equal(made.newest(1), 1)
  made.close()
})

test('what is older than the bound and what belongs to no source any more is removed', () => {
  const { store } = open({ ageMs: 1_000 })
  store.add([message(1, 0), message(1, 1_500), message(2, 1_500)], new Map())
  store.expire(1_000_000 + 2_000, (source) => source === 1)
  assert.deepEqual(
    [...store.before(1, newest)].map(({ offset }) => offset),
    [1_500],
  )
  assert.deepEqual([...store.before(2, newest)], [])
  store.close()
})

test('a failed write leaves what was there, and nothing of it', () => {
  const { store } = open()
  store.add([message(1, 0)], new Map([[0, 1]]))
  const broken = message(1, 2, { processed: {} as unknown as string })
  assert.throws(() => store.add([message(1, 1), broken], new Map([[0, 3]])))
  assert.deepEqual(store.positions(), new Map([[0, 1]]))
  store.add([message(1, 3)], new Map([[0, 4]]))
  assert.deepEqual(
    [...store.before(1, newest)].map(({ ordinal, offset }) => [ordinal, offset]),
    [
      [2, 3],
      [1, 0],
    ],
  )
  store.close()
})
