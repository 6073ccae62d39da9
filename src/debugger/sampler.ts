/**
 * Which messages the debugger keeps. Up to so many a second of each source it keeps all; above that the bucket of the source lets
 * them through evenly spread, whatever they are. All sources together have a limit too, which they share equally, so that a
 * source that floods does not take the sample of another away. It runs by the times of the frames, not by a clock: what is read
 * late is sampled as it would have been in time.
 */

export interface SamplerLimits {
  /** Messages a second that one source has kept at most; as many may come at once. */
  perSource: number
  /** The same over all sources. */
  overall: number
  /** Bytes a second that may be read and parsed for it. A message is not refused for its own size; those after it pay. */
  bytes: number
}

export const defaultLimits: SamplerLimits = { perSource: 50, overall: 500, bytes: 16 * 1024 * 1024 }

export interface Sampler {
  /** Takes note of a message and says whether to keep it. */
  admits(source: number, partition: number, sourceTotal: number, timeMs: number): boolean
  /** What keeping a message took in bytes. */
  charge(bytes: number): void
  /** Messages a second that a source has kept at most now. */
  perSecond(): number
  /** The newest running total that was seen of a source in a partition. */
  newestTotal(source: number, partition: number): number | undefined
}

/** A clock that was set back must not stop the sampling until it is there again. */
const CLOCK_STEP_MS = 2_000

export function createSampler(limits: SamplerLimits = defaultLimits): Sampler {
  const sources = new Map<number, SourceState>()
  const overall = new Bucket(limits.overall)
  const bytes = new Bucket(limits.bytes)
  let share = limits.perSource
  let second = 0
  let sourceCount = 0

  /** How many sources send decides each one's share of the next second. */
  function beginSecond(next: number): void {
    if (sourceCount > 0) share = Math.min(limits.perSource, limits.overall / sourceCount)
    second = next
    sourceCount = 0
  }

  return {
    admits(source, partition, sourceTotal, timeMs) {
      let state = sources.get(source)
      if (state === undefined) sources.set(source, (state = new SourceState(limits.perSource)))
      state.totals[partition] = sourceTotal
      const now = Math.floor(timeMs / 1000)
      if (now !== second) beginSecond(now)
      if (state.second !== now) {
        state.second = now
        sourceCount += 1
      }
      if (!state.bucket.has(timeMs, share) || !overall.has(timeMs, limits.overall) || !bytes.has(timeMs, limits.bytes))
        return false
      state.bucket.take(1)
      overall.take(1)
      return true
    },
    charge: (count) => bytes.take(count),
    perSecond: () => share,
    newestTotal: (source, partition) => sources.get(source)?.totals[partition],
  }
}

class SourceState {
  readonly bucket: Bucket
  /** By partition. */
  readonly totals: number[] = []
  second = -1

  constructor(perSecond: number) {
    this.bucket = new Bucket(perSecond)
  }
}

/** Holds one second's worth, and at least one. */
class Bucket {
  #tokens: number
  #atMs = 0

  constructor(size: number) {
    this.#tokens = size
  }

  has(timeMs: number, perSecond: number): boolean {
    const passedMs = timeMs - this.#atMs
    if (passedMs > 0) {
      this.#tokens = Math.min(Math.max(1, perSecond), this.#tokens + (passedMs * perSecond) / 1000)
      this.#atMs = timeMs
    } else if (passedMs < -CLOCK_STEP_MS) this.#atMs = timeMs
    return this.#tokens >= 1
  }

  take(count: number): void {
    this.#tokens -= count
  }
}
