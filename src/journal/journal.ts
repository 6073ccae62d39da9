/**
 * The journal: three topics of partitions, each an ordered list of frames that is only ever appended to at its end and
 * removed from its start. It is the queue between the processes and the truth from which every other state (cursors,
 * counters, dedupe index, retry store, trace) can be rebuilt. This file is the interface; `segments/` is the embedded
 * engine, Kafka can be another. `journal-suite.ts` is the behaviour that every engine must show.
 *
 * What a caller may rely on:
 * - `append` resolves only when the frames would survive a power cut, and offsets are consecutive and never used again.
 * - A reader never returns a frame that is not durable (it stops at the durable mark).
 * - Exactly one process writes a partition at a time; any number read it.
 * - Damage is reported in its place (`damaged` body, `gap` of offsets) and never ends a reader.
 */

export const topics = ['received', 'events', 'outcomes'] as const
export type Topic = (typeof topics)[number]

/** What a writer gives for one frame. `body` pieces are written one after the other without being joined; they must not
 *  change before the append resolves. At most 16 MiB together. */
export interface FrameInput {
  /** What the body is; the meaning belongs to the topic (`frame-kinds.ts`). 1 to 255. */
  kind: number
  /** Bits for readers that want to decide without parsing the body. 0 to 255. */
  flags: number
  /** Number of the source (topics `received`, `events`) or of the connection (`outcomes`). 32 bits. */
  source: number
  /** Milliseconds since the epoch: when the request was received; for outcomes, when it was written. */
  timeMs: number
  /** `received`: how many messages the body holds. Otherwise the index of the message in its request. 32 bits. */
  index: number
  /** `events`: which frame of `received` this came from. `received`: which frame of `events`, for a forwarded message. Zeros
   *  elsewhere. */
  inputPartition: number
  inputOffset: number
  /** Running total of messages of this `source` in this partition, this frame included, so that a reader that meets a gap
   *  can tell how many messages of which source were in it. 48 bits. Zero where nobody counts (outcomes). */
  sourceTotal: number
  body: readonly Uint8Array[]
}

/** One frame as read back. `body` is a view that stays valid for as long as it is referenced. */
export interface Frame {
  type: 'frame'
  offset: number
  kind: number
  flags: number
  source: number
  timeMs: number
  index: number
  inputPartition: number
  inputOffset: number
  sourceTotal: number
  body: Buffer
  /** True when the header is sound and the body is not (bit rot): the body must not be used, the header may. */
  isDamaged: boolean
}

/** `count` offsets from `offset` on that are gone: removed by retention (`expired`) or unreadable (`corrupt`). */
export interface Gap {
  type: 'gap'
  offset: number
  count: number
  reason: 'expired' | 'corrupt'
}

export interface PartitionWriter {
  readonly topic: Topic
  readonly partition: number
  /** Offset that the next appended frame will get. */
  readonly nextOffset: number
  /** Appends all frames, in order, and resolves with the offset of the first once all are durable. Calls are committed in
   *  the order made; calls made while a commit runs share the next one. Throws `JournalUnavailable` before anything is
   *  taken when the disk reserve is reached or too much waits for the disk (both pass by themselves) and for ever after a
   *  failed write or sync (the process must stop; on the next start the tail is recovered).
   *
   *  A disk that turns out full during a commit (the reserve is there so that it does not happen) also rejects what was
   *  taken and is not durable, with `disk_reserve`: none of it is in the journal, its offsets are given to later frames, and
   *  an owner that has folded it into its state must undo that or stop. */
  append(frames: readonly FrameInput[]): Promise<number>
  /** Bytes appended and not yet durable. */
  readonly pendingBytes: number
  /** False while `append` would be refused. */
  readonly isWritable: boolean
  /** Waits for what was appended, then closes. */
  close(): Promise<void>
}

export interface OpenWriterOptions {
  /** State of the writer as of the next frame; stored at the head of each new segment, so that a restart reads one segment. JSON.
   *  Called inside `append`, before its frames are taken. So an owner folds the frames of an append into its state after
   *  calling `append` (and before the next call), or its folding does no harm when done twice (totals that are set, not added). */
  checkpoint: () => unknown
  /** The next offset is at least this: for an owner that knows of a consumer standing further than the files reach. */
  nextOffsetAtLeast?: number
}

/** What a writer finds when it opens its partition. */
export interface OpenedWriter {
  writer: PartitionWriter
  /** The newest intact checkpoint (undefined for a new partition) and the frames appended after it, in order, for the
   *  owner to fold into it. Read it to its end before the first `append`. */
  checkpoint: unknown
  tail: AsyncIterable<Frame | Gap>
}

export interface Reader {
  /** Offset of the next item that `read` will return. */
  readonly offset: number
  /** The next items up to the durable mark, at most about `bytesMax` bytes of bodies; empty when there is nothing new yet. */
  read(bytesMax: number): Promise<(Frame | Gap)[]>
  /** Continues at `offset`. */
  seek(offset: number): void
  close(): Promise<void>
}

export interface Segment {
  baseOffset: number
  /** One past its last offset. */
  endOffset: number
  bytes: number
  isSealed: boolean
  /** `timeMs` of its first frame, 0 when it has none. */
  firstTimeMs: number
  /** Newest `timeMs` of a sealed segment, 0 while it is not sealed. */
  lastTimeMs: number
}

export interface Journal {
  /** Random; renewed by `restore`. A cursor with another id starts again at the beginning of what is kept. */
  readonly id: string
  /** Partitions of the topic that exist now, ascending. */
  partitions(topic: Topic): Promise<number[]>
  /** One past the newest durable offset of the partition; 0 when it does not exist yet. */
  durableEnd(topic: Topic, partition: number): Promise<number>
  /** Oldest offset that a reader can still get, cold tier included. */
  firstOffset(topic: Topic, partition: number): Promise<number>
  openWriter(topic: Topic, partition: number, options: OpenWriterOptions): Promise<OpenedWriter>
  /** Reads from `offset` on; falls back to the cold tier for what has left the hot journal, and reports what is nowhere as a gap. */
  openReader(topic: Topic, partition: number, offset: number): Promise<Reader>
  /** One frame by offset (hot or cold), or undefined when it is gone or not durable yet. */
  readOne(topic: Topic, partition: number, offset: number): Promise<Frame | undefined>
  /** Calls `run` soon after new frames of the topic became durable, in any partition and by any process; now and then once too
   *  often. It may come while a read is under way, so remember it: read again before waiting. Returns a function that stops it. */
  onAppend(topic: Topic, run: () => void): () => void
  segments(topic: Topic, partition: number): Promise<Segment[]>
  /** The owner's state as of the hot segment that begins at `baseOffset`; undefined when the segment is gone, or its head damaged. */
  checkpointAt(topic: Topic, partition: number, baseOffset: number): Promise<unknown>
  /** Removes sealed hot segments that end at or before `offset`, except the newest sealed one: its checkpoint is the spare
   *  for a damaged head of the segment being written. */
  removeBefore(topic: Topic, partition: number, offset: number): Promise<void>
  close(): Promise<void>
}

/** Refuses an append: nothing of it was taken and the client should come again. */
export class JournalUnavailable extends Error {
  override name = 'JournalUnavailable'
  /** `disk_reserve` and `overloaded` pass by themselves; `failed` lasts until the process is restarted. */
  readonly reason: 'disk_reserve' | 'overloaded' | 'failed' | 'closed'
  constructor(reason: JournalUnavailable['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
