import { test } from 'node:test'
import { isMainThread, Worker } from 'node:worker_threads'

/**
 * Registers a test that runs one schedule for each of `count` seeds. `SCHEDULES` is how many to run instead, `SEED` the first
 * of them; a failure names its seed, and `SEED=n SCHEDULES=1` replays it.
 *
 * The schedules run in a worker thread, which loads the calling file (`file` is its `import.meta.url`) again: the test runner
 * follows every promise of the thread it tests in, which takes as long as the simulation itself.
 */
export function testSchedules(
  title: string,
  file: string,
  count: number,
  runSchedule: (seed: number) => Promise<void>,
): void {
  const first = Number(process.env['SEED'] ?? 1)
  const schedules = Number(process.env['SCHEDULES'] ?? count)
  if (isMainThread) {
    test(`${schedules} schedules from seed ${first}: ${title}`, () => finished(new Worker(new URL(file))))
  } else {
    // Once the calling file has been evaluated to its end.
    setImmediate(() => void runAll(first, first + schedules, runSchedule))
  }
}

async function runAll(from: number, to: number, runSchedule: (seed: number) => Promise<void>): Promise<void> {
  for (let seed = from; seed < to; seed += 1) {
    try {
      await runSchedule(seed)
    } catch (cause) {
      // Thrown outside the promise, so that the worker ends with it.
      setImmediate(() => {
        throw new Error(`schedule failed, replay with SEED=${seed} SCHEDULES=1`, { cause })
      })
      return
    }
  }
}

function finished(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', () => resolve())
  })
}
