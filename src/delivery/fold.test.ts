import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fold } from './fold.ts'
import { createLedger, endedTotal, ledgerFromJson, ledgerToJson, partitionOf, sum, type Ledger } from './ledger.ts'
import { toRuns } from './offset-runs.ts'
import type { Outcome, OutcomeGroup } from './outcome-frame.ts'

function outcomes(...groups: OutcomeGroup[]): Outcome {
  return { kind: 'outcomes', connection: 1, timeMs: 7, body: { cursors: {}, groups } }
}

function group(offset: number, state: OutcomeGroup['state'], more: Partial<OutcomeGroup> = {}): OutcomeGroup {
  return { partition: 0, offsets: [offset, 1], state, mapping: 'a', ...more }
}

function folded(list: readonly Outcome[], from: Ledger = createLedger(1, 1)): Ledger {
  for (const outcome of list) fold(from, outcome)
  return from
}

function plain(ledger: Ledger): unknown {
  return JSON.parse(JSON.stringify(ledgerToJson(ledger, { withOpen: true })))
}

test('a message with several mappings waits while any waits, then counts once', () => {
  const ledger = createLedger(1, 1)
  fold(
    ledger,
    outcomes(
      group(5, 'delivered', { legs: 3 }),
      group(5, 'waiting', { mapping: 'b', legs: 3, code: '500', attempt: 1 }),
    ),
  )
  assert.equal(endedTotal(ledger), 0)
  fold(ledger, outcomes(group(5, 'discarded', { mapping: 'c', legs: 3, code: '400' })))
  assert.equal(endedTotal(ledger), 0)
  fold(ledger, outcomes(group(5, 'discarded', { mapping: 'b', legs: 3, code: '404', attempt: 2 })))
  // The first failing code, in the order in which the mappings came to something.
  assert.deepEqual([ledger.delivered, ledger.discarded, ledger.deadLetters, ledger.retries], [0, { 404: 1 }, 1, 1])
  assert.equal(ledger.partitions.get(0)!.open.size, 0)
})

test('what had an end does not get another', () => {
  const ledger = folded([
    outcomes(group(5, 'delivered')),
    outcomes(group(5, 'discarded', { code: '400' }), group(5, 'delivered')),
  ])
  assert.deepEqual([ledger.delivered, ledger.discarded], [1, {}])
})

test('the cursor forgets what it has passed and knows that it has ended', () => {
  const ledger = folded([outcomes(group(1, 'delivered'), group(3, 'delivered'))])
  fold(ledger, { kind: 'outcomes', connection: 1, timeMs: 8, body: { cursors: { 0: 3 }, groups: [] } })
  const books = partitionOf(ledger, 0, 0)
  assert.deepEqual([books.cursor, [...books.ended]], [3, [3]])
  fold(ledger, outcomes(group(1, 'discarded', { code: '400' })))
  assert.deepEqual([ledger.delivered, ledger.discarded], [2, {}])
})

test('a deleted connection ends what waited', () => {
  const ledger = folded([outcomes(group(1, 'waiting', { code: '500' }))])
  const received = { received: 9, rejected: { bad_request: 1 }, duplicate: 2, sourceDropped: {} }
  fold(ledger, { kind: 'connection', connection: 1, timeMs: 8, body: { event: 'deleted', received, waiting: 6 } })
  assert.equal(endedTotal(ledger), 9)
  assert.deepEqual([ledger.isDeleted, ledger.discarded], [true, { CONNECTION_DELETED: 6 }])
})

/** Histories of two partitions as delivery writes them: every message of each mapping set is spoken of, some after retries, in
 *  any order, with cursors that never pass what is unreported. */
const history = fc
  .array(
    fc.record({
      partition: fc.integer({ min: 0, max: 1 }),
      legs: fc.integer({ min: 1, max: 3 }),
      ends: fc.array(fc.constantFrom('delivered', 'discarded', 'dropped'), { minLength: 3, maxLength: 3 }),
      retries: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 3, maxLength: 3 }),
    }),
    { maxLength: 30 },
  )
  .chain((messages) => {
    const steps = messages.flatMap(({ partition, legs, ends, retries }, offset) =>
      Array.from({ length: legs }, (_, leg) => {
        const base = { partition, offsets: [offset, 1], mapping: `m${leg}`, legs }
        const attempts = Array.from({ length: retries[leg]! }, (_, index): OutcomeGroup => ({
          ...base,
          state: 'waiting',
          code: '503',
          attempt: index + 1,
        }))
        const state = ends[leg]!
        return [...attempts, { ...base, state, code: state === 'delivered' ? '' : '400', attempt: retries[leg]! + 1 }]
      }),
    ) as OutcomeGroup[][]
    const turns = steps.flatMap((list, index) => list.map(() => index))
    return fc
      .shuffledSubarray(turns, { minLength: turns.length })
      .map((order) => ({ count: messages.length, steps, order }))
  })

test('folding a part, storing it and folding the rest is folding all of it; every message is counted once', () => {
  fc.assert(
    fc.property(history, fc.nat(), ({ count, steps, order }, cut) => {
      const taken = steps.map(() => 0)
      const list = order.map((index) => outcomes(steps[index]![taken[index]!++]!))
      const whole = folded(list)
      const at = list.length === 0 ? 0 : cut % list.length
      const stored = ledgerFromJson(
        JSON.parse(JSON.stringify(ledgerToJson(folded(list.slice(0, at)), { withOpen: true }))),
      )
      assert.deepEqual(plain(folded(list.slice(at), stored)), plain(whole))
      assert.equal(whole.delivered + sum(whole.discarded) + sum(whole.dropped), count)
      assert.equal(
        [...whole.partitions.values()].reduce((open, books) => open + books.open.size, 0),
        0,
      )
      // Seen twice, as after a restart from an older state, nothing changes.
      assert.deepEqual(
        [whole.delivered, whole.discarded, whole.dropped],
        countsOf(folded(list, ledgerFromJson(plain(whole)))),
      )
    }),
  )
})

function countsOf({ delivered, discarded, dropped }: Ledger) {
  return [delivered, discarded, dropped]
}

test('runs hold any set of offsets', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(500)), (offsets) => {
      const ledger = folded([{ ...outcomes({ partition: 0, offsets: toRuns(offsets), state: 'delivered' }) }])
      assert.deepEqual(
        [...partitionOf(ledger, 0, 0).ended],
        offsets.toSorted((a, b) => a - b),
      )
      assert.equal(ledger.delivered, offsets.length)
    }),
  )
})

test('a ledger made from nothing stands where its first outcome says, and has still to count what lies below', () => {
  const ledger = createLedger(1, 1)
  fold(ledger, {
    kind: 'outcomes',
    connection: 1,
    timeMs: 7,
    body: { cursors: { 0: 8 }, groups: [group(9, 'delivered')] },
  })
  const books = partitionOf(ledger, 0, 0)
  assert.deepEqual([books.cursor, books.counted, ledger.delivered], [8, 0, 1])
})
