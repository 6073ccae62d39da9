/**
 * Blocked events that go on to another source: each becomes a message of that source, in a partition of `received` that this process
 * writes. Which event a frame came from stands in its header, so the partition itself says how far forwarding has come.
 *
 * The pipeline appends nothing to `events` before all that is blocked before it has been forwarded. Hence after a crash what is
 * missing can only be in the newest segment of `events`, which the pipeline reads anyway, and retention need not wait for anybody.
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import {
  encodeReceived,
  eventFlags,
  eventKinds,
  receivedKinds,
  type Decision,
  type Frame,
  type FrameInput,
  type Journal,
  type PartitionWriter,
} from '../journal/index.ts'
import { parseExactly, type Message } from '../protocol/index.ts'
import { appendWhenPossible } from './append.ts'

/** A frame of `events` whose message is to be forwarded. */
export interface BlockedEvent {
  offset: number
  timeMs: number
  flags: number
  /** JSON of its `Decision`. */
  json: string
}

export interface ForwarderParts {
  journal: Journal
  clock: Clock
  /** Partition of `received` that it writes, alone. It is made when the first event is forwarded. */
  partition: number
  eventsPartition: number
  isStopping: () => boolean
}

export interface Forwarder {
  /** One past the newest event that has been forwarded. */
  readonly next: number
  /** Messages made so far, by the number of the source that got them. */
  totals(): Record<number, number>
  /** Forwards events, in the order of their offsets. False when it was time to stop before all of them were durable. */
  forward(events: readonly BlockedEvent[]): Promise<boolean>
  close(): Promise<void>
}

/** `totals` as in every checkpoint of `received` (`received-totals.ts`). */
interface Checkpoint {
  totals: Record<string, number>
  next: number
}

const appendEventsMax = 250

/** The id under which a forwarded message is known: its own one belongs to the blocked copy, of the same workspace. */
export function forwardedId(messageId: string): string {
  return `blocked-${messageId}`
}

/** Whether a frame of `events` is a blocked event that goes on to another source. */
export function isForwarded({ kind, flags }: Pick<Frame, 'kind' | 'flags'>): boolean {
  return kind === eventKinds.dropped && (flags & eventFlags.forwarding) !== 0
}

/** Reads what has been forwarded. */
export async function openForwarder(parts: ForwarderParts): Promise<Forwarder> {
  const { journal, clock, partition, eventsPartition, isStopping } = parts
  const totals = new Map<number, number>()
  let next = 0
  let writer = (await journal.partitions('received')).includes(partition) ? await openWriter() : undefined

  async function openWriter(): Promise<PartitionWriter> {
    const opened = await journal.openWriter('received', partition, {
      checkpoint: (): Checkpoint => ({ totals: Object.fromEntries(totals), next }),
    })
    // Written by this file, in this or an earlier run.
    const checkpoint = opened.checkpoint as Checkpoint | undefined
    for (const [source, total] of Object.entries(checkpoint?.totals ?? {})) totals.set(Number(source), total)
    next = checkpoint?.next ?? 0
    for await (const item of opened.tail) {
      if (item.type === 'gap') continue
      totals.set(item.source, item.sourceTotal)
      next = item.inputOffset + 1
    }
    return opened.writer
  }

  async function append(events: readonly BlockedEvent[]): Promise<boolean> {
    writer ??= await openWriter()
    const after = new Map(totals)
    const frames = events.map((event) => frameOf(event, eventsPartition, after))
    if ((await appendWhenPossible(writer, frames, clock, isStopping)) === undefined) return false
    for (const [source, total] of after) totals.set(source, total)
    for (const { offset } of events) next = offset + 1
    return true
  }

  return {
    get next() {
      return next
    },
    totals: () => Object.fromEntries(totals),
    async forward(events) {
      for (let from = 0; from < events.length; from += appendEventsMax)
        if (!(await append(events.slice(from, from + appendEventsMax)))) return false
      return true
    },
    close: async () => writer?.close(),
  }
}

/** Counts the message in `totals`. */
function frameOf(event: BlockedEvent, inputPartition: number, totals: Map<number, number>): FrameInput {
  // Written by this room; exact numbers stay exact.
  const { messageId, message, forwarding } = parseExactly(event.json) as Decision & { message: Message }
  assert(messageId !== undefined && forwarding !== undefined, 'a blocked event that goes on says where to')
  const id = forwardedId(messageId)
  const json = JSON.stringify({ ...message, messageId: id, forwardedFromProject: forwarding.from })
  const body = Buffer.from(json)
  const sourceTotal = (totals.get(forwarding.source) ?? 0) + 1
  totals.set(forwarding.source, sourceTotal)
  return {
    kind: receivedKinds.request,
    flags: 0,
    source: forwarding.source,
    timeMs: event.timeMs,
    index: 1,
    inputPartition,
    inputOffset: event.offset,
    sourceTotal,
    body: encodeReceived(
      {
        route: message.type,
        workspace: forwarding.workspace,
        messageBytesMax: body.byteLength,
        forwarded: { messageId: id, flags: event.flags & ~eventFlags.forwarding },
      },
      body,
    ),
  }
}
