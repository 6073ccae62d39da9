/**
 * The writer of one partition: group commit.
 *
 *   append -> the filling group -> one write, one sync -> the durable mark -> the appends of the group resolve
 *
 * Appends that arrive while a group is being committed gather in the next one, so the number of syncs adapts to the load by
 * itself. The data of the next group is written while the mark of this one is being published; an append resolves only after
 * its mark, so that whoever was told "durable" finds other processes knowing it too.
 *
 * After a failed write or sync nobody can say what is on the disk (the page cache drops what it could not write and reports
 * it clean), so the writer fails for ever and the process restarts into recovery. A full disk is the exception: the file is
 * cut back to its durable end, everything not yet durable is refused, and the writer goes on when there is room again.
 */
import { assert } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import { JournalUnavailable, type FrameInput, type PartitionWriter, type Topic } from '../journal.ts'
import type { DiskReserve } from './disk-reserve.ts'
import { encodeMark, type DurableMark } from './durable-mark.ts'
import { bodyBytesMax, headerBytes } from './frame-codec.ts'
import { FrameGroup } from './frame-group.ts'
import { segmentPath } from './layout.ts'
import type { Recovered } from './recovery.ts'
import { encodeSegmentHead } from './segment-head.ts'

export interface WriterParts {
  topic: Topic
  partition: number
  partitionPath: string
  journalId: string
  tag: number
  segmentBytesMax: number
  pendingBytesMax: number
  fileSystem: FileSystem
  clock: Clock
  reserve: DiskReserve
  markFile: FileHandle
  checkpoint: () => unknown
  /** Runs a function soon, after what is ready to run now: lets the appends of one turn share a commit. */
  defer: (run: () => void) => void
  onDurable: () => void
  onFailed: (error: Error) => void
  onClosed: () => void
}

/** How long a mark may be in the page cache only. It is a hint; this bounds what a power cut takes from it. */
const markSyncMs = 1000

export class SegmentWriter implements PartitionWriter {
  readonly topic: Topic
  readonly partition: number
  pendingBytes = 0
  readonly #parts: WriterParts
  #file: FileHandle | undefined
  #mark: DurableMark
  /** Groups that wait for the flusher; appends go to the last one. */
  #queue: FrameGroup[] = []
  #nextOffset: number
  /** Bytes that the segment will have when everything queued is written; undefined when the next append begins a segment. */
  #plannedBytes: number | undefined
  #lastTimeMs: number
  /** The segment at hand cannot be continued (see `Recovered`). */
  #needsNewSegment: boolean
  #spareChunk: Buffer | undefined
  #isFlushing = false
  #publishing: Promise<void> = Promise.resolve()
  #markSync: ReturnType<Clock['after']> | undefined
  #ended: JournalUnavailable | undefined
  #whenIdle: (() => void)[] = []
  #isClosed = false

  constructor(parts: WriterParts, recovered: Recovered) {
    this.#parts = parts
    this.topic = parts.topic
    this.partition = parts.partition
    this.#file = recovered.newest?.handle
    this.#nextOffset = recovered.nextOffset
    this.#lastTimeMs = recovered.newest?.lastTimeMs ?? 0
    this.#needsNewSegment = recovered.needsNewSegment
    this.#plannedBytes = this.#needsNewSegment ? undefined : recovered.newest?.end.position
    this.#mark = {
      end: recovered.nextOffset,
      segmentBase: recovered.newest?.baseOffset ?? recovered.nextOffset,
      position: recovered.newest?.end.position ?? 0,
    }
  }

  get nextOffset(): number {
    return this.#nextOffset
  }

  get isWritable(): boolean {
    return this.#refusal(0) === undefined
  }

  /** How far everybody may read. */
  get mark(): DurableMark {
    return this.#mark
  }

  append(frames: readonly FrameInput[]): Promise<number> {
    const bytes = encodedBytes(frames)
    const refusal = this.#refusal(bytes)
    if (refusal !== undefined) return Promise.reject(refusal)
    const offset = this.#nextOffset
    const group = this.#groupFor(bytes)
    for (const frame of frames) group.add(frame)
    this.#nextOffset = group.endOffset
    this.pendingBytes += bytes
    if (!this.#isFlushing) {
      this.#isFlushing = true
      this.#parts.defer(() => void this.#flush())
    }
    return group.wait(offset)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ended ??= new JournalUnavailable('closed', 'The journal is closed')
    if (this.#isFlushing) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
    await this.#publishing
    if (this.#markSync !== undefined) this.#parts.clock.clear(this.#markSync)
    try {
      if (this.#ended.reason === 'closed') await this.#parts.markFile.sync()
    } finally {
      this.#parts.onClosed()
      await this.#parts.markFile.close()
      await this.#file?.close()
    }
  }

  #refusal(bytes: number): JournalUnavailable | undefined {
    if (this.#ended !== undefined) return this.#ended
    if (this.pendingBytes + bytes > this.#parts.pendingBytesMax) {
      return new JournalUnavailable('overloaded', 'The disk is slower than what is appended')
    }
    if (!this.#parts.reserve.hasRoomFor(this.pendingBytes + bytes)) {
      return new JournalUnavailable('disk_reserve', 'The disk reserve is reached')
    }
    return undefined
  }

  #groupFor(bytes: number): FrameGroup {
    const planned = this.#plannedBytes
    if (planned === undefined || planned + bytes > this.#parts.segmentBytesMax) return this.#beginSegment(bytes)
    this.#plannedBytes = planned + bytes
    const filling = this.#queue.at(-1)
    if (filling !== undefined) return filling
    const group = new FrameGroup(this.#nextOffset, this.#parts.tag, undefined, this.#takeChunk())
    this.#queue.push(group)
    return group
  }

  /** The checkpoint is taken here, before the frames of this append are: it is the owner's state with every earlier append
   *  folded in and (unless folding twice is harmless) not this one. */
  #beginSegment(bytes: number): FrameGroup {
    const { topic, partition, journalId, clock, tag, checkpoint } = this.#parts
    const previousLastTimeMs = this.#queue.reduce((last, group) => Math.max(last, group.lastTimeMs), this.#lastTimeMs)
    const head = encodeSegmentHead({
      journalId,
      topic,
      partition,
      baseOffset: this.#nextOffset,
      createdAtMs: clock.now(),
      previousLastTimeMs,
      checkpoint: checkpoint(),
    })
    this.#plannedBytes = head.byteLength + bytes
    const group = new FrameGroup(this.#nextOffset, tag, head, this.#takeChunk())
    this.#queue.push(group)
    return group
  }

  #takeChunk(): Buffer | undefined {
    const chunk = this.#spareChunk
    this.#spareChunk = undefined
    return chunk
  }

  async #flush(): Promise<void> {
    for (let group = this.#queue.shift(); group !== undefined; group = this.#queue.shift()) {
      try {
        await this.#commit(group)
      } catch (error) {
        await this.#refuseFrom(group, error)
      }
    }
    this.#isFlushing = false
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  async #commit(group: FrameGroup): Promise<void> {
    if (group.newSegmentHead !== undefined) await this.#roll(group.firstOffset, group.newSegmentHead)
    const { segmentBase, position, end } = this.#mark
    assert(group.firstOffset === end, 'groups are committed in the order of their offsets')
    assert(this.#file !== undefined, 'the first group of a partition begins a segment')
    await this.#file.write(group.buffers(), position)
    await this.#file.sync()
    this.#mark = { end: group.endOffset, segmentBase, position: position + group.bytes }
    this.#lastTimeMs = Math.max(this.#lastTimeMs, group.lastTimeMs)
    this.#parts.reserve.spend(group.bytes)
    this.#spareChunk = group.takeChunk()
    await this.#publishing
    if (this.#ended?.reason === 'failed') throw this.#ended
    this.#publishing = this.#publish(group)
  }

  /** Tells other processes, then those who wait. Never rejects. */
  async #publish(group: FrameGroup): Promise<void> {
    try {
      await this.#parts.markFile.write([encodeMark(this.#mark)], 0)
    } catch (error) {
      this.#fail(error)
      group.settle(this.#ended)
      return
    }
    this.pendingBytes -= group.bytes
    group.settle()
    this.#parts.onDurable()
    this.#markSync ??= this.#parts.clock.after(markSyncMs, () => {
      this.#markSync = undefined
      if (this.#ended === undefined) this.#parts.markFile.sync().catch((error: unknown) => this.#fail(error))
    })
  }

  /** The head becomes durable with the first group: until then the segment counts for nothing. */
  async #roll(baseOffset: number, head: Uint8Array): Promise<void> {
    const { fileSystem, partitionPath } = this.#parts
    const handle = await fileSystem.open(segmentPath(partitionPath, baseOffset), 'create')
    try {
      await handle.truncate(0)
      await handle.write([head], 0)
      await fileSystem.syncDirectory(partitionPath)
    } catch (error) {
      await handle.close()
      if (isFull(error)) await this.#removeSegment(baseOffset)
      throw error
    }
    await this.#file?.close()
    this.#file = handle
    this.#needsNewSegment = false
    this.#lastTimeMs = 0
    this.#mark = { end: baseOffset, segmentBase: baseOffset, position: head.byteLength }
  }

  async #removeSegment(baseOffset: number): Promise<void> {
    const { fileSystem, partitionPath } = this.#parts
    await fileSystem.remove(segmentPath(partitionPath, baseOffset))
    await fileSystem.syncDirectory(partitionPath)
  }

  /** The group could not be committed: it and everything behind it is refused. */
  async #refuseFrom(group: FrameGroup, error: unknown): Promise<void> {
    const refusal = isFull(error) && (await this.#cutBack()) ? this.#resetAfterFull(error) : this.#fail(error)
    for (const refused of [group, ...this.#queue.splice(0)]) refused.settle(refusal)
  }

  /** Takes what a refused write left behind out of the file, durably, so that it can never come back. */
  async #cutBack(): Promise<boolean> {
    try {
      await this.#file?.truncate(this.#mark.position)
      await this.#file?.sync()
      await this.#publishing
      return this.#ended?.reason !== 'failed'
    } catch {
      return false
    }
  }

  #resetAfterFull(cause: unknown): JournalUnavailable {
    this.#parts.reserve.noteFull()
    this.#nextOffset = this.#mark.end
    this.#plannedBytes = this.#needsNewSegment ? undefined : this.#mark.position
    this.pendingBytes = 0
    return new JournalUnavailable('disk_reserve', 'The disk is full', { cause })
  }

  #fail(cause: unknown): JournalUnavailable {
    if (this.#ended?.reason === 'failed') return this.#ended
    const failure = new JournalUnavailable('failed', 'A write to the journal failed', { cause })
    this.#ended = failure
    this.#parts.onFailed(failure)
    return failure
  }
}

function encodedBytes(frames: readonly FrameInput[]): number {
  assert(frames.length > 0, 'an append has at least one frame')
  let bytes = 0
  for (const { body } of frames) {
    let length = 0
    for (const piece of body) length += piece.byteLength
    assert(length <= bodyBytesMax, 'the body of a frame is at most 16 MiB')
    bytes += headerBytes + length
  }
  return bytes
}

function isFull(error: unknown): boolean {
  return codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT'
}
