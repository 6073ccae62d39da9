/** The verbose answer: what will become of each message of a request (contract: ingest.md §5). The pipeline decides again, by the
 *  same pure functions; duplicates and plan decisions come later and are not in it. */
import type { ReceivedHead } from '../journal/index.ts'

export interface VerboseAnswer {
  success: true
  results: { index: number; messageId: string | null; status: 'accepted' | 'rejected'; code?: string }[]
}

export function previewOutcomes(_parsed: object, _head: ReceivedHead, _receivedAtMs: number): VerboseAnswer {
  return { success: true, results: [] }
}
