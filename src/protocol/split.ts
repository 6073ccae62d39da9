/** From a parsed body to its messages: which call each one is, what the batch says for all of them, and which are refused
 *  before anyone looks inside (contract: ingest.md §3, §4). */
import { AppError } from '../base/errors.ts'
import { isJsonObject } from './json-values.ts'
import type { Call, JsonObject } from './message.ts'
import { isLargerThan, nestingOfValue, withoutWriteKey } from './measure.ts'
import { MESSAGE_LEVELS_MAX, type ParsedBody } from './parse-body.ts'
import type { RejectedCode } from './reason-codes.ts'

/** What a path takes: one call, or a batch of them (`/v1/batch`, `/v1/import`). */
export type Route = Call | 'batch'

/** One message of a request, before it is normalised. */
export interface Item {
  /** As sent; a JSON object unless `code` is there. */
  value: unknown
  /** Call implied by the route; absent in a batch. */
  call?: Call
  /** What the batch says for all its messages. */
  defaults?: BatchDefaults
  /** Why it is rejected already. */
  code?: RejectedCode
}

export interface BatchDefaults {
  context?: JsonObject
  integrations?: JsonObject
  sentAt?: unknown
}

export interface SplitOptions {
  route: Route
  messageBytesMax: number
  batchMessagesMax?: number
  /** Code under which the door has refused every message of the request. */
  verdict?: RejectedCode
}

/** The messages of a request in their order, at least one: an empty batch is one rejected item. Throws `bad_request` for a body
 *  that the door should not have let in. */
export function splitBody(parsed: ParsedBody, options: SplitOptions): Item[] {
  const { value: body } = parsed
  assertShape(body, options.route)
  const limits: Limits = { ...options, bodyBytes: parsed.bytes, nesting: parsed.nesting }
  if (options.route !== 'batch') return [itemOf(body, { call: options.route }, options.verdict ?? codeOf(body, limits))]
  // `assertShape` has seen that it is an array.
  const batch = body['batch'] as unknown[]
  if (batch.length === 0) return [itemOf(batch, {}, options.verdict ?? 'empty_batch')]
  const defaults = defaultsOf(body)
  const ofAll = options.verdict ?? codeOfDefaults(defaults, limits)
  return batch.map((value, index) => itemOf(value, { defaults }, ofAll ?? codeInBatch(value, index, limits)))
}

/** Units of accounting that a body counts for: its messages, at least one. */
export function countMessages(body: JsonObject, route: Route): number {
  if (route !== 'batch') return 1
  const batch = Object.hasOwn(body, 'batch') ? body['batch'] : undefined
  return Array.isArray(batch) ? Math.max(1, batch.length) : 1
}

/** Refuses with 400 what will never be right: a body that is not an object, a batch without an array, a single call over the
 *  limit (contract: ingest.md §4, §5). */
export function checkShape(
  body: unknown,
  route: Route,
  sizes: { bodyBytes: number; messageBytesMax: number },
): asserts body is JsonObject {
  assertShape(body, route)
  // The message as sent cannot be larger than the body that it came in.
  if (route === 'batch' || sizes.bodyBytes <= sizes.messageBytesMax) return
  if (nestingOfValue(body, MESSAGE_LEVELS_MAX) > MESSAGE_LEVELS_MAX) return
  if (isLargerThan(body, sizes.messageBytesMax)) throw new AppError('message_too_large', 400, 'Exceed payload limit')
}

/** The write key that a body carries: its own, else that of the first message of its batch. */
export function writeKeyOf(body: JsonObject): string | undefined {
  const own = textAt(body, 'writeKey')
  if (own !== undefined) return own
  const batch = Object.hasOwn(body, 'batch') ? body['batch'] : undefined
  const first: unknown = Array.isArray(batch) ? batch[0] : undefined
  return isJsonObject(first) ? textAt(first, 'writeKey') : undefined
}

function textAt(object: JsonObject, key: string): string | undefined {
  const value = Object.hasOwn(object, key) ? object[key] : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

function assertShape(body: unknown, route: Route): asserts body is JsonObject {
  if (!isJsonObject(body)) throw new AppError('bad_request', 400, 'The body is not a JSON object.')
  if (route !== 'batch') return
  if (!Object.hasOwn(body, 'batch') || !Array.isArray(body['batch'])) {
    throw new AppError('bad_request', 400, 'The batch of the body is not an array.')
  }
}

type Limits = SplitOptions & { bodyBytes: number; nesting: number }

function itemOf(value: unknown, rest: { call?: Call; defaults?: BatchDefaults }, code: RejectedCode | undefined): Item {
  return code === undefined ? { value, ...rest } : { value, ...rest, code }
}

function codeInBatch(value: unknown, index: number, limits: Limits): RejectedCode | undefined {
  if (limits.batchMessagesMax !== undefined && index >= limits.batchMessagesMax) return 'batch_too_long'
  return codeOf(value, limits)
}

/** Nesting comes before size, because only a value of bounded depth is printed to be measured. Neither is looked at when the body
 *  as a whole is small and flat enough, which it nearly always is. */
function codeOf(value: unknown, limits: Limits): RejectedCode | undefined {
  if (!isJsonObject(value)) return 'bad_request'
  if (limits.nesting > MESSAGE_LEVELS_MAX && nestingOfValue(value, MESSAGE_LEVELS_MAX) > MESSAGE_LEVELS_MAX)
    return 'too_deep'
  if (limits.bodyBytes > limits.messageBytesMax && isLargerThan(value, limits.messageBytesMax))
    return 'message_too_large'
  return undefined
}

function defaultsOf(body: JsonObject): BatchDefaults {
  const defaults: BatchDefaults = {}
  if (isJsonObject(body['context'])) defaults.context = body['context']
  if (isJsonObject(body['integrations'])) defaults.integrations = body['integrations']
  if (Object.hasOwn(body, 'sentAt')) defaults.sentAt = body['sentAt']
  return defaults
}

/**
 * A batch's own context does not count for the size of its messages, but it is stored with each of them: half a body of context
 * over half a body of tiny messages would become gigabytes. So what is over the limit for one message is over it here, too, and
 * every message of such a batch is rejected. (Real clients send some hundred bytes.)
 */
function codeOfDefaults({ context, integrations }: BatchDefaults, limits: Limits): RejectedCode | undefined {
  return codeOf({ context: context ?? null, integrations: integrations ?? null }, limits)
}

/** What is kept of a rejected message, so that it can be inspected and sent again: all of it but the write key. */
export function payloadOf(item: Item): unknown {
  return isJsonObject(item.value) ? withoutWriteKey(item.value) : item.value
}
