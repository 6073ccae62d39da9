/**
 * One timer for all requests in flight. Thousands of requests a second with a timer each would cost more than the requests;
 * here adding and removing a deadline is a set operation. Time is counted in ticks rather than read from the clock, so that a jump of
 * the wall clock ends nothing, and a process that was stopped for a while gives its requests that while.
 */
import type { Clock, TimerHandle } from '../base/clock.ts'

const TICK_MS = 25

export interface Deadline {
  readonly dueTick: number
  expire(): void
}

export interface Deadlines {
  /** The tick that comes `timeoutMs` from now, or up to two ticks of 25 ms later. */
  tickAfter(timeoutMs: number): number
  /** Calls `deadline.expire()` once, at its tick, unless it is removed before. */
  add(deadline: Deadline): void
  remove(deadline: Deadline): void
  stop(): void
}

export function createDeadlines(clock: Clock): Deadlines {
  const open = new Set<Deadline>()
  let tick = 0
  let timer: TimerHandle | undefined

  function sweep(): void {
    tick += 1
    timer = open.size > 0 ? clock.after(TICK_MS, sweep) : undefined
    for (const deadline of open) {
      if (deadline.dueTick > tick) continue
      open.delete(deadline)
      deadline.expire()
    }
  }

  return {
    // One tick more, because the running tick began some time ago.
    tickAfter: (timeoutMs) => tick + Math.ceil(timeoutMs / TICK_MS) + 1,
    add(deadline) {
      open.add(deadline)
      timer ??= clock.after(TICK_MS, sweep)
    },
    remove: (deadline) => void open.delete(deadline),
    stop() {
      if (timer) clock.clear(timer)
      timer = undefined
    },
  }
}
