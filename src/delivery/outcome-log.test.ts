import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { JournalUnavailable, type PartitionWriter } from '../journal/index.ts'
import { createOutcomeLog, type OutcomeLog } from './outcome-log.ts'

/** Time passes as soon as somebody waits for it. */
const clock: Clock = {
  now: () => 0,
  after(_, run) {
    setImmediate(run)
    return { timer: undefined }
  },
  clear: () => {},
}

function logOver(append: PartitionWriter['append'], failures: unknown[] = []): { log: OutcomeLog; applied: number[] } {
  const applied: number[] = []
  const writer: PartitionWriter = {
    topic: 'outcomes',
    partition: 0,
    nextOffset: 0,
    pendingBytes: 0,
    isWritable: true,
    append,
    close: async () => {},
  }
  const log = createOutcomeLog({
    writer,
    clock,
    log: silentLogger,
    cursorsOf: () => ({}),
    apply: (_, offset) => applied.push(offset),
    onFailed: (error) => failures.push(error),
  })
  return { log, applied }
}

const group = { partition: 0, offsets: [0, 1], state: 'delivered', mapping: 'm' } as const

test('outcomes wait while the disk is full, and are applied once there is room', async () => {
  let refusals = 3
  const { log, applied } = logOver(async () => {
    if (refusals-- > 0) throw new JournalUnavailable('disk_reserve', 'full')
    return 7
  })
  log.append(1, [{ ...group, offsets: [0, 1] }])
  await log.flushed()
  assert.deepEqual(applied, [7])
})

test('a log closed while the disk is full does not wait for room: what it holds is sent again after the next start', async () => {
  const { log, applied } = logOver(() => Promise.reject(new JournalUnavailable('disk_reserve', 'full')))
  let isFreed = false
  log.append(1, [{ ...group, offsets: [0, 1] }], () => (isFreed = true))
  await log.close()
  assert.deepEqual([applied, isFreed], [[], false])
})

test('a journal that fails is reported, and nobody waits for what it did not take', async () => {
  const failures: unknown[] = []
  const failure = new JournalUnavailable('failed', 'EIO')
  const { log } = logOver(() => Promise.reject(failure), failures)
  log.append(1, [{ ...group, offsets: [0, 1] }])
  await log.flushed()
  await log.close()
  assert.deepEqual(failures, [failure])
})
