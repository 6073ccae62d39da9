/** When to try again (contract: destinations.md §10). */
import { backoffMs } from '../base/backoff.ts'
import type { DeliverySettings } from '../snapshot/index.ts'

const HOUR_MS = 3_600_000

export interface RetryState {
  /** Backoff steps used so far. */
  step: number
  firstAttemptAtMs: number
}

export type Retrying = { kind: 'retry'; nextTryAtMs: number; step: number } | { kind: 'exhausted' }

/** Decides about a leg whose attempt failed for now. The last try is made at the end of the window, so that what the destination asks for by
 *  Retry-After is honoured up to there. */
export function planRetry(
  state: RetryState,
  failure: { code: string; afterMs?: number },
  settings: DeliverySettings,
  nowMs: number,
  random: () => number,
): Retrying {
  const endMs = windowEndMs(state.firstAttemptAtMs, settings)
  if (nowMs >= endMs) return { kind: 'exhausted' }
  // A 429 with Retry-After is the destination asking for room: it says when, so it does not use up a backoff step.
  const usesStep = !(failure.code === '429' && failure.afterMs !== undefined)
  const step = state.step + (usesStep ? 1 : 0)
  const backoff = usesStep
    ? backoffMs({ attempt: step, firstMs: settings.retryFirstDelayMs, maxMs: settings.retryMaxDelayMs, random })
    : 0
  const delayMs = Math.max(backoff, failure.afterMs ?? 0)
  return { kind: 'retry', nextTryAtMs: Math.min(endMs, Math.ceil(nowMs + delayMs)), step }
}

export function windowEndMs(firstAttemptAtMs: number, settings: DeliverySettings): number {
  return firstAttemptAtMs + settings.retryWindowHours * HOUR_MS
}
