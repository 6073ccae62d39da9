import { sleep, type Clock } from '../base/clock.ts'
import { JournalUnavailable, type FrameInput, type PartitionWriter } from '../journal/index.ts'

const unwritableRetryMs = 200

/** Appends as soon as the disk reserve allows it, and resolves with the offset of the first frame. Undefined when it was time to
 *  stop before that: nothing was written. */
export async function appendWhenPossible(
  writer: PartitionWriter,
  frames: readonly FrameInput[],
  clock: Clock,
  isStopping: () => boolean,
): Promise<number | undefined> {
  for (;;) {
    try {
      return await writer.append(frames)
    } catch (error) {
      if (!passesByItself(error)) throw error
    }
    if (isStopping()) return undefined
    await sleep(clock, unwritableRetryMs)
  }
}

function passesByItself(error: unknown): boolean {
  return error instanceof JournalUnavailable && (error.reason === 'disk_reserve' || error.reason === 'overloaded')
}
