/** How many attempts of a connection may run at once. Adaptive: starts at 10, grows by one for each full round of good answers
 *  while it is used up and the destination does not slow down, halves when the destination asks for room or does not answer
 *  in time (as TCP does with its window). A number in the settings fixes it. */
export const CONCURRENCY_START = 10
export const CONCURRENCY_MAX = 100

export interface ConcurrencyLimit {
  readonly limit: number
  /** An attempt that started at `startedAtMs` got a good answer; `wasFull` when all slots were taken. */
  succeeded(latencyMs: number, wasFull: boolean): void
  /** The destination asked for room (429, 503) or timed out. */
  congested(startedAtMs: number, nowMs: number): void
  /** Fixes the limit, or lets it adapt again. */
  configure(fixed: number | undefined): void
}

export function createConcurrencyLimit(fixed: number | undefined): ConcurrencyLimit {
  let limit = fixed ?? CONCURRENCY_START
  let isFixed = fixed !== undefined
  let good = 0
  let lowLatencyMs = Infinity
  let latencyMs = 0
  let shrunkAtMs = -Infinity

  return {
    get limit() {
      return limit
    },
    succeeded(sampleMs, wasFull) {
      if (isFixed) return
      latencyMs = latencyMs === 0 ? sampleMs : latencyMs + (sampleMs - latencyMs) / 16
      // The floor rises slowly, so that a destination that has become slower for good is not held back for ever.
      lowLatencyMs = Math.min(lowLatencyMs * 1.001, Math.max(1, latencyMs))
      good = wasFull ? good + 1 : good
      if (good < limit || limit >= CONCURRENCY_MAX || latencyMs > lowLatencyMs * 4 + 5) return
      good = 0
      limit++
    },
    congested(startedAtMs, nowMs) {
      good = 0
      // Answers to what was sent before the last halving say nothing new.
      if (isFixed || startedAtMs <= shrunkAtMs) return
      shrunkAtMs = nowMs
      limit = Math.max(1, Math.floor(limit / 2))
    },
    configure(next) {
      if (next === undefined && !isFixed) return
      limit = next ?? CONCURRENCY_START
      isFixed = next !== undefined
    },
  }
}
