/** From frames of `received` to what will be written to `events`, before it is known which messages are duplicates. Whatever a
 *  body holds, it gives exactly as many drafts as the frame's header has promised. */
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import {
  decodeReceived,
  eventFlags,
  eventKinds,
  receivedKinds,
  type Decision,
  type Frame,
  type ReceivedHead,
} from '../journal/index.ts'
import {
  normaliseMessage,
  parseBody,
  splitBody,
  type Call,
  type DroppedCode,
  type NormalisedCall,
  type RejectedMessage,
  type SplitOptions,
} from '../protocol/index.ts'
import { lostCode, type Decided } from './counters.ts'
import { entryKinds, messageKey, type EntryKind, type MessageKey } from './dedupe.ts'
import { totalAt, type Slice } from './input.ts'
import type { ControlsOf, SourceControls } from './schema-controls.ts'

/** One frame of `events` to be. */
export interface Draft extends Decided {
  flags: number
  timeMs: number
  inputTotal: number
  /** JSON of the message or of its `Decision`. */
  json: string
  /** Of a message that is one of the six calls and sound, also of a blocked one. */
  call?: Call
  /** For the dedupe index; absent when the message has no id. */
  id?: { kind: EntryKind; key: MessageKey; messageId: string }
}

/** What a message comes to by itself. */
type Verdict = Pick<Draft, 'kind' | 'flags' | 'json' | 'call' | 'code' | 'id'>

export interface DraftContext {
  /** An id for a message that came without one. */
  newMessageId: () => string
  noteWorkspace: (source: number, workspace: number) => void
  /** What the schema of a source refuses now. */
  controlsOf: ControlsOf
  log: Logger
}

/** Bytes of JSON of a rejected message that are kept; of a larger one only the beginning is. */
const keptCharactersMax = 64 * 1024
const excerptCharacters = 4 * 1024

/** The drafts of a slice, one for each of its units. Never throws for what a request holds. */
export function draftsOf(slice: Slice, context: DraftContext): Draft[] {
  const { partition, frame, lost, from, to } = slice
  const own = to > lost ? verdictsOf(frame, context) : []
  const drafts: Draft[] = []
  for (let index = from; index < to; index += 1) {
    // `verdictsOf` gives one verdict for each message of the frame.
    const verdict = index < lost ? lostVerdict : own[index - lost]!
    drafts.push({
      ...verdict,
      source: frame.source,
      timeMs: frame.timeMs,
      inputPartition: partition,
      inputOffset: frame.offset,
      index,
      inputTotal: totalAt(slice, index),
    })
  }
  return drafts
}

/** The frame that says that the message has been there before. */
export function asDuplicate(draft: Draft, { key, messageId }: NonNullable<Draft['id']>): Draft {
  const { code: _, ...rest } = draft
  const decision: Decision = { code: 'duplicate', messageId, type: draft.call ?? '' }
  return {
    ...rest,
    kind: eventKinds.duplicate,
    flags: 0,
    json: JSON.stringify(decision),
    id: { kind: entryKinds.duplicate, key, messageId },
  }
}

const lostVerdict: Verdict = {
  kind: eventKinds.dropped,
  flags: 0,
  code: lostCode,
  json: JSON.stringify({ code: lostCode } satisfies Decision),
}

function verdictsOf(frame: Frame, context: DraftContext): Verdict[] {
  if (frame.isDamaged) return new Array<Verdict>(frame.index).fill(lostVerdict)
  try {
    const verdicts = split(frame, context)
    if (verdicts.length === frame.index) return verdicts
    context.log.error(
      { offset: frame.offset, source: frame.source, expected: frame.index, found: verdicts.length },
      'a request holds another number of messages than its frame says',
    )
  } catch (error) {
    // The door has parsed the body and counted its messages, so this cannot be the sender's fault. A request that fails here
    // would fail again after a restart, and for ever: it must not stop those behind it.
    context.log.error(
      { offset: frame.offset, source: frame.source, reason: messageOf(error) },
      'a request could not be split',
    )
  }
  return new Array<Verdict>(frame.index).fill(rejection({ code: 'bad_request' }))
}

function split(frame: Frame, context: DraftContext): Verdict[] {
  if (frame.kind !== receivedKinds.request) throw new Error('a frame of an unknown kind')
  const { head, body } = decodeReceived(frame.body)
  context.noteWorkspace(frame.source, head.workspace)
  if (head.forwarded !== undefined) return [arrivedByForwarding(head, head.forwarded, body)]
  const arrival = { ...head, receivedAtMs: frame.timeMs, newMessageId: context.newMessageId }
  const controls = context.controlsOf(frame.source)
  return splitBody(parseBody(body), splitOptionsOf(head)).map((item) => {
    const normalised = normaliseMessage(item, arrival)
    return normalised.kind === 'call'
      ? verdictOfCall(normalised, head.workspace, controls)
      : verdictOfRejected(normalised, head.workspace)
  })
}

function splitOptionsOf({ route, messageBytesMax, batchMessagesMax, verdict }: ReceivedHead): SplitOptions {
  return {
    route,
    messageBytesMax,
    ...(batchMessagesMax === undefined ? {} : { batchMessagesMax }),
    ...(verdict === undefined ? {} : { verdict }),
  }
}

function verdictOfCall(normalised: NormalisedCall, workspace: number, controls?: SourceControls): Verdict {
  const { call, message, json } = normalised
  const { messageId } = message
  const flags =
    (normalised.hasIntegrations ? eventFlags.integrations : 0) |
    (normalised.hasBundled ? eventFlags.bundled : 0) |
    (normalised.hasConsent ? eventFlags.consent : 0)
  const id = { kind: entryKinds.accepted, key: messageKey(workspace, messageId), messageId }
  if (controls === undefined) return { kind: eventKinds[call], flags, json, call, id }
  if (controls.isBlocked(message)) return { ...blocked(normalised, controls, flags), call, id }
  // Printed again only when something was taken out.
  const left = controls.omitTraits(message) ? JSON.stringify(message) : json
  return { kind: eventKinds[call], flags, json: left, call, id }
}

const blockedCode: DroppedCode = 'event_setting'

/** Keeps the message whole, whatever its size: it may have to go on to another source. */
function blocked({ call, message, json }: NormalisedCall, { forwarding }: SourceControls, flags: number): Verdict {
  const decision: Decision = {
    code: blockedCode,
    messageId: message.messageId,
    type: call,
    ...(forwarding && { forwarding }),
  }
  return {
    kind: eventKinds.dropped,
    flags: forwarding === undefined ? flags : flags | eventFlags.forwarding,
    code: blockedCode,
    // The message is printed already; joining spares doing it again.
    json: `${JSON.stringify(decision).slice(0, -1)},"message":${json}}`,
  }
}

/** An event that another source has blocked. It is final and is not blocked again, so that no event goes in a circle. */
function arrivedByForwarding(
  { route, workspace }: ReceivedHead,
  { messageId, flags }: NonNullable<ReceivedHead['forwarded']>,
  body: Buffer,
): Verdict {
  // `forwarder.ts` writes one call.
  const call = route as Call
  const id = { kind: entryKinds.accepted, key: messageKey(workspace, messageId), messageId }
  return { kind: eventKinds[call], flags, json: body.toString(), call, id }
}

function verdictOfRejected({ code, messageId, type, payload }: RejectedMessage, workspace: number): Verdict {
  const verdict = rejection({
    code,
    ...(messageId === undefined ? {} : { messageId }),
    ...(type === undefined ? {} : { type }),
    message: payload,
  })
  if (messageId === undefined) return verdict
  return { ...verdict, id: { kind: entryKinds.rejected, key: messageKey(workspace, messageId), messageId } }
}

function rejection(decision: Decision): Verdict {
  const whole = JSON.stringify(decision)
  const json = whole.length <= keptCharactersMax ? whole : JSON.stringify(shortened(decision))
  return { kind: eventKinds.rejected, flags: 0, code: decision.code, json }
}

function shortened({ message, ...decision }: Decision): Decision {
  return { ...decision, excerpt: JSON.stringify(message).slice(0, excerptCharacters) }
}
