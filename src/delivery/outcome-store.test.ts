import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fold } from './fold.ts'
import { createLedger, ledgerToJson, type Ledger } from './ledger.ts'
import type { Outcome, OutcomeGroup } from './outcome-frame.ts'
import { openOutcomeStore } from './outcome-store.ts'

const DAY_MS = 86_400_000

async function pathFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-outcomes-'))
  t.after(() => rm(directory, { recursive: true }))
  return join(directory, 'delivery.db')
}

function outcome(timeMs: number, ...groups: OutcomeGroup[]): Outcome {
  return { kind: 'outcomes', connection: 1, timeMs, body: { cursors: {}, groups } }
}

const waiting: OutcomeGroup = { partition: 0, offsets: [4, 2], state: 'waiting', mapping: 'a', code: '503', attempt: 1 }
const failed: OutcomeGroup = {
  partition: 0,
  offsets: [7, 1],
  state: 'discarded',
  mapping: 'a',
  code: '400',
  attempt: 2,
  detail: 'no',
}

function plain(ledger: Ledger): unknown {
  return JSON.parse(JSON.stringify(ledgerToJson(ledger, { withOpen: true })))
}

test('a checkpoint comes back whole, the retry store with it, and only for its journal', async (t) => {
  const path = await pathFor(t)
  const ledger = createLedger(1, 9)
  fold(ledger, outcome(1, waiting, failed))
  const store = openOutcomeStore(path)
  store.save('j1', 5, [ledger])
  fold(ledger, outcome(2, { ...waiting, offsets: [4, 1], state: 'delivered' }))
  store.save('j1', 6, [ledger])
  store.close()
  const again = openOutcomeStore(path)
  t.after(() => again.close())
  const saved = again.load('j1')
  assert.equal(saved?.covered, 6)
  assert.deepEqual(saved.ledgers.map(plain), [plain(ledger)])
  assert.equal(again.load('j2'), undefined)
  again.reset()
  assert.equal(again.load('j1'), undefined)
})

test('the index leads from a message to the few frames that speak of it, before and after they are saved', async (t) => {
  const store = openOutcomeStore(await pathFor(t))
  t.after(() => store.close())
  store.index(outcome(1, { partition: 0, offsets: [200, 100], state: 'delivered' }), 10)
  store.index(outcome(1, waiting), 5000)
  for (const save of [() => {}, () => store.save('j1', 1, [])]) {
    save()
    assert.deepEqual(store.chunksFor(1, 0, 290), [0])
    assert.deepEqual(store.chunksFor(1, 0, 4), [0, 4864])
    assert.deepEqual(store.chunksFor(1, 1, 4), [])
    assert.deepEqual(store.chunksFor(2, 0, 4), [])
    assert.deepEqual(store.chunksFor(1, 0, 600), [])
  }
})

test('dead letters keep their reason until their time is over', async (t) => {
  const store = openOutcomeStore(await pathFor(t))
  t.after(() => store.close())
  store.index(outcome(DAY_MS, failed), 1)
  store.index(
    outcome(DAY_MS * 5, { ...failed, offsets: [8, 2], status: 400 }, { ...failed, offsets: [9, 1], mapping: 'b' }),
    2,
  )
  store.index(outcome(DAY_MS * 5, { ...failed, offsets: [20, 1], code: 'WINDOW_EXHAUSTED' }), 3)
  store.save('j1', 3, [])
  assert.deepEqual(store.deadLetters(1, {}, 10).at(-1), {
    partition: 0,
    offset: 7,
    mapping: 'a',
    code: '400',
    status: undefined,
    attempts: 2,
    atMs: DAY_MS,
    detail: 'no',
  })
  assert.deepEqual(store.expire(DAY_MS * 6, { deadLetterDays: 30, traceDays: 8 }), new Map([[1, 3]]))
  assert.deepEqual(store.expire(DAY_MS * 32, { deadLetterDays: 30, traceDays: 8 }), new Map([[1, 2]]))
  assert.deepEqual(store.chunksFor(1, 0, 7), [])
  assert.equal(store.deadLetters(1, {}, 10).length, 3)
})
