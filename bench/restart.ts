/** Ready again after `kill -9` of everything with many accepted and unprocessed events. */
import { generate } from './generator.ts'
import { startProduct } from './product.ts'
import { isShort, report } from './report.ts'
import type { Platform } from '../test/support/platform.ts'

const events = isShort ? 20_000 : 1_000_000
const product = await startProduct({ batchSize: 100 })
let platform: Platform = product.platform
try {
  // With the pipeline stopped, everything that is accepted stays unprocessed.
  const pipeline = platform.children().get('pipeline')
  if (pipeline === undefined) throw new Error('there is no pipeline process')
  process.kill(pipeline, 'SIGSTOP')
  const result = await generate({
    url: platform.url,
    writeKey: 'bench_key',
    eventsPerSecond: 60_000,
    batch: 200,
    seconds: events / 60_000,
    run: 'run',
  })
  const children = [...platform.children().values()]
  const parent = platform.process
  const ended = new Promise((resolve) => parent.once('exit', resolve))
  parent.kill('SIGKILL')
  for (const pid of children) process.kill(pid, 'SIGKILL')
  await ended
  const startedAt = performance.now()
  platform = await platform.restart()
  const seconds = (performance.now() - startedAt) / 1000
  report('Restart', [
    {
      what: `ready after kill -9 with ${result.sent.toLocaleString('en')} unprocessed events`,
      result: `${seconds.toFixed(1)} s`,
      budget: '≤ 5 s',
      isMet: seconds <= 5,
    },
  ])
} finally {
  await platform.dispose()
  await product.dispose()
}
