/**
 * From a request that takes messages to a durable frame in `received`, then 200. The door only parses, authenticates, checks
 * limits and appends; splitting, normalising and validating is the pipeline's work, so that nothing behind the journal can
 * slow ingest down. A 200 promises that every message of the request would survive a power cut.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import { encodeReceived, JournalUnavailable, type ReceivedHead } from '../journal/index.ts'
import { checkShape, countMessages, parseJson, writeKeyOf, type JsonObject, type Route } from '../protocol/index.ts'
import { answerError, answerJson, answerSuccess } from './answers.ts'
import { writeKeyOfHeaders } from './authenticate.ts'
import { clientAddress, type AddressSet } from './client-address.ts'
import type { GatewayCounters } from './counters.ts'
import { previewOutcomes, type VerboseAnswer } from './preview-outcomes.ts'
import { Unauthorized, type TokenCheck } from './oauth/require-token.ts'
import type { RateLimiter } from './rate-limit.ts'
import { announcedBytes, makeRoom, noRoom, readBody, type InFlight } from './read-body.ts'
import type { ReceivedTopic } from './received-topic.ts'
import type { KnownSource, SourceDirectory } from './source-directory.ts'

export interface Door {
  received: ReceivedTopic
  sources: SourceDirectory
  limiter: RateLimiter
  counters: GatewayCounters
  inFlight: InFlight
  clock: Clock
  random: () => number
  isTrustedProxy: AddressSet
  /** Throws `unauthorized` for a source that needs a token which the request lacks. */
  checkToken: TokenCheck
}

/** Seconds after which a client that was refused for want of room should come again. */
const UNAVAILABLE_RETRY_SECONDS = 5

/** Takes one request to its answer. Never rejects. */
export async function accept(
  door: Door,
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let bodyBytes = 0
  try {
    refuseWhenFull(door, request)
    const receivedAtMs = door.clock.now()
    const { limits } = door.sources.snapshot.settings
    const body = await readBody(request, readLimits(door), door.inFlight, door.clock)
    bodyBytes = body.byteLength
    const parsed: unknown = parseJson(body)
    checkShape(parsed, route, { bodyBytes, messageBytesMax: limits.messageBytesMax })
    const known = authenticate(door, request, parsed)
    if (known === undefined) return answerUnknownSource(door, request, response)
    const count = countMessages(parsed, route)
    limitRate(door, known, count)
    const head = headOf(door, route, request, known)
    const outcomes = outcomesFor(request, known, { body, head, receivedAtMs })
    await door.received.append(known.source.number, count, receivedAtMs, encodeReceived(head, body))
    door.counters.accepted(count, bodyBytes)
    if (request.headers['x-retry-count'] !== undefined) door.counters.retried()
    if (outcomes === undefined) answerSuccess(request, response)
    else answerJson(request, response, 200, outcomes)
  } catch (error) {
    answerRefusal(door, request, response, error)
  } finally {
    door.inFlight.bytes -= bodyBytes
  }
}

/** Throws `unavailable` when nothing can be taken now. */
export function refuseWhenFull(door: Door, request: IncomingMessage): void {
  const { bodyBytesMax, inFlightBytesMax } = door.sources.snapshot.settings.limits
  // A body that announces more than it may have is not read, and gets another answer (`readBody`).
  const announced = Math.min(announcedBytes(request), bodyBytesMax)
  if (!makeRoom(door.inFlight, inFlightBytesMax - announced, Infinity, door.clock)) throw noRoom()
  if (!door.received.isWritable) throw unavailable('The message could not be stored now.')
}

export function readLimits(door: Door): { bytesMax: number; inFlightBytesMax: number } {
  const { bodyBytesMax, inFlightBytesMax } = door.sources.snapshot.settings.limits
  return { bytesMax: bodyBytesMax, inFlightBytesMax }
}

/** The source whose write key the headers or the body carry; undefined when it is missing or unknown. Throws `unauthorized` when the
 *  source asks for more than that. */
export function authenticate(door: Door, request: IncomingMessage, body: JsonObject): KnownSource | undefined {
  const { sources } = door
  const writeKey =
    writeKeyOfHeaders(request.headers, (text) => sources.byWriteKey(text) !== undefined) ?? writeKeyOf(body)
  const known = writeKey === undefined ? undefined : sources.byWriteKey(writeKey)
  if (known !== undefined) door.checkToken(request, known.source)
  return known
}

function answerUnknownSource(door: Door, request: IncomingMessage, response: ServerResponse): void {
  door.counters.refused('unknown_source')
  if (door.sources.snapshot.settings.ingest.unknownWriteKey === 200) return answerSuccess(request, response)
  const hint = 'Send the write key of a source as the Basic user name, in X-Write-Key, or as writeKey in the body.'
  answerError(request, response, new AppError('unknown_source', 401, 'The write key is missing or unknown.', { hint }))
}

/** Throws `too_many_requests` when the source or its workspace is over its rate. */
export function limitRate(door: Door, known: KnownSource, messages: number): void {
  const wait = door.limiter.take(known, messages)
  if (wait !== undefined) throw new RateLimited(wait)
}

class RateLimited extends AppError {
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number) {
    super('too_many_requests', 429, 'The limit of events per second is reached.')
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** What the door knows of a request and the pipeline needs. */
export function headOf(
  door: Door,
  route: Route,
  request: IncomingMessage,
  { source, workspace }: KnownSource,
): ReceivedHead {
  const { limits, ingest } = door.sources.snapshot.settings
  const head: ReceivedHead = { route, workspace: workspace.number, messageBytesMax: limits.messageBytesMax }
  const address = clientAddress(request, door.isTrustedProxy)
  // IPv6 addresses are collected only on request (contract: ingest.md §9).
  if (address !== undefined && (ingest.collectIpv6 || !address.includes(':'))) {
    if (source.isClientSide) head.ip = address
    else head.directIp = address
  }
  if (source.isClientSide && request.headers['user-agent'] !== undefined)
    head.userAgent = request.headers['user-agent'].slice(0, 4096)
  if (!source.isEnabled) head.verdict = 'source_disabled'
  if (source.ip !== 'keep') head.ipMode = source.ip
  if (!ingest.idCoercion) head.idCoercion = false
  if (limits.batchMessagesMax !== undefined) head.batchMessagesMax = limits.batchMessagesMax
  return head
}

/** What the answer tells of each message: only for who asks, or when the source is strict. Of a strict source a single call that would
 *  be rejected for what it holds is refused with `invalid_message` instead, and not taken. */
export function outcomesFor(
  request: IncomingMessage,
  { source }: KnownSource,
  { body, head, receivedAtMs }: { body: Buffer; head: ReceivedHead; receivedAtMs: number },
): VerboseAnswer | undefined {
  if (source.isStrict !== true && request.headers['x-tributary-verbose'] !== 'true') return undefined
  const outcomes = previewOutcomes(body, head, receivedAtMs)
  const [only] = outcomes.results
  // A verdict of the door is about the source: what it sends may be right, and is kept.
  const isSingle = head.route !== 'batch' && head.verdict === undefined
  if (source.isStrict === true && isSingle && only?.code !== undefined) throw new InvalidMessage(only.code, outcomes)
  return outcomes
}

class InvalidMessage extends AppError {
  readonly results: VerboseAnswer['results']
  constructor(code: string, { results }: VerboseAnswer) {
    super('invalid_message', 400, `The message is not valid: ${code}.`)
    this.results = results
  }
}

/** Answers what was thrown and counts it. Throws on what nobody foresaw. */
export function answerRefusal(door: Door, request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const error = refusalOf(thrown)
  door.counters.refused(error.code)
  if (error instanceof RateLimited)
    answerError(request, response, error, { retryAfterSeconds: error.retryAfterSeconds })
  else if (error.status === 503) answerError(request, response, error, { retryAfterSeconds: UNAVAILABLE_RETRY_SECONDS })
  else if (error instanceof Unauthorized)
    answerError(request, response, error, { authenticate: 'Bearer error="invalid_token"' })
  else if (error instanceof InvalidMessage) answerError(request, response, error, { results: error.results })
  else answerError(request, response, error)
}

/** The refusal that was thrown; throws what is none. */
export function refusalOf(thrown: unknown): AppError {
  if (thrown instanceof JournalUnavailable) return unavailable('The message could not be stored now.', thrown)
  if (thrown instanceof AppError) return thrown
  throw thrown
}

export function unavailable(message: string, cause?: unknown): AppError {
  return new AppError('unavailable', 503, message, { cause })
}
