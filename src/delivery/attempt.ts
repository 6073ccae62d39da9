/** One attempt: calls the action and says how it ended for each message. */
import { assert } from '../base/assert.ts'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { ActionDefinition, BatchItemResult, SendRequest } from '../kit/index.ts'
import type { JsonObject } from '../protocol/index.ts'
import { batchSizeMax } from './batcher.ts'
import { classifyError, classifyStatus, type Ending } from './classify.ts'
import type { PendingLeg } from './owed.ts'

export interface AttemptParts {
  action: ActionDefinition
  settings: JsonObject
  request: SendRequest
  clock: Clock
  /** The attempt as a whole, whatever the action does, ends after this long. */
  deadlineMs: number
}

export interface AttemptResult {
  /** One for all messages, or one each. */
  endings: Ending | Ending[]
  latencyMs: number
  startedAtMs: number
}

/** Never rejects. */
export async function attempt(legs: readonly PendingLeg[], parts: AttemptParts): Promise<AttemptResult> {
  const { clock } = parts
  const startedAtMs = clock.now()
  const endings = await endingsOf(legs, parts)
  return { endings, startedAtMs, latencyMs: Math.max(0, clock.now() - startedAtMs) }
}

async function endingsOf(legs: readonly PendingLeg[], parts: AttemptParts): Promise<Ending | Ending[]> {
  const { clock, deadlineMs } = parts
  let status: number | undefined
  const request: SendRequest = async (url, options) => {
    const response = await parts.request(url, options)
    status = response.status
    return response
  }
  let timer: TimerHandle | undefined
  const deadline = new Promise<Ending>((resolve) => {
    timer = clock.after(deadlineMs, () =>
      resolve({ kind: 'retry', code: 'ETIMEDOUT', detail: 'The attempt did not end in time.' }),
    )
  })
  try {
    return await Promise.race([perform(legs, parts, request, () => status), deadline])
  } catch (error) {
    return classifyError(error, clock.now())
  } finally {
    if (timer) clock.clear(timer)
  }
}

async function perform(
  legs: readonly PendingLeg[],
  { action, settings, clock }: AttemptParts,
  request: SendRequest,
  statusOf: () => number | undefined,
): Promise<Ending | Ending[]> {
  const messagesJson = legs.map(({ owed }) => owed.json)
  const [first] = legs
  assert(first !== undefined, 'an attempt sends something')
  // A batch of one still goes out as a batch: what the receiver gets must not depend on how busy we are.
  if (action.performBatch !== undefined && batchSizeMax(first) > 1) {
    const payload = legs.map((leg) => leg.payload)
    const results = await action.performBatch(request, { payload, settings, messagesJson })
    if (results !== undefined) return legs.map((_, index) => itemEnding(results[index], statusOf(), clock.now()))
  } else {
    await action.perform(request, { payload: first.payload, settings, messagesJson })
  }
  return delivered(statusOf())
}

function itemEnding(result: BatchItemResult | undefined, status: number | undefined, nowMs: number): Ending {
  // Fewer results than payloads: the connector does not know, and sending again is the safer mistake.
  if (result === undefined)
    return { kind: 'retry', code: 'INTERNAL', detail: 'The answer has no result for this message.' }
  if (result.status === 'delivered') return delivered(status)
  return classifyStatus(result.httpStatus, undefined, result.message, nowMs)
}

function delivered(status: number | undefined): Ending {
  return status === undefined ? { kind: 'delivered' } : { kind: 'delivered', status }
}
