import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Cell, UpsertRows } from '../../../src/kit/index.ts'
import { mergeState, type StateRow } from './merge-state.ts'

const columns = ['id', 'received_at', 'a', 'b']

interface Call {
  id: string
  time: number
  a: Cell
  b: Cell
}

function rowsOf(calls: readonly Call[]): UpsertRows {
  const column = (name: 'a' | 'b') => ({ name, type: 'integer' as const, cells: calls.map((call) => call[name]) })
  return {
    schema: 's',
    table: 'users',
    rowCount: calls.length,
    columns: [
      { name: 'id', type: 'varchar', cells: calls.map(({ id }) => id) },
      { name: 'received_at', type: 'timestamp', cells: calls.map(({ time }) => time) },
      column('a'),
      column('b'),
    ],
  }
}

/** The state after these loads, each with its calls in the order of their times. */
function stateAfter(loads: readonly Call[][]): Map<string, StateRow> {
  const state = new Map<string, StateRow>()
  for (const calls of loads) {
    const sorted = [...calls].sort((x, y) => x.time - y.time)
    const changed = mergeState({ columns, existing: state, calls: rowsOf(sorted), isNew: () => true })
    for (const [id, row] of changed) state.set(id, row)
  }
  return state
}

const cell = fc.constantFrom<Cell>(undefined, null, 1, 2, 3)
const call = fc.record({ id: fc.constantFrom('u', 'w'), time: fc.integer({ min: 1, max: 1000 }), a: cell, b: cell })
const distinctTimes = { selector: ({ time }: Call) => time, maxLength: 12 }

test('how calls in order are cut into loads makes no difference', () => {
  fc.assert(
    fc.property(fc.uniqueArray(call, distinctTimes), fc.nat(), (calls, cut) => {
      const sorted = [...calls].sort((x, y) => x.time - y.time)
      const at = sorted.length === 0 ? 0 : cut % (sorted.length + 1)
      assert.deepEqual(stateAfter([sorted.slice(0, at), sorted.slice(at)]), stateAfter([sorted]))
      assert.deepEqual(stateAfter(sorted.map((one) => [one])), stateAfter([sorted]))
    }),
  )
})

test('a late call never changes a cell that says something, nor the time', () => {
  fc.assert(
    fc.property(fc.uniqueArray(call, distinctTimes), call, (calls, late) => {
      const before = stateAfter([calls])
      const row = before.get(late.id)
      if (row === undefined || late.time >= Number(row[1])) return
      const after = stateAfter([calls, [late]]).get(late.id)!
      for (const [i, cell] of row.entries()) if (cell !== null) assert.equal(after[i], cell)
    }),
  )
})

test('calls that do not count change nothing', () => {
  const changed = mergeState({
    columns,
    existing: new Map(),
    calls: rowsOf([{ id: 'u', time: 1, a: 1, b: 2 }]),
    isNew: () => false,
  })
  assert.equal(changed.size, 0)
})
