import type { Clock } from '../base/clock.ts'

/** Messages per second with a burst of one second, for each workspace and source that has a limit. A request is taken while
 *  anything is left, however large it is, and its debt is paid off before the next: a batch larger than a second's worth must
 *  not be refused for ever. */
export interface RateLimiter {
  /** Undefined when `messages` may pass, else the whole seconds (1 to 300) after which to come again. */
  take(key: string, eventsPerSecond: number, messages: number): number | undefined
}

interface Bucket {
  tokens: number
  filledAtMs: number
}

export function createRateLimiter(clock: Clock): RateLimiter {
  // One bucket per limited workspace or source, so bounded by the configuration.
  const buckets = new Map<string, Bucket>()
  return {
    take(key, eventsPerSecond, messages) {
      const nowMs = clock.now()
      const bucket = buckets.get(key) ?? { tokens: eventsPerSecond, filledAtMs: nowMs }
      buckets.set(key, bucket)
      // A wall clock may step back: then nothing is refilled, and nothing is taken away.
      const elapsedMs = Math.max(0, nowMs - bucket.filledAtMs)
      bucket.tokens = Math.min(eventsPerSecond, bucket.tokens + (elapsedMs / 1000) * eventsPerSecond)
      bucket.filledAtMs = nowMs
      if (bucket.tokens < 1) return Math.min(300, Math.max(1, Math.ceil((1 - bucket.tokens) / eventsPerSecond)))
      bucket.tokens -= messages
      return undefined
    },
  }
}
