/** A thread that runs schedules until one fails. It may plant a bug: then the sources are changed as they are loaded. */
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { Planted } from './mutants.ts'

export interface WorkerTask {
  seeds: { first: number; count: number; step: number }
  planted: Planted | undefined
  /** Where the thread writes the seed it is at, for one that never comes back. */
  progress: Int32Array
}

/** What the thread says before it ends. */
export type WorkerAnswer = { failed: { seed: number; why: string } } | { failed: undefined; steps: number }

const { seeds, planted, progress } = workerData as WorkerTask
if (planted !== undefined && 'file' in planted) plant(planted)
const { runSchedule } = await import('./schedule.ts')

parentPort!.postMessage(await runAll())

async function runAll(): Promise<WorkerAnswer> {
  const options = planted !== undefined && 'options' in planted ? planted.options : {}
  let steps = 0
  for (let i = 0; i < seeds.count; i += 1) {
    const seed = seeds.first + i * seeds.step
    Atomics.store(progress, 0, seed)
    try {
      steps += (await runSchedule(seed, options)).steps
    } catch (error) {
      return { failed: { seed, why: error instanceof Error ? (error.stack ?? error.message) : String(error) } }
    }
  }
  return { failed: undefined, steps }
}

function plant({ file, before, after }: Extract<Planted, { file: string }>): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.startsWith('file:') || !fileURLToPath(url).endsWith(`/src/${file}`)) return loaded
      const source = String(loaded.source)
      if (source.split(before).length !== 2) throw new Error(`src/${file} has changed: the bug finds its place no more`)
      return { ...loaded, source: source.replace(before, () => after) }
    },
  })
}
