/**
 * Messages per second with a burst of one second, for each source and workspace that has a limit. A request is taken while anything
 * is left, however large it is, and its debt is paid off before the next: a batch larger than a second's worth must not be refused
 * for ever.
 *
 * Inside a workspace each source that sends has an equal share of the limit kept for it, and what a source leaves of its share the
 * others may use. So a source that floods gets what is left over, and one that sends less than its share is not refused because of
 * it.
 */
import type { Clock } from '../base/clock.ts'
import type { KnownSource } from './source-directory.ts'

export interface RateLimiter {
  /** Undefined when `messages` may pass, else the whole seconds (1 to 300) after which to come again. */
  take(known: KnownSource, messages: number): number | undefined
}

/** How long a source that sends nothing more keeps its share. */
const SHARE_KEPT_MS = 10_000
/** How often what the sources left over is counted. */
const SHARES_COUNTED_MS = 100

export function createRateLimiter(clock: Clock): RateLimiter {
  // Both are bounded by the configuration.
  const sources = new Map<number, Bucket>()
  const workspaces = new Map<number, SharedBucket>()
  return {
    take({ source, workspace }, messages) {
      if (source.eventsPerSecond === undefined && workspace.eventsPerSecond === undefined) return undefined
      const nowMs = clock.now()
      const own = source.eventsPerSecond && entryOf(sources, source.number, () => new Bucket(nowMs))
      const shared = workspace.eventsPerSecond && entryOf(workspaces, workspace.number, () => new SharedBucket(nowMs))
      // Both are asked before anything is taken: what one refuses must not cost at the other.
      const ofSource = own ? own.secondsToWait(nowMs, source.eventsPerSecond ?? 0) : 0
      const ofWorkspace = shared ? shared.secondsToWait(source.number, nowMs, workspace.eventsPerSecond ?? 0) : 0
      const seconds = Math.max(ofSource, ofWorkspace)
      if (seconds > 0) return Math.min(300, Math.max(1, Math.ceil(seconds)))
      if (own) own.take(messages)
      if (shared) shared.take(source.number, messages)
      return undefined
    },
  }
}

function entryOf<Value>(map: Map<number, Value>, key: number, create: () => Value): Value {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = create()
  map.set(key, made)
  return made
}

/** Tokens that grow with time, up to a second's worth and at least to one. */
class Bucket {
  /** Infinite until it is first asked: then it is full. */
  tokens: number
  #filledAtMs: number

  constructor(nowMs: number, tokens = Infinity) {
    this.tokens = tokens
    this.#filledAtMs = nowMs
  }

  fill(nowMs: number, perSecond: number): void {
    // A wall clock may step back: then nothing is added, and nothing is taken away.
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs)
    this.tokens = Math.min(Math.max(1, perSecond), this.tokens + (elapsedMs / 1000) * perSecond)
    this.#filledAtMs = nowMs
  }

  secondsToWait(nowMs: number, perSecond: number): number {
    this.fill(nowMs, perSecond)
    return this.tokens >= 1 ? 0 : (1 - this.tokens) / perSecond
  }

  take(messages: number): void {
    this.tokens -= messages
  }
}

interface Share {
  bucket: Bucket
  askedAtMs: number
}

/** The bucket of a workspace, and of what is in it the share that is kept for each of its sources. */
class SharedBucket {
  readonly #all: Bucket
  readonly #shares = new Map<number, Share>()
  #kept = 0
  #countedAtMs: number

  constructor(nowMs: number) {
    this.#all = new Bucket(nowMs)
    this.#countedAtMs = nowMs
  }

  secondsToWait(source: number, nowMs: number, perSecond: number): number {
    this.#all.fill(nowMs, perSecond)
    const share = this.#shareOf(source, nowMs, perSecond)
    if (Math.abs(nowMs - this.#countedAtMs) >= SHARES_COUNTED_MS) this.#count(nowMs, perSecond)
    const ofShare = perSecond / this.#shares.size
    this.#keep(share, () => share.bucket.fill(nowMs, ofShare))
    if (share.bucket.tokens >= 1 || this.#free >= 1) return 0
    return Math.min((1 - share.bucket.tokens) / ofShare, (1 - this.#free) / perSecond)
  }

  take(source: number, messages: number): void {
    const share = this.#shares.get(source)
    if (share !== undefined && share.bucket.tokens >= 1) this.#keep(share, () => share.bucket.take(messages))
    this.#all.take(messages)
  }

  /** What is kept for nobody. */
  get #free(): number {
    return this.#all.tokens - this.#kept
  }

  #shareOf(source: number, nowMs: number, perSecond: number): Share {
    const found = this.#shares.get(source)
    if (found !== undefined) {
      found.askedAtMs = nowMs
      return found
    }
    // A new share begins with what the others have not used, so that the workspace as a whole keeps to its limit.
    const tokens = Math.max(0, Math.min(this.#free, perSecond / (this.#shares.size + 1)))
    const share = { bucket: new Bucket(nowMs, tokens), askedAtMs: nowMs }
    this.#shares.set(source, share)
    this.#kept += tokens
    return share
  }

  #count(nowMs: number, perSecond: number): void {
    this.#countedAtMs = nowMs
    for (const [source, { askedAtMs }] of this.#shares) {
      if (nowMs - askedAtMs > SHARE_KEPT_MS) this.#shares.delete(source)
    }
    this.#kept = 0
    for (const { bucket } of this.#shares.values()) {
      bucket.fill(nowMs, perSecond / this.#shares.size)
      this.#kept += Math.max(0, bucket.tokens)
    }
  }

  #keep({ bucket }: Share, change: () => void): void {
    this.#kept -= Math.max(0, bucket.tokens)
    change()
    this.#kept += Math.max(0, bucket.tokens)
  }
}
