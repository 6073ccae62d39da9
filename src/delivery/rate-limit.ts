/** Spaces requests evenly: at most `perSecond` in a second, without bursts. */
export interface RateLimit {
  /** 0 when a request may start now, else how many milliseconds to wait. */
  waitMs(nowMs: number): number
  /** A request starts now. */
  take(nowMs: number): void
  configure(perSecond: number | undefined): void
}

/** A timer is late by a few milliseconds; what it was late by may be caught up, not more. */
const CATCH_UP_MS = 20

export function createRateLimit(perSecond: number | undefined): RateLimit {
  let spacingMs = perSecond === undefined ? 0 : 1000 / perSecond
  let nextMs = 0
  return {
    waitMs: (nowMs) => (spacingMs === 0 ? 0 : Math.max(0, nextMs - nowMs)),
    take(nowMs) {
      if (spacingMs > 0) nextMs = Math.max(nextMs, nowMs - CATCH_UP_MS) + spacingMs
    },
    configure(next) {
      spacingMs = next === undefined ? 0 : 1000 / next
    },
  }
}
