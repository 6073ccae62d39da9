/** What a connection does with a message: the steps 5 to 13 of contract: destinations.md §4, in their order. Pure. */
import { eventFlags } from '../journal/index.ts'
import type { DroppedCode, JsonObject } from '../protocol/index.ts'
import { isConsentedTo, isJsonObject, isSentClientSide, isSentTo } from '../protocol/index.ts'
import type { EventMessage } from './event-message.ts'
import type { ConnectionPlan, MappingPlan, ParsedLazily } from './plan.ts'

export type Decision =
  | { kind: 'drop'; code: DroppedCode; detail?: string }
  /** `json` and `mappings` for the send; `json` is the message's own text unless a filter changed it. */
  | { kind: 'send'; mappings: MappingPlan[]; message: MessageToSend }

export interface MessageToSend extends ParsedLazily {
  readonly json: string
}

export function decide(plan: ConnectionPlan, message: EventMessage): Decision {
  const refusal = refuse(plan, message)
  if (refusal !== undefined) return { kind: 'drop', code: refusal }
  const verdict = plan.filter?.(message.parsed)
  if (verdict?.kind === 'drop') return { kind: 'drop', code: 'FILTERED_BY_RULES', ...detailOf(verdict) }
  // Triggers see the message as the filters left it.
  const left = verdict === undefined ? message : asFiltered(message, verdict.message)
  const mappings = plan.mappings.filter((mapping) => isTriggered(mapping, message.kind, left))
  if (mappings.length === 0) return { kind: 'drop', code: 'NO_MATCHING_MAPPING' }
  return { kind: 'send', mappings, message: left }
}

function refuse(plan: ConnectionPlan, message: EventMessage): DroppedCode | undefined {
  if (!plan.isEnabled) return 'DESTINATION_DISABLED'
  if (message.flags & eventFlags.bundled && isSentClientSide(message.parsed, plan.names))
    return 'MESSAGE_SENT_CLIENT_SIDE'
  if (!plan.supports.has(message.kind)) return 'UNSUPPORTED_EVENT_TYPE'
  const asksConsent = plan.consentCategories.length > 0 && message.flags & eventFlags.consent
  if (asksConsent && !isConsentedTo(message.parsed, plan.consentCategories)) return 'FILTERED_BY_END_USER_CONSENT'
  if (message.flags & eventFlags.integrations) {
    const { integrations } = message.parsed
    if (isJsonObject(integrations) && !isSentTo(integrations, plan.names)) return 'FILTERED_BY_INTEGRATIONS_OBJECT'
  }
  return undefined
}

/** The message for a later attempt, or undefined when it must not go out. What filters remove stays removed, but whether it goes
 *  out was decided when it came (contract: destinations.md §10). */
export function messageForRetry(plan: ConnectionPlan, message: EventMessage): MessageToSend | undefined {
  const verdict = plan.strip?.(message.parsed)
  if (verdict === undefined) return message
  return verdict.kind === 'keep' ? asFiltered(message, verdict.message) : undefined
}

function asFiltered(message: EventMessage, filtered: JsonObject): MessageToSend {
  return filtered === message.parsed ? message : { json: JSON.stringify(filtered), parsed: filtered }
}

function isTriggered(mapping: MappingPlan, kind: number, message: MessageToSend): boolean {
  return mapping.kinds === undefined ? mapping.matches(message.parsed) : mapping.kinds.has(kind)
}

function detailOf({ title, error }: { title: string; error?: string }): { detail?: string } {
  return error === undefined ? {} : { detail: `${title}: ${error}` }
}
