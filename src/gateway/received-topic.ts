import { JournalUnavailable, receivedKinds, type Journal, type PartitionWriter } from '../journal/index.ts'

/** This gateway's partition of `received`, with the running totals of messages per source that its frames carry. */
export interface ReceivedTopic {
  /** Appends one request; resolves when it would survive a power cut. Throws `JournalUnavailable`. */
  append(source: number, messages: number, receivedAtMs: number, body: Uint8Array[]): Promise<void>
  /** Messages accepted per source number, ever. */
  totals(): Record<string, number>
  readonly isWritable: boolean
  close(): Promise<void>
}

interface Checkpoint {
  totals: Record<string, number>
}

/** Opens the partition and counts what its last segment holds. `nextOffsetAtLeast`: how far a consumer has read already. */
export async function openReceivedTopic(
  journal: Journal,
  partition: number,
  nextOffsetAtLeast: number,
): Promise<ReceivedTopic> {
  const totals = new Map<number, number>()
  const opened = await journal.openWriter('received', partition, {
    checkpoint: (): Checkpoint => ({ totals: Object.fromEntries(totals) }),
    nextOffsetAtLeast,
  })
  // Written by this file, in this or an earlier run.
  const checkpoint = opened.checkpoint as Checkpoint | undefined
  for (const [source, total] of Object.entries(checkpoint?.totals ?? {})) totals.set(Number(source), total)
  for await (const item of opened.tail) {
    if (item.type === 'frame') totals.set(item.source, item.sourceTotal)
  }
  return topicOf(opened.writer, totals)
}

function topicOf(writer: PartitionWriter, totals: Map<number, number>): ReceivedTopic {
  return {
    async append(source, messages, receivedAtMs, body) {
      if (!writer.isWritable) throw new JournalUnavailable('disk_reserve', 'The journal takes nothing now.')
      const sourceTotal = (totals.get(source) ?? 0) + messages
      const frame = {
        kind: receivedKinds.request,
        flags: 0,
        source,
        timeMs: receivedAtMs,
        index: messages,
        inputPartition: 0,
        inputOffset: 0,
        sourceTotal,
        body,
      }
      // The journal asks for the checkpoint inside `append`, as of before this frame: so the total is kept after the call.
      const appended = writer.append([frame])
      totals.set(source, sourceTotal)
      try {
        await appended
      } catch (error) {
        // A failed commit takes everything that was queued with it, so taking each one's messages off again restores the totals.
        totals.set(source, (totals.get(source) ?? 0) - messages)
        throw error
      }
    },
    totals: () => Object.fromEntries(totals),
    get isWritable() {
      return writer.isWritable
    },
    close: () => writer.close(),
  }
}
