/** Finds in `received` what was sent: the request that a frame of `events` names, split again as the pipeline has split it. */
import { decodeReceived, receivedKinds, type Frame, type Journal } from '../journal/index.ts'
import { isJsonObject, parseBody, splitBody } from '../protocol/index.ts'
import { FORM_LENGTH_MAX, type MissingReason } from './kept-message.ts'
import { maskedJson } from './masked-text.ts'

export interface RawForm {
  /** The message as parsed; undefined when it is missing. */
  value?: unknown
  /** Its JSON. */
  text: string | null
  missing?: MissingReason
  /** Bytes that had to be read for it. */
  bytesRead: number
}

export interface RawForms {
  /** Of a frame of `events`, with the id that it must have been sent with, if any. Never throws for what a request holds. */
  of(frame: Frame, messageId?: string): Promise<RawForm>
}

/** Messages of one request stand one after the other in `events`, so the last request is nearly always the next one, too. */
interface Request {
  key: string
  values: unknown[] | MissingReason
}

export function createRawForms(journal: Pick<Journal, 'readOne'>): RawForms {
  let last: Request | undefined

  return {
    async of(frame, messageId) {
      const key = `${frame.inputPartition}:${frame.inputOffset}`
      let bytesRead = 0
      if (last?.key !== key) {
        const found = await journal.readOne('received', frame.inputPartition, frame.inputOffset)
        bytesRead = found?.body.byteLength ?? 0
        last = { key, values: found === undefined ? 'expired' : valuesOf(found) }
      }
      const { values } = last
      if (typeof values === 'string') return { text: null, missing: values, bytesRead }
      return { ...formOf(valueFor(frame, values, messageId)), bytesRead }
    },
  }
}

function valuesOf(found: Frame): unknown[] | MissingReason {
  if (found.isDamaged || found.kind !== receivedKinds.request) return 'damaged'
  try {
    const { head, body } = decodeReceived(found.body)
    // Whether a message is too large has been decided; to measure it again would cost more than all the rest.
    return splitBody(parseBody(body), { route: head.route, messageBytesMax: Infinity }).map(({ value }) => value)
  } catch {
    // The door has let in only what can be split, and the pipeline has said so in its log if it could not.
    return 'damaged'
  }
}

/** Nearly always the one at the frame's index. But when messages before a request were lost, their frames come first under its
 *  place, and the index of its own is that much further; so an id that is known has to be the one that was sent. */
function valueFor({ index }: Frame, values: unknown[], messageId: string | undefined): unknown {
  const value = values[index]
  if (messageId === undefined || idOf(value) === undefined || idOf(value) === messageId) return value
  return values.find((each) => idOf(each) === messageId)
}

function idOf(value: unknown): string | undefined {
  return isJsonObject(value) && typeof value['messageId'] === 'string' ? value['messageId'] || undefined : undefined
}

function formOf(value: unknown): Omit<RawForm, 'bytesRead'> {
  if (value === undefined) return { text: null, missing: 'damaged' }
  const text = maskedJson(value)
  return text.length > FORM_LENGTH_MAX ? { value, text: null, missing: 'too_large' } : { value, text }
}
