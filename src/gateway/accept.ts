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
import { previewOutcomes } from './preview-outcomes.ts'
import type { RateLimiter } from './rate-limit.ts'
import { readBody, type InFlight } from './read-body.ts'
import type { ReceivedTopic } from './received-topic.ts'
import type { KnownSource, SourceDirectory } from './source-directory.ts'

export interface Door {
  received: ReceivedTopic
  sources: SourceDirectory
  limiter: RateLimiter
  counters: GatewayCounters
  inFlight: InFlight
  clock: Clock
  isTrustedProxy: AddressSet
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
    const body = await readBody(request, limits.bodyBytesMax, door.inFlight)
    bodyBytes = body.byteLength
    const parsed: unknown = parseJson(body)
    checkShape(parsed, route, { bodyBytes, messageBytesMax: limits.messageBytesMax })
    const known = authenticate(door, request, parsed)
    if (known === undefined) return answerUnknownSource(door, request, response)
    const count = countMessages(parsed, route)
    limitRate(door, known, count)
    const head = headOf(door, route, request, known)
    await door.received.append(known.source.number, count, receivedAtMs, encodeReceived(head, body))
    door.counters.accepted(count, bodyBytes)
    if (request.headers['x-tributary-verbose'] === 'true')
      answerJson(request, response, 200, previewOutcomes(body, head, receivedAtMs))
    else answerSuccess(request, response)
  } catch (error) {
    answerRefusal(door, request, response, error)
  } finally {
    door.inFlight.bytes -= bodyBytes
  }
}

function refuseWhenFull(door: Door, request: IncomingMessage): void {
  const { inFlightBytesMax } = door.sources.snapshot.settings.limits
  const announced = Number(request.headers['content-length'] ?? 0)
  if (door.inFlight.bytes + announced > inFlightBytesMax) throw unavailable('Too many requests are being processed.')
  if (!door.received.isWritable) throw unavailable('The message could not be stored now.')
}

function authenticate(door: Door, request: IncomingMessage, body: JsonObject): KnownSource | undefined {
  const writeKey = writeKeyOfHeaders(request.headers) ?? writeKeyOf(body)
  return writeKey === undefined ? undefined : door.sources.byWriteKey(writeKey)
}

function answerUnknownSource(door: Door, request: IncomingMessage, response: ServerResponse): void {
  door.counters.refused('unknown_source')
  if (door.sources.snapshot.settings.ingest.unknownWriteKey === 200) return answerSuccess(request, response)
  const hint = 'Send the write key of a source as the Basic user name, in X-Write-Key, or as writeKey in the body.'
  answerError(request, response, new AppError('unknown_source', 401, 'The write key is missing or unknown.', { hint }))
}

function limitRate(door: Door, { source, workspace }: KnownSource, messages: number): void {
  const bySource =
    source.eventsPerSecond && door.limiter.take(`source ${source.number}`, source.eventsPerSecond, messages)
  const wait =
    bySource ||
    (workspace.eventsPerSecond &&
      door.limiter.take(`workspace ${workspace.number}`, workspace.eventsPerSecond, messages))
  if (wait) throw new RateLimited(wait)
}

class RateLimited extends AppError {
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number) {
    super('too_many_requests', 429, 'The limit of events per second is reached.')
    this.retryAfterSeconds = retryAfterSeconds
  }
}

function headOf(door: Door, route: Route, request: IncomingMessage, { source, workspace }: KnownSource): ReceivedHead {
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

function answerRefusal(door: Door, request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const error =
    thrown instanceof JournalUnavailable ? unavailable('The message could not be stored now.', thrown) : thrown
  if (!(error instanceof AppError)) throw error
  door.counters.refused(error.code)
  if (error instanceof RateLimited) answerError(request, response, error, error.retryAfterSeconds)
  else if (error.status === 503) answerError(request, response, error, UNAVAILABLE_RETRY_SECONDS)
  else answerError(request, response, error)
}

export function unavailable(message: string, cause?: unknown): AppError {
  return new AppError('unavailable', 503, message, { cause })
}
