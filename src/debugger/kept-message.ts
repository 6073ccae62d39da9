/** What the debugger keeps of a message: what it is called and who sent it, for the search, and both of its forms as JSON. */

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

/** A name or an id as it is kept and looked for. */
export function shortened(text: string): string {
  return text.slice(0, TEXT_LENGTH_MAX).toWellFormed()
}
