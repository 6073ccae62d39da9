/**
 * A world with one seed: virtual time, and a scheduler that decides which of the things that could happen next does. All that
 * waits (timers, completions of file operations) waits here, so the same seed gives the same run, step by step.
 */
import type { Clock, TimerHandle } from '../../src/base/clock.ts'
import { createRandom, type Random } from '../../src/base/seeded-random.ts'

/** One simulated process: what it scheduled dies with it. */
export interface Process {
  readonly isAlive: boolean
  readonly clock: Clock
  /** Runs soon, in an order that the seed decides. */
  schedule(run: () => void): void
  /** Its tasks and timers never run; whoever awaits them waits for ever. `SimulatedDisk.kill` calls it. */
  kill(): void
}

export interface Scheduler {
  readonly random: Random
  /** Steps taken so far. */
  readonly stepCount: number
  readonly nowMs: number
  createProcess(): Process
  /** Takes steps until `isDone`, or until nothing is left to do. Throws after `stepsMax` steps. */
  run(isDone: () => boolean, stepsMax?: number): Promise<void>
  /** Takes this many steps, fewer when nothing is left to do. */
  runSteps(count: number): Promise<void>
}

interface Task {
  process: Process
  run: () => void
}

interface Timer extends Task {
  atMs: number
  /** Keeps timers of one moment in the order they were set. */
  order: number
}

const startMs = Date.UTC(2026, 0, 1)
/** One step in so many lets time pass although something is ready, so that timers meet slow disks. */
const timePassesOneIn = 12

/** The world of this seed. */
export function createScheduler(seed: number): Scheduler {
  const random = createRandom(seed)
  const ready: Task[] = []
  let timers: Timer[] = []
  let nowMs = startMs
  let stepCount = 0
  let timerCount = 0

  function createProcess(): Process {
    let isAlive = true
    const process: Process = {
      get isAlive() {
        return isAlive
      },
      clock: {
        now: () => nowMs,
        after: (ms, run) => addTimer(process, ms, run),
        clear(handle) {
          timers = timers.filter((timer) => timer !== handle.timer)
        },
      },
      schedule(run) {
        if (isAlive) ready.push({ process, run })
      },
      kill() {
        isAlive = false
        timers = timers.filter((timer) => timer.process !== process)
        for (let i = ready.length - 1; i >= 0; i -= 1) if (ready[i]!.process === process) ready.splice(i, 1)
      },
    }
    return process
  }

  function addTimer(process: Process, ms: number, run: () => void): TimerHandle {
    const timer: Timer = { process, run, atMs: nowMs + Math.max(0, ms), order: timerCount++ }
    if (process.isAlive) timers.push(timer)
    return { timer }
  }

  /** Does one thing; false when there is nothing to do. */
  function step(): boolean {
    const lettingTimePass = timers.length > 0 && (ready.length === 0 || random.integer(timePassesOneIn) === 0)
    const task = lettingTimePass ? takeNextTimer() : takeAny()
    if (task === undefined) return false
    stepCount += 1
    task.run()
    return true
  }

  function takeAny(): Task | undefined {
    if (ready.length === 0) return undefined
    const index = random.integer(ready.length)
    const task = ready[index]
    ready.splice(index, 1)
    return task
  }

  function takeNextTimer(): Task {
    const next = timers.reduce((a, b) => (b.atMs < a.atMs || (b.atMs === a.atMs && b.order < a.order) ? b : a))
    timers.splice(timers.indexOf(next), 1)
    nowMs = Math.max(nowMs, next.atMs)
    return next
  }

  async function run(isDone: () => boolean, stepsMax = 1_000_000): Promise<void> {
    await promisesSettled()
    for (let count = 0; !isDone(); count += 1) {
      if (count >= stepsMax) throw new Error(`not done after ${stepsMax} steps`)
      if (!step()) return
      await promisesSettled()
    }
  }

  return {
    random,
    get stepCount() {
      return stepCount
    },
    get nowMs() {
      return nowMs
    },
    createProcess,
    run,
    async runSteps(count) {
      let left = count
      await run(() => left-- <= 0)
    },
  }
}

/** Every promise that can settle by itself has. Immediates run after all microtasks, and nothing simulated uses immediates. */
function promisesSettled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
