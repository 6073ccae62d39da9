/**
 * What delivery writes to the topic `outcomes`: what each attempt came to. Everything that delivery knows (cursors, counters,
 * retry store, dead letters, trace) is a view of these frames, see `fold.ts`. A frame belongs to one connection (its number is
 * the frame's `source`) and holds groups: messages of one request that came to the same end.
 *
 * The body is JSON. Names are on disk: add fields, never change the meaning of one.
 */
import type { FrameInput } from '../journal/index.ts'
import { outcomeKinds } from '../journal/index.ts'

export type OutcomeState = 'delivered' | 'waiting' | 'discarded' | 'dropped'

export interface OutcomeGroup {
  partition: number
  /** Runs of `events` offsets, see `offset-runs.ts`. */
  offsets: number[]
  state: OutcomeState
  /** Mapping of the destination; absent when the message was dropped before any mapping was chosen. */
  mapping?: string
  /** How many mappings the message goes through in all; absent: one. */
  legs?: number
  /** Reason of every state but `delivered`: an HTTP status, a socket code, or a code of `reason-codes.ts`. */
  code?: string
  /** Attempts made so far, this one included; absent or 0 when nothing was sent. */
  attempt?: number
  /** HTTP status of the answer, if there was one. */
  status?: number
  latencyMs?: number
  /** `delivered`: when the first of these messages was received. */
  receivedAtMs?: number
  /** `waiting`: when to try again. */
  nextTryAtMs?: number
  /** `waiting`: when the first attempt was made; the retry window starts there. */
  firstAttemptAtMs?: number
  /** `waiting`: backoff steps used, when that differs from `attempt` (a 429 with Retry-After uses none). */
  step?: number
  /** `waiting`, ordered connections: hash of the user whose later messages wait behind this one. */
  order?: string
  /** `waiting`: the code under which the message had counted as discarded; it counts as waiting again. */
  again?: string
  /** Id of the redelivery that this belongs to. */
  redelivery?: string
  /** Excerpt of the answer or the error, secrets removed, at most 4 KiB. */
  detail?: string
}

export interface OutcomeBody {
  /** Partition -> offset below which every message of this connection has an end or is in the retry store. */
  cursors: Record<number, number>
  groups: OutcomeGroup[]
}

/** Something that happened to a connection as a whole. */
export type ConnectionBody =
  /** The connection was deleted: what waited is discarded. Carries the final count of what it had received. */
  | { event: 'deleted'; received: ReceivedCounts; waiting: number }
  /** Messages that had been counted as received left the journal before they could be read again. */
  | { event: 'lost'; count: number; state: 'dropped' | 'discarded'; code: string }
  /** Somebody asked for a redelivery of dead letters. */
  | { event: 'redelivery'; order: RedeliveryOrder }
  /** Nothing is left of it to be taken, or it was cancelled. */
  | { event: 'redeliveryEnded'; id: string; state: 'done' | 'cancelled' }

export interface RedeliveryOrder {
  id: string
  orderedAtMs: number
  filter: DeadLetterFilter
  /** Messages that it was for when it was ordered. */
  matched: number
  /** Absent: as fast as the destination bears. */
  messagesPerSecond?: number
}

/** Which dead letters; of a message that went through several mappings one that fits is enough. */
export interface DeadLetterFilter {
  /** Reason codes; absent: any. */
  codes?: string[]
  /** Name of the event (track), page or screen; absent: any. */
  event?: string
  /** When they were discarded: from, and before. */
  fromMs?: number
  toMs?: number
}

export interface ReceivedCounts {
  received: number
  rejected: Record<string, number>
  duplicate: number
  /** Dropped at the source, by code. */
  sourceDropped: Record<string, number>
}

export function encodeOutcomes(connection: number, timeMs: number, body: OutcomeBody): FrameInput {
  return frame(outcomeKinds.outcomes, connection, timeMs, body)
}

export function encodeConnection(connection: number, timeMs: number, body: ConnectionBody): FrameInput {
  return frame(outcomeKinds.connection, connection, timeMs, body)
}

function frame(kind: number, connection: number, timeMs: number, body: OutcomeBody | ConnectionBody): FrameInput {
  return {
    kind,
    flags: 0,
    source: connection,
    timeMs,
    index: 0,
    inputPartition: 0,
    inputOffset: 0,
    sourceTotal: 0,
    body: [Buffer.from(JSON.stringify(body))],
  }
}

export type Outcome =
  | { kind: 'outcomes'; connection: number; timeMs: number; body: OutcomeBody }
  | { kind: 'connection'; connection: number; timeMs: number; body: ConnectionBody }

/** What a frame of `outcomes` says; undefined for a kind that a newer version may have written. */
export function decodeOutcome(frame: {
  kind: number
  source: number
  timeMs: number
  body: Buffer
}): Outcome | undefined {
  const { kind, source: connection, timeMs } = frame
  // Written by the functions above and protected by the frame's CRC, so the shape is known.
  const read = <T>() => JSON.parse(frame.body.toString()) as T
  if (kind === outcomeKinds.outcomes) return { kind: 'outcomes', connection, timeMs, body: read<OutcomeBody>() }
  if (kind === outcomeKinds.connection) return { kind: 'connection', connection, timeMs, body: read<ConnectionBody>() }
  return undefined
}
