/** From how an attempt ended to what is written: one group for all messages of the request that came to the same. */
import type { AttemptResult } from './attempt.ts'
import type { Ending } from './classify.ts'
import { toRuns } from './offset-runs.ts'
import type { OutcomeGroup } from './outcome-frame.ts'
import type { PendingLeg } from './owed.ts'
import type { ConnectionPlan } from './plan.ts'
import { excerpt } from './redact.ts'
import { planRetry } from './retry-policy.ts'

export interface GroupingParts {
  plan: ConnectionPlan
  nowMs: number
  random: () => number
  /** How long the next excerpt of an answer may be. */
  detailMax: (nowMs: number) => number
}

export function groupEndings(legs: readonly PendingLeg[], result: AttemptResult, parts: GroupingParts): OutcomeGroup[] {
  const [only] = legs
  if (legs.length === 1 && only !== undefined) return [outcomeOf([only], endingAt(result, 0), result, parts)]
  const groups = new Map<string, { legs: PendingLeg[]; ending: Ending }>()
  for (const [index, leg] of legs.entries()) {
    const ending = endingAt(result, index)
    const key = keyOf(leg, ending)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { legs: [leg], ending })
    else group.legs.push(leg)
  }
  return [...groups.values()].map((group) => outcomeOf(group.legs, group.ending, result, parts))
}

function endingAt({ endings }: AttemptResult, index: number): Ending {
  return Array.isArray(endings) ? endings[index]! : endings
}

/** Legs with the same key get the same words in the journal. */
function keyOf({ owed, attempt, step, firstAttemptAtMs }: PendingLeg, ending: Ending): string {
  const history = ending.kind === 'retry' ? `${step} ${firstAttemptAtMs} ${owed.order ?? ''}` : ''
  const why = ending.kind === 'delivered' ? '' : `${ending.code} ${ending.detail ?? ''}`
  return `${owed.partition} ${owed.legCount} ${attempt} ${history} ${ending.kind} ${ending.status ?? ''} ${why}`
}

function outcomeOf(
  legs: readonly PendingLeg[],
  ending: Ending,
  { startedAtMs, latencyMs }: AttemptResult,
  { plan, nowMs, random, detailMax }: GroupingParts,
): OutcomeGroup {
  const first = legs[0]!
  const { owed } = first
  const group: OutcomeGroup = {
    partition: owed.partition,
    offsets: legs.length === 1 ? [owed.offset, 1] : toRuns(legs.map((leg) => leg.owed.offset)),
    state: 'delivered',
    mapping: first.mapping.id,
    attempt: first.attempt + 1,
    latencyMs: Math.round(latencyMs),
  }
  if (owed.legCount !== 1) group.legs = owed.legCount
  if (ending.status !== undefined) group.status = ending.status
  if (ending.kind === 'delivered') {
    group.receivedAtMs = owed.receivedAtMs
    return group
  }
  group.code = ending.code
  const detail = excerpt(ending.detail, plan, detailMax(nowMs))
  if (detail !== undefined) group.detail = detail
  group.state = 'discarded'
  if (ending.kind === 'discarded') return group

  const firstAttemptAtMs = first.firstAttemptAtMs || startedAtMs
  const next = planRetry({ step: first.step, firstAttemptAtMs }, ending, plan.delivery, nowMs, random)
  if (next.kind === 'exhausted') return group
  group.state = 'waiting'
  group.nextTryAtMs = next.nextTryAtMs
  group.firstAttemptAtMs = firstAttemptAtMs
  if (next.step !== group.attempt) group.step = next.step
  if (owed.order !== undefined) group.order = owed.order
  return group
}
