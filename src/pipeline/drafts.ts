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
import { normaliseMessage, parseBody, splitBody, type Normalised, type SplitOptions } from '../protocol/index.ts'
import { lostCode, type Decided } from './counters.ts'
import { entryKinds, messageKey, type EntryKind, type MessageKey } from './dedupe.ts'
import { totalAt, type Slice } from './input.ts'

/** One frame of `events` to be. */
export interface Draft extends Decided {
  flags: number
  timeMs: number
  inputTotal: number
  /** JSON of the message or of its `Decision`. */
  json: string
  /** For the dedupe index; absent when the message has no id. */
  id?: { kind: EntryKind; key: MessageKey; messageId: string }
}

/** What a message comes to by itself. */
type Verdict = Pick<Draft, 'kind' | 'flags' | 'json' | 'code' | 'id'>

export interface DraftContext {
  /** An id for a message that came without one. */
  newMessageId: () => string
  noteWorkspace: (source: number, workspace: number) => void
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
  const decision: Decision = { code: 'duplicate', messageId, type: callNames[draft.kind] ?? '' }
  return {
    ...rest,
    kind: eventKinds.duplicate,
    flags: 0,
    json: JSON.stringify(decision),
    id: { kind: entryKinds.duplicate, key, messageId },
  }
}

const callNames = Object.fromEntries(Object.entries(eventKinds).map(([name, kind]) => [kind, name]))

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
  const arrival = { ...head, receivedAtMs: frame.timeMs, newMessageId: context.newMessageId }
  return splitBody(parseBody(body), splitOptionsOf(head)).map((item) =>
    verdictOf(normaliseMessage(item, arrival), head.workspace),
  )
}

function splitOptionsOf({ route, messageBytesMax, batchMessagesMax, verdict }: ReceivedHead): SplitOptions {
  return {
    route,
    messageBytesMax,
    ...(batchMessagesMax === undefined ? {} : { batchMessagesMax }),
    ...(verdict === undefined ? {} : { verdict }),
  }
}

function verdictOf(normalised: Normalised, workspace: number): Verdict {
  if (normalised.kind === 'call') {
    const { messageId } = normalised.message
    const flags =
      (normalised.hasIntegrations ? eventFlags.integrations : 0) |
      (normalised.hasBundled ? eventFlags.bundled : 0) |
      (normalised.hasConsent ? eventFlags.consent : 0)
    const id = { kind: entryKinds.accepted, key: messageKey(workspace, messageId), messageId }
    return { kind: eventKinds[normalised.call], flags, json: normalised.json, id }
  }
  const { code, messageId, type, payload } = normalised
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
