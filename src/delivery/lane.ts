/**
 * Sends what one connection has in hand: forms batches, keeps to the concurrency, rate and circuit of the destination, runs the
 * attempts and writes what they came to. A slot is free again only when the outcome is durable, so what is unrecorded after a
 * crash is never more than what was in flight.
 */
import type { Clock, TimerHandle } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { SendRequest } from '../kit/index.ts'
import { attempt, type AttemptResult } from './attempt.ts'
import { createBatcher } from './batcher.ts'
import { createCircuitBreaker, type CircuitBreaker } from './circuit-breaker.ts'
import type { Ending } from './classify.ts'
import { createConcurrencyLimit, type ConcurrencyLimit } from './concurrency.ts'
import { Fifo } from './fifo.ts'
import { groupEndings, type GroupingParts } from './group-endings.ts'
import type { OutcomeGroup } from './outcome-frame.ts'
import type { PendingLeg } from './owed.ts'
import type { ConnectionPlan } from './plan.ts'
import { createRateLimit } from './rate-limit.ts'
import { createExcerptBudget } from './redact.ts'

export interface LaneParts {
  clock: Clock
  random: () => number
  plan: ConnectionPlan
  makeRequest: (timeoutMs: number) => SendRequest
  /** Writes outcomes and calls back when they are durable. */
  append: (groups: OutcomeGroup[], whenDurable: () => void) => void
  /** How many more messages the retry store may take. */
  retryRoom: () => number
  /** The circuit closed: the destination is back. */
  onRecovered: () => void
  /** The circuit opened, or a probe failed. */
  onPaused: () => void
  onAttempt: (result: AttemptResult, legs: readonly PendingLeg[]) => void
}

export interface Lane {
  readonly inFlight: number
  readonly concurrency: number
  readonly circuit: CircuitBreaker['state']
  /** Legs that have not been started. */
  readonly queued: number
  offer(leg: PendingLeg): void
  /** Goes on after room has come. */
  pump(): void
  configure(plan: ConnectionPlan): void
  /** Takes back everything that has not been started. */
  drain(): PendingLeg[]
  /** Takes back the repeats that have not been started. */
  drainRepeats(): PendingLeg[]
  /** Starts nothing more; resolves when nothing is in flight. */
  close(): Promise<void>
}

export function createLane(parts: LaneParts): Lane {
  const { clock, random, append } = parts
  let plan = parts.plan
  let request = parts.makeRequest(plan.delivery.requestTimeoutMs)
  const concurrency: ConcurrencyLimit = createConcurrencyLimit(plan.delivery.concurrency)
  const rate = createRateLimit(plan.delivery.requestsPerSecond)
  const circuit = createCircuitBreaker(random, () => plan.delivery.retryMaxDelayMs)
  const detailMax = createExcerptBudget()
  // New messages and repeats take turns: neither a flood of new ones nor a pile of repeats starves the other.
  const fresh = new Fifo<PendingLeg[]>()
  const repeats = new Fifo<PendingLeg[]>()
  let turnOfRepeats = true
  let inFlight = 0
  let legsInFlight = 0
  let isClosed = false
  let whenIdle: (() => void) | undefined
  let timer: TimerHandle | undefined
  const batcher = createBatcher(clock, (legs) => {
    ;(legs[0]!.isWaiting ? repeats : fresh).push(legs)
    pump()
  })

  function pump(): void {
    while (!isClosed && inFlight < concurrency.limit) {
      const queue = nextQueue()
      if (queue === undefined) return
      const waitMs = waitBeforeStart(clock.now())
      if (waitMs > 0) return pumpLater(waitMs)
      turnOfRepeats = queue === fresh
      start(queue.shift()!)
    }
  }

  function groupingParts(): GroupingParts {
    return { plan, nowMs: clock.now(), random, detailMax }
  }

  function nextQueue(): Fifo<PendingLeg[]> | undefined {
    // A first attempt may end in the retry store, so it needs a place there; a repeat has one.
    const canStartFresh = fresh.first !== undefined && parts.retryRoom() - legsInFlight >= fresh.first.length
    if (repeats.first !== undefined && (turnOfRepeats || !canStartFresh)) return repeats
    return canStartFresh ? fresh : undefined
  }

  /** 0 to start now; Infinity while a probe is out, whose end will pump. */
  function waitBeforeStart(nowMs: number): number {
    if (circuit.state === 'probing') return Infinity
    return Math.max(circuit.probeAtMs - nowMs, rate.waitMs(nowMs), 0)
  }

  function pumpLater(waitMs: number): void {
    if (timer) clock.clear(timer)
    timer = undefined
    if (waitMs === Infinity) return
    timer = clock.after(waitMs, () => {
      timer = undefined
      pump()
    })
  }

  function start(legs: PendingLeg[]): void {
    inFlight++
    legsInFlight += legs.length
    circuit.started()
    rate.take(clock.now())
    void run(legs)
  }

  async function run(legs: PendingLeg[]): Promise<void> {
    const { action } = legs[0]!.mapping
    const problem = plan.settingsProblem
    const wasFull = inFlight >= concurrency.limit
    const result: AttemptResult =
      problem === undefined && action !== undefined
        ? await attempt(legs, { action, settings: plan.settings, request, clock, deadlineMs: deadlineMs(plan) })
        : { endings: invalid(problem), startedAtMs: clock.now(), latencyMs: 0 }
    learn(result, wasFull)
    parts.onAttempt(result, legs)
    append(groupEndings(legs, result, groupingParts()), () => {
      inFlight--
      legsInFlight -= legs.length
      if (inFlight === 0) whenIdle?.()
      pump()
    })
  }

  function learn({ endings, startedAtMs, latencyMs }: AttemptResult, wasFull: boolean): void {
    const failure = failureOf(endings)
    if (failure === undefined) {
      concurrency.succeeded(latencyMs, wasFull)
      if (circuit.succeeded()) parts.onRecovered()
      return
    }
    if (isCongestion(failure.code)) concurrency.congested(startedAtMs, clock.now())
    circuit.failed(clock.now(), failure.afterMs)
    if (circuit.state === 'open') parts.onPaused()
  }

  function offer(leg: PendingLeg): void {
    try {
      batcher.add(leg, plan.settings, plan.delivery.batchMaxWaitMs)
    } catch (error) {
      // The connector's own code, on this message's payload: the message ends, the connection goes on.
      const endings: Ending = { kind: 'discarded', code: 'INTERNAL', detail: messageOf(error) }
      const result = { endings, startedAtMs: clock.now(), latencyMs: 0 }
      append(groupEndings([leg], result, groupingParts()), () => {})
    }
  }

  return {
    get inFlight() {
      return inFlight
    },
    get concurrency() {
      return concurrency.limit
    },
    get circuit() {
      return circuit.state
    },
    get queued() {
      return batcher.size + fresh.size + repeats.size
    },
    offer,
    pump,
    configure(next) {
      plan = next
      request = parts.makeRequest(plan.delivery.requestTimeoutMs)
      concurrency.configure(plan.delivery.concurrency)
      rate.configure(plan.delivery.requestsPerSecond)
      pump()
    },
    drain: () => [...batcher.drain(), ...fresh.drain().flat(), ...repeats.drain().flat()],
    drainRepeats: () => repeats.drain().flat(),
    close() {
      isClosed = true
      if (timer) clock.clear(timer)
      if (inFlight === 0) return Promise.resolve()
      return new Promise((resolve) => (whenIdle = resolve))
    },
  }
}

/** An action may make several requests, each with its own time limit; this one is for an action that never comes back. */
function deadlineMs(plan: ConnectionPlan): number {
  return Math.max(30_000, plan.delivery.requestTimeoutMs * 5)
}

function invalid(problem: string | undefined): Ending {
  return { kind: 'discarded', code: 'INVALID_SETTINGS', ...(problem === undefined ? {} : { detail: problem }) }
}

/** The failure of an attempt that failed as a whole. Where one message was taken the destination is there. */
function failureOf(endings: Ending | Ending[]): Extract<Ending, { kind: 'retry' }> | undefined {
  const all = Array.isArray(endings) ? endings : [endings]
  const [first] = all
  return first?.kind === 'retry' && all.every(({ kind }) => kind === 'retry') ? first : undefined
}

/** The destination has too much to do, or does not answer. */
function isCongestion(code: string): boolean {
  return code === '429' || code === '503' || code === 'ETIMEDOUT'
}
