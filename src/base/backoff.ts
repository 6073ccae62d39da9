export interface Backoff {
  /** 1 for the first repetition. */
  attempt: number
  firstMs: number
  maxMs: number
  /** From 0 to 1. */
  random: () => number
}

/** Milliseconds to wait before the next try: full jitter under a ceiling that doubles from `firstMs` to `maxMs`. Full jitter,
 *  because many things that failed together would otherwise come back together. */
export function backoffMs({ attempt, firstMs, maxMs, random }: Backoff): number {
  // 2^40 is far beyond any maximum and keeps the shift exact.
  const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(40, attempt - 1))
  return random() * ceiling
}
