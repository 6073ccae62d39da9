import { eventKinds, isCall, type Decision, type Journal } from '../journal/index.ts'
import type { Message } from '../protocol/index.ts'
import type { IndexedFrame } from './dedupe.ts'

/** One frame of `events` that concerns a messageId. */
export interface TracedFrame {
  partition: number
  offset: number
  /** `dropped`: the schema of its source blocks it. */
  result: 'accepted' | 'duplicate' | 'rejected' | 'dropped'
  source: number
  receivedAtMs: number
  /** The request it came in: frame of `received`, and index of the message in it. */
  input: { partition: number; offset: number; index: number }
  /** Of an accepted message. Absent with `decision` when the frame is damaged. */
  message?: Message
  decision?: Decision
}

/** Reads the frames that the index has named. One that is not there any more (retention, archive off) is left out. */
export async function traceOf(
  journal: Journal,
  partition: number,
  found: readonly IndexedFrame[],
): Promise<TracedFrame[]> {
  const traced: TracedFrame[] = []
  for (const { offset } of found) {
    const frame = await journal.readOne('events', partition, offset)
    if (frame === undefined) continue
    const { kind, source, timeMs, inputPartition, inputOffset, index } = frame
    const result = resultOf(kind)
    const input = { partition: inputPartition, offset: inputOffset, index }
    const entry: TracedFrame = { partition, offset, result, source, receivedAtMs: timeMs, input }
    if (!frame.isDamaged) {
      // Written by this room, under the CRC of the body.
      const content: unknown = JSON.parse(frame.body.toString())
      if (result === 'accepted') entry.message = content as Message
      else entry.decision = content as Decision
    }
    traced.push(entry)
  }
  return traced
}

function resultOf(kind: number): TracedFrame['result'] {
  if (isCall(kind)) return 'accepted'
  if (kind === eventKinds.duplicate) return 'duplicate'
  return kind === eventKinds.dropped ? 'dropped' : 'rejected'
}
