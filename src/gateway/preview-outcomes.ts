/** The verbose answer: what will become of each message of a request (contract: ingest.md §5). The pipeline decides again, by the
 *  same pure functions; duplicates and plan decisions come later and are not in it. */
import type { ReceivedHead } from '../journal/index.ts'
import { normaliseMessage, parseBody, splitBody, type Normalised } from '../protocol/index.ts'

export interface VerboseAnswer {
  success: true
  results: { index: number; messageId: string | null; status: 'accepted' | 'rejected'; code?: string }[]
}

/** A message without an id of its own has `messageId: null` here: the pipeline makes one later. */
export function previewOutcomes(body: Buffer, head: ReceivedHead, receivedAtMs: number): VerboseAnswer {
  const items = splitBody(parseBody(body), splitOptionsOf(head))
  const arrival = { ...head, receivedAtMs, newMessageId: () => '' }
  return {
    success: true,
    results: items.map((item, index) => ({ index, ...resultOf(normaliseMessage(item, arrival)) })),
  }
}

function resultOf(normalised: Normalised) {
  if (normalised.kind === 'call')
    return { messageId: normalised.message.messageId || null, status: 'accepted' as const }
  return { messageId: normalised.messageId ?? null, status: 'rejected' as const, code: normalised.code }
}

function splitOptionsOf({ route, messageBytesMax, batchMessagesMax, verdict }: ReceivedHead) {
  return {
    route,
    messageBytesMax,
    ...(batchMessagesMax === undefined ? {} : { batchMessagesMax }),
    ...(verdict === undefined ? {} : { verdict }),
  }
}
