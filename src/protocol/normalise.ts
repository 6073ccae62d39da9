/**
 * From an item of a request to the message as it stands in `events`, or to its rejection (contract: spec.md). Pure: the same
 * item and arrival give the same result, which is how the verbose answer of the door and the pipeline agree.
 *
 * Where the contract is silent: a `context` or `integrations` that is not an object becomes `{}` rather than a rejection, as no
 * code exists for it and the rest of the message is good; an unparseable `sentAt` or `originalTimestamp` is absent, like an
 * unparseable `timestamp`; a corrected time outside the years 0001 to 9999 is no correction, the client's own time stands.
 * Fields of other calls (`traits` of a track call) are unknown fields: kept as they were sent.
 */
import { maskIp } from './client-ip.ts'
import { isTooLongMessageId, readId, readMessageId } from './ids.ts'
import { isJsonObject, mergeUnder, setOwn } from './json-values.ts'
import { calls, type Call, type JsonObject, type Message } from './message.ts'
import type { RejectedCode } from './reason-codes.ts'
import { payloadOf, type BatchDefaults, type Item } from './split.ts'
import { formatTimestamp, isRepresentable, parseTimestamp } from './timestamp.ts'
import { faultOf, isAbsentLabel, isEmptyObjectText } from './validate.ts'

/** What is known of the request beside its body. The fields are those of the head of a `received` frame. */
export interface Arrival {
  receivedAtMs: number
  /** An id for a message without one: `createMessageId`. */
  newMessageId(): string
  /** Client address that fills an absent `context.ip`. */
  ip?: string
  /** The same, only for messages whose `context.direct` is true. */
  directIp?: string
  /** Fills an absent `context.userAgent`. */
  userAgent?: string
  ipMode?: 'mask' | 'drop'
  idCoercion?: false
}

export type Normalised = NormalisedCall | RejectedMessage

export interface NormalisedCall {
  kind: 'call'
  call: Call
  /** Numbers that no double can hold are `JSON.rawJSON` objects in it; `json` has them as they were sent. */
  message: Message
  /** The message as compact JSON. */
  json: string
  /** `integrations` says something: more than `{}` or `{"All":true}`. */
  hasIntegrations: boolean
  /** `_metadata` names destinations that the client has served itself. */
  hasBundled: boolean
  /** `context.consent` is there. */
  hasConsent: boolean
}

export interface RejectedMessage {
  kind: 'rejected'
  code: RejectedCode
  /** The message's own id, also one that is too long, so that it can be traced. Stays free for a corrected copy. */
  messageId?: string
  /** When it is one of the six. */
  type?: Call
  /** The message as it was sent, without its write key. */
  payload: unknown
}

/** The result of one item: the message to store, or why it is refused. Never throws. */
export function normaliseMessage(item: Item, arrival: Arrival): Normalised {
  if (item.code !== undefined) return rejected(item, item.code)
  // `splitBody` gives a code to everything that is not an object.
  const sent = item.value as JsonObject
  const call = callOf(item)
  if (call === undefined) return rejected(item, 'bad_request')
  const messageId = readMessageId(sent['messageId'])
  if (messageId !== undefined && isTooLongMessageId(messageId)) return rejected(item, 'message_id_too_long')
  const ids = readIds(call, sent, arrival.idCoercion !== false)
  if (typeof ids === 'string') return rejected(item, ids)
  const context = contextOf(sent['context'], item.defaults, arrival)
  const fault = faultOf(call, sent, context)
  if (fault !== undefined) return rejected(item, fault)
  const integrations = integrationsOf(sent['integrations'], item.defaults)
  const message = startMessage(call, ids, sent)
  message.context = context
  message.integrations = integrations
  message.messageId = messageId ?? arrival.newMessageId()
  placeTimes(message, sent, item.defaults, arrival.receivedAtMs)
  message.version = 2
  placeUnknown(message, call, sent)
  return {
    kind: 'call',
    call,
    message,
    json: JSON.stringify(message),
    hasIntegrations: saysSomething(integrations),
    hasBundled: namesBundled(sent['_metadata']),
    hasConsent: context['consent'] !== undefined && context['consent'] !== null,
  }
}

/** What is longer is no id that somebody would look for, and would make the decision as large as the message. */
const TRACED_ID_LENGTH_MAX = 1_000

function rejected(item: Item, code: RejectedCode): RejectedMessage {
  const result: RejectedMessage = { kind: 'rejected', code, payload: payloadOf(item) }
  const type = callOf(item)
  if (type !== undefined) result.type = type
  const messageId = isJsonObject(item.value) ? readMessageId(item.value['messageId']) : undefined
  if (messageId !== undefined && messageId.length <= TRACED_ID_LENGTH_MAX) result.messageId = messageId
  return result
}

const callSet: ReadonlySet<unknown> = new Set(calls)

/** The route's call wins over the message's own `type`. */
function callOf(item: Item): Call | undefined {
  if (item.call !== undefined) return item.call
  const type = isJsonObject(item.value) ? item.value['type'] : undefined
  // The set holds the six calls and nothing else.
  return callSet.has(type) ? (type as Call) : undefined
}

interface Ids {
  userId: string | null
  anonymousId: string | null
  groupId: string | null
  previousId: string | null
}

function readIds(call: Call, sent: JsonObject, isCoerced: boolean): Ids | RejectedCode {
  const userId = readId(sent['userId'], isCoerced)
  const anonymousId = readId(sent['anonymousId'], isCoerced)
  const groupId = call === 'group' ? readId(sent['groupId'], isCoerced) : null
  const previousId = call === 'alias' ? readId(sent['previousId'], isCoerced) : null
  if (userId === undefined || anonymousId === undefined || groupId === undefined || previousId === undefined)
    return 'id_not_string'
  if (call === 'alias')
    return userId === null || previousId === null ? 'id_required' : { userId, anonymousId, groupId, previousId }
  if (userId === null && anonymousId === null) return 'no_user_anon_id'
  if (call === 'group' && groupId === null) return 'id_required'
  return { userId, anonymousId, groupId, previousId }
}

/** Type, ids and the fields of the call, in the order in which people expect to read them. */
function startMessage(call: Call, ids: Ids, sent: JsonObject): Message {
  // The remaining fields of a message follow in `normaliseMessage`; `context` to `version` are set for every call.
  const message = { type: call, userId: ids.userId, anonymousId: ids.anonymousId } as Message
  switch (call) {
    case 'track':
      // `faultOf` has seen that it is a string.
      message.event = sent['event'] as string
      placeObject(message, 'properties', sent['properties'])
      break
    case 'page':
    case 'screen':
      placeLabel(message, 'category', sent['category'])
      placeLabel(message, 'name', sent['name'])
      placeObject(message, 'properties', sent['properties'])
      break
    case 'group':
      // `readIds` has refused a group call without it, and an alias call without `previousId`.
      message.groupId = ids.groupId!
      placeObject(message, 'traits', sent['traits'])
      break
    case 'identify':
      placeObject(message, 'traits', sent['traits'])
      break
    case 'alias':
      message.previousId = ids.previousId!
      break
  }
  return message
}

function placeObject(message: Message, key: 'properties' | 'traits', value: unknown): void {
  if (value === undefined) return
  // `faultOf` has seen that it is an object or counts as an empty one.
  message[key] = isEmptyObjectText(value) ? {} : (value as JsonObject)
}

function placeLabel(message: Message, key: 'name' | 'category', value: unknown): void {
  if (!isAbsentLabel(value)) message[key] = value as string
}

function contextOf(value: unknown, defaults: BatchDefaults | undefined, arrival: Arrival): JsonObject {
  const context = mergedObject(value, defaults?.context)
  const ip = arrival.ip ?? (context['direct'] === true ? arrival.directIp : undefined)
  const fillsIp = ip !== undefined && context['ip'] === undefined
  const fillsUserAgent = arrival.userAgent !== undefined && context['userAgent'] === undefined
  const hidesIp = arrival.ipMode !== undefined && (fillsIp || context['ip'] !== undefined)
  if (!fillsIp && !fillsUserAgent && !hidesIp) return context
  // A copy, because the object may be the batch's.
  const filled = { ...context }
  if (fillsIp) filled['ip'] = ip
  if (fillsUserAgent) filled['userAgent'] = arrival.userAgent
  return hidesIp ? withHiddenIp(filled, arrival.ipMode) : filled
}

function withHiddenIp(context: JsonObject, mode: Arrival['ipMode']): JsonObject {
  const { ip, ...rest } = context
  const masked = mode === 'mask' ? maskIp(ip) : undefined
  return masked === undefined ? rest : { ...rest, ip: masked }
}

function integrationsOf(value: unknown, defaults: BatchDefaults | undefined): JsonObject {
  return mergedObject(value, defaults?.integrations)
}

function mergedObject(value: unknown, defaults: JsonObject | undefined): JsonObject {
  if (!isJsonObject(value)) return defaults ?? {}
  return defaults === undefined ? value : mergeUnder(defaults, value)
}

/** The four times (contract: spec.md §6). An incoming `timestamp` wins over an incoming `originalTimestamp`. */
function placeTimes(
  message: Message,
  sent: JsonObject,
  defaults: BatchDefaults | undefined,
  receivedAtMs: number,
): void {
  const clientMs = readTime(sent['timestamp']) ?? readTime(sent['originalTimestamp'])
  const sentAtMs = readTime(sent['sentAt']) ?? readTime(defaults?.sentAt)
  const originalMs = clientMs ?? receivedAtMs
  message.timestamp = formatTimestamp(correctedTime(clientMs, sentAtMs, receivedAtMs))
  message.originalTimestamp = formatTimestamp(originalMs)
  if (sentAtMs !== undefined) message.sentAt = formatTimestamp(sentAtMs)
  message.receivedAt = formatTimestamp(receivedAtMs)
}

function correctedTime(clientMs: number | undefined, sentAtMs: number | undefined, receivedAtMs: number): number {
  if (clientMs === undefined) return receivedAtMs
  if (sentAtMs === undefined) return clientMs
  const corrected = receivedAtMs - (sentAtMs - clientMs)
  return isRepresentable(corrected) ? corrected : clientMs
}

function readTime(value: unknown): number | undefined {
  return typeof value === 'string' ? parseTimestamp(value) : undefined
}

// Fields that are placed above, that only we may set, or that must not leave this room (`writeKey`; `projectId` and `sourceId`,
// which a re-imported archive carries).
const common = [
  'type',
  'userId',
  'anonymousId',
  'context',
  'integrations',
  'messageId',
  'timestamp',
  'originalTimestamp',
  'sentAt',
]
const withheld = ['receivedAt', 'version', 'writeKey', 'projectId', 'sourceId']
const known = (...ofCall: string[]): ReadonlySet<string> => new Set([...common, ...withheld, ...ofCall])
const knownFields: Record<Call, ReadonlySet<string>> = {
  identify: known('traits'),
  track: known('event', 'properties'),
  page: known('name', 'category', 'properties'),
  screen: known('name', 'category', 'properties'),
  group: known('groupId', 'traits'),
  alias: known('previousId'),
}

function placeUnknown(message: Message, call: Call, sent: JsonObject): void {
  const placed = knownFields[call]
  for (const key of Object.keys(sent)) {
    if (!placed.has(key)) setOwn(message, key, sent[key])
  }
}

function saysSomething(integrations: JsonObject): boolean {
  const keys = Object.keys(integrations)
  return keys.length > 1 || (keys.length === 1 && !(keys[0] === 'All' && integrations['All'] === true))
}

function namesBundled(metadata: unknown): boolean {
  return isJsonObject(metadata) && (isFilledList(metadata['bundled']) || isFilledList(metadata['bundledIds']))
}

function isFilledList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0
}
