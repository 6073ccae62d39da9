/** From a frame of `events` to what is kept of its message. */
import { eventKinds, isCall, type Decision, type Frame } from '../journal/index.ts'
import { isJsonObject, parseExactly, type JsonObject } from '../protocol/index.ts'
import { FORM_LENGTH_MAX, shortened, type DecisionName, type MessageHead, type NewMessage } from './kept-message.ts'
import { maskedText } from './masked-text.ts'
import type { RawForms } from './raw-form.ts'

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
