import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventKinds, type Frame } from '../journal/index.ts'
import { PipelineState } from './counters.ts'

function aFrame(changes: Partial<Frame>): Frame {
  return {
    type: 'frame',
    offset: 0,
    kind: eventKinds.track,
    flags: 0,
    source: 1,
    timeMs: 0,
    index: 0,
    inputPartition: 0,
    inputOffset: 0,
    sourceTotal: 1,
    body: Buffer.from('{"code":"bad_request"}'),
    isDamaged: false,
    ...changes,
  }
}

test('a checkpoint gives the state back', () => {
  const state = new PipelineState()
  state.setWorkspace(1, 9)
  state.foldFrame(aFrame({}))
  state.foldFrame(aFrame({ index: 1, sourceTotal: 2, kind: eventKinds.rejected }))
  state.foldFrame(aFrame({ inputPartition: 3, inputOffset: 8, source: 2, kind: eventKinds.duplicate }))
  const checkpoint = JSON.parse(JSON.stringify(state.toCheckpoint())) as unknown
  const again = PipelineState.fromCheckpoint(checkpoint)
  assert.deepEqual(again.toCheckpoint(), state.toCheckpoint())
  assert.deepEqual(again.positions(), { 0: { offset: 0, index: 2 }, 3: { offset: 8, index: 1 } })
  assert.deepEqual([again.decided(1), again.decided(2), again.workspace(1), again.total(0, 1)], [2, 1, 9, 2])
})

test('a frame that does not follow the last one is a broken promise', () => {
  for (const wrong of [
    { inputOffset: 5, index: 0 },
    { inputOffset: 5, index: 2 },
    { inputOffset: 4, index: 0 },
    { inputOffset: 6, index: 1 },
  ]) {
    const state = new PipelineState()
    state.foldFrame(aFrame({ inputOffset: 5 }))
    assert.throws(() => state.foldFrame(aFrame({ sourceTotal: 2, ...wrong })), {
      name: 'AssertionFailed',
    })
  }
})

test('frames of events that are gone count as dropped, for their source and for the total of their input', () => {
  const state = new PipelineState()
  state.foldFrame(aFrame({}))
  state.foldGap()
  state.foldFrame(aFrame({ inputOffset: 4, index: 2, sourceTotal: 6 }))
  assert.deepEqual(state.counts()[1], { processed: 2, duplicate: 0, rejected: {}, dropped: { JOURNAL_CORRUPT: 4 } })
  assert.deepEqual([state.decided(1), state.total(0, 1)], [6, 6])
})

test('with several inputs the totals are learnt again after a gap, also across a checkpoint', () => {
  const state = new PipelineState()
  state.foldFrame(aFrame({}))
  state.foldFrame(aFrame({ inputPartition: 1, sourceTotal: 2 }))
  state.foldGap()
  state.foldFrame(aFrame({ inputPartition: 1, inputOffset: 3, sourceTotal: 9 }))
  const again = PipelineState.fromCheckpoint(state.toCheckpoint())
  assert.deepEqual([again.total(0, 1), again.total(1, 1), again.total(0, 2)], [undefined, undefined, 0])
})

test('a decision that cannot be read keeps its kind', () => {
  const state = new PipelineState()
  state.foldFrame(aFrame({ kind: eventKinds.rejected, isDamaged: true }))
  assert.deepEqual(state.counts()[1]?.rejected, { JOURNAL_CORRUPT: 1 })
})
