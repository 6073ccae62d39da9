/** Time and timers as an argument, so that a test or a simulation can own them. */
export interface Clock {
  /** Milliseconds since the epoch (wall clock; may jump). */
  now(): number
  /** Calls `run` once, `ms` milliseconds from now. The handle goes to `clear`. Never keeps a process alive by itself. */
  after(ms: number, run: () => void): TimerHandle
  clear(timer: TimerHandle): void
}

export type TimerHandle = { readonly timer: unknown }

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return { timer }
  },
  clear({ timer }) {
    // The handle was made by `after` above, which is the only maker of system timers.
    clearTimeout(timer as NodeJS.Timeout)
  },
}

/** Resolves after `ms` milliseconds of the given clock. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve))
}
