import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../base/logger.ts'
import type { Journal } from '../journal/index.ts'
import { createDispatcher, Stream } from './dispatcher.ts'

test('a dispatcher that cannot read says so once, and nobody waits for it', async () => {
  const failures: unknown[] = []
  const failure = new Error('EIO')
  // The dispatcher asks nothing else of it.
  const journal = { openReader: () => Promise.reject(failure) } as unknown as Journal
  const dispatcher = createDispatcher({
    journal,
    log: silentLogger,
    streams: new Map([[0, new Stream(0, 0, () => {})]]),
    findPartitions: async () => {},
    onFailed: (error) => failures.push(error),
  })
  await dispatcher.caughtUp()
  dispatcher.wake()
  await dispatcher.stop()
  assert.deepEqual(failures, [failure])
})
