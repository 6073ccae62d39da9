import type { Clock, TimerHandle } from '../../base/clock.ts'

/** A clock that stands still until the test moves it. */
export interface ManualClock extends Clock {
  /** Moves on and runs what falls due on the way, in its order. */
  advance(ms: number): void
}

export function createManualClock(startMs = 1_000_000): ManualClock {
  let nowMs = startMs
  let timers: { atMs: number; run: () => void; handle: TimerHandle }[] = []
  return {
    now: () => nowMs,
    after(ms, run) {
      const handle = { timer: Symbol('timer') }
      timers.push({ atMs: nowMs + ms, run, handle })
      return handle
    },
    clear(handle) {
      timers = timers.filter((entry) => entry.handle !== handle)
    },
    advance(ms) {
      const endMs = nowMs + ms
      for (;;) {
        const next = timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
        if (next === undefined) break
        timers = timers.filter((entry) => entry !== next)
        nowMs = Math.max(nowMs, next.atMs)
        next.run()
      }
      nowMs = endMs
    },
  }
}
