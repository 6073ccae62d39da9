import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Planted } from './mutants.ts'
import type { WorkerAnswer, WorkerTask } from './worker.ts'

export interface Failure {
  seed: number
  why: string
}

/** A schedule takes some hundredths of a second; one that takes so long has no end. */
const scheduleSecondsMax = 20

/** Runs one schedule for each of `count` seeds from `first` on, on all cores, until one fails. Undefined when none does.
 *
 *  Threads, because the test runner follows every promise of its own, which takes as long as the simulation itself. */
export async function runSchedules(first: number, count: number, planted?: Planted): Promise<Failure | undefined> {
  const threads = Math.min(count, availableParallelism())
  const runs = Array.from({ length: threads }, (_, index) =>
    runThread({ first: first + index, count: Math.ceil((count - index) / threads), step: threads }, planted),
  )
  const failures = runs.map(({ failure }) => failure.then((found) => found ?? new Promise<never>(() => {})))
  const all = Promise.all(runs.map(({ failure }) => failure)).then((found) => found.find((one) => one !== undefined))
  try {
    return await Promise.race([...failures, all])
  } finally {
    await Promise.all(runs.map(({ stop }) => stop()))
  }
}

function runThread(seeds: WorkerTask['seeds'], planted: Planted | undefined) {
  const progress = new Int32Array(new SharedArrayBuffer(4))
  const workerData: WorkerTask = { seeds, planted, progress }
  const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData })
  let watchdog: NodeJS.Timeout | undefined
  const failure = new Promise<Failure | undefined>((resolve, reject) => {
    watchdog = watch(progress, (seed) => resolve({ seed, why: `it does not end within ${scheduleSecondsMax} s` }))
    worker.once('message', ({ failed }: WorkerAnswer) => resolve(failed))
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`a simulation thread ended with code ${code}`)))
  })
  return {
    failure,
    async stop() {
      clearInterval(watchdog)
      await worker.terminate()
    },
  }
}

/** Calls back with the seed at which a thread has been for too long. Counts ticks, so that a machine that slept is not taken for that. */
function watch(progress: Int32Array, isStuck: (seed: number) => void): NodeJS.Timeout {
  let seen = { seed: 0, ticks: 0 }
  return setInterval(() => {
    const seed = Atomics.load(progress, 0)
    if (seed !== seen.seed) seen = { seed, ticks: 0 }
    else if ((seen.ticks += 1) > scheduleSecondsMax) isStuck(seed)
  }, 1_000)
}
