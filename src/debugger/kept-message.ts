/** What the debugger keeps of a message: what it is called and who sent it, for the search, and both of its forms as JSON. */
import { eventKinds, isCall, type Decision, type Frame } from '../journal/index.ts'
import { isJsonObject, parseExactly, type JsonObject } from '../protocol/index.ts'
import { maskedText } from './masked-text.ts'
import type { RawForms } from './raw-form.ts'

/** Where a message stands in `events`. */
export interface Place {
  partition: number
  offset: number
}

export type DecisionName = 'processed' | 'rejected' | 'duplicate' | 'dropped'

export interface MessageHead {
  decision: DecisionName
  code?: string
  /** The call; of a message that is none what it says of itself. */
  type?: string
  /** Of the event, the page or the screen. */
  name?: string
  userId?: string
  anonymousId?: string
  messageId?: string
}

/** Why a form is not there. */
export type MissingReason = 'expired' | 'damaged' | 'too_large'

export interface NewMessage extends Place, MessageHead {
  source: number
  receivedAtMs: number
  /** Running total of its source in its partition. */
  sourceTotal: number
  /** JSON of the frame in `events`: the message as it goes on, or the decision. */
  processed: string | null
  processedMissing?: MissingReason
  /** JSON of the message as it was sent. */
  raw: string | null
  rawMissing?: MissingReason
}

export interface KeptMessage extends NewMessage {
  /** Counts the kept messages of a source, without a gap. */
  ordinal: number
}

/** Characters of a form that are kept; a longer one is left out. */
export const FORM_LENGTH_MAX = 256 * 1024
/** Characters of a name or an id that are kept. */
const TEXT_LENGTH_MAX = 1_000

/** Makes it of an undamaged frame of `events` and what was sent, and tells how many bytes were read for it. */
export async function readMessage(
  partition: number,
  frame: Frame,
  rawForms: RawForms,
): Promise<{ message: NewMessage; bytesRead: number }> {
  const text = frame.body.toString()
  // Written by the pipeline, under the CRC of the body.
  const content = parseExactly(text) as JsonObject
  // A decision may have been made because of the id.
  const isKnown = isCall(frame.kind) || frame.kind === eventKinds.duplicate
  const raw = await rawForms.of(frame, isKnown ? textOf(content['messageId']) : undefined)
  const isLong = text.length > FORM_LENGTH_MAX
  const message: NewMessage = {
    source: frame.source,
    partition,
    offset: frame.offset,
    receivedAtMs: frame.timeMs,
    sourceTotal: frame.sourceTotal,
    ...headOf(frame.kind, content, raw.value),
    processed: isLong ? null : maskedText(text, content),
    ...(isLong ? { processedMissing: 'too_large' } : {}),
    raw: raw.text,
    ...(raw.missing === undefined ? {} : { rawMissing: raw.missing }),
  }
  return { message, bytesRead: frame.body.byteLength + raw.bytesRead }
}

function headOf(kind: number, content: JsonObject, sent: unknown): MessageHead {
  const messageId = textOf(content['messageId'])
  if (isCall(kind))
    return { decision: 'processed', ...describe(content), ...(messageId === undefined ? {} : { messageId }) }
  const { code, type, message } = content as unknown as Decision
  // A decision names the message and what it was about. The rest is in what was sent.
  const whole = isJsonObject(message) ? message : isJsonObject(sent) ? sent : {}
  const described = describe(whole)
  const id = messageId ?? textOf(whole['messageId'])
  const call = type ?? described.type
  return {
    decision: decisionOf(kind),
    code,
    ...described,
    ...(call === undefined ? {} : { type: shortened(call) }),
    ...(id === undefined ? {} : { messageId: id }),
  }
}

function decisionOf(kind: number): DecisionName {
  switch (kind) {
    case eventKinds.duplicate:
      return 'duplicate'
    case eventKinds.dropped:
      return 'dropped'
    default:
      return 'rejected'
  }
}

function describe(message: JsonObject): Omit<MessageHead, 'decision' | 'code' | 'messageId'> {
  const type = textOf(message['type'])
  const name = textOf(message['event']) ?? (type === 'page' || type === 'screen' ? textOf(message['name']) : undefined)
  const userId = textOf(message['userId'])
  const anonymousId = textOf(message['anonymousId'])
  return {
    ...(type === undefined ? {} : { type }),
    ...(name === undefined ? {} : { name }),
    ...(userId === undefined ? {} : { userId }),
    ...(anonymousId === undefined ? {} : { anonymousId }),
  }
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? shortened(value) : undefined
}

/** A name or an id as it is kept and looked for. */
export function shortened(text: string): string {
  return text.slice(0, TEXT_LENGTH_MAX).toWellFormed()
}
