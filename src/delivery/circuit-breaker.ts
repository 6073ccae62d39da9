/** Pauses the attempts of a destination that only fails, so that it is not hammered and its messages wait in the journal
 *  instead of burning through their retries. One probe at a time finds out when it is back. */
import { assert } from '../base/assert.ts'
import { backoffMs } from '../base/backoff.ts'

/** It opens after so many failures in a row … */
export const FAILURES_TO_OPEN = 20
/** … that have gone on for so long: a restart of the destination is over sooner and is what retries are for. */
export const FAILING_MS_TO_OPEN = 10_000
const FIRST_PAUSE_MS = 1_000
const PAUSE_MS_MAX = 60_000

export interface CircuitBreaker {
  readonly state: 'closed' | 'open' | 'probing'
  /** When the next probe may start; 0 while closed. */
  readonly probeAtMs: number
  /** Whether an attempt may start. */
  allows(nowMs: number): boolean
  /** An attempt starts: the probe, when it is open. */
  started(): void
  /** Any answer that is not a call for a retry. Returns true when this closed the circuit. */
  succeeded(): boolean
  /** `afterMs`: how long the destination asked for. */
  failed(nowMs: number, afterMs: number | undefined): void
}

/** `pauseMsMax`: how long the operator lets a retry wait at most; a probe never waits longer. */
export function createCircuitBreaker(
  random: () => number,
  pauseMsMax: () => number = () => PAUSE_MS_MAX,
): CircuitBreaker {
  let state: CircuitBreaker['state'] = 'closed'
  let failures = 0
  let failingSinceMs = 0
  let pauses = 0
  let probeAtMs = 0

  const open = (nowMs: number, afterMs = 0) => {
    state = 'open'
    pauses++
    const longestMs = Math.min(PAUSE_MS_MAX, pauseMsMax())
    // Half of the pause is fixed: a probe right after the failure would tell nothing.
    const halfMs = backoffMs({ attempt: pauses, firstMs: FIRST_PAUSE_MS, maxMs: longestMs, random: () => 0.5 })
    probeAtMs = nowMs + Math.max(halfMs + random() * halfMs, Math.min(afterMs, PAUSE_MS_MAX))
  }

  return {
    get state() {
      return state
    },
    get probeAtMs() {
      return state === 'open' ? probeAtMs : 0
    },
    allows: (nowMs) => state === 'closed' || (state === 'open' && nowMs >= probeAtMs),
    started() {
      assert(state !== 'probing', 'one probe runs at a time')
      if (state === 'open') state = 'probing'
    },
    succeeded() {
      const closes = state !== 'closed'
      state = 'closed'
      failures = 0
      pauses = 0
      return closes
    },
    failed(nowMs, afterMs) {
      if (failures === 0) failingSinceMs = nowMs
      failures++
      if (state === 'probing') open(nowMs, afterMs)
      else if (state === 'closed' && failures >= FAILURES_TO_OPEN && nowMs - failingSinceMs >= FAILING_MS_TO_OPEN)
        open(nowMs, afterMs)
    },
  }
}
