/**
 * What a writer does before its first append: find the true end of the partition in whatever state a crash left it.
 *
 * Only the newest segment can be torn (a segment is begun only when everything before it is durable), so that one is read
 * whole. Known durable is what the mark says and what later frames prove (`frame-codec.ts`). A bad frame below that is
 * corruption: it stays, readers report it, its offset is not used again. The first bad frame above it is the end of a write
 * that a crash cut off: it and what follows were never acknowledged and are cut. Sound frames above are kept, but after a
 * failed sync they may be in the page cache and not on the disk, so they are written again and synced before anybody may
 * see them.
 */
import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import type { Logger } from '../../base/logger.ts'
import { openIfPresent } from '../whole-file.ts'
import { readMark, type DurableMark } from './durable-mark.ts'
import { listSegments, markPath, segmentPath } from './layout.ts'
import { readBlock, type Place } from './read-block.ts'
import { readSegmentHead } from './segment-head.ts'

export interface Recovered {
  /** The newest segment, open for writing; undefined when there is none. */
  newest: { handle: FileHandle; baseOffset: number; end: Place; lastTimeMs: number } | undefined
  /** The newest intact checkpoint and the offset that it is of (the oldest offset kept, when there is none). */
  checkpoint: unknown
  checkpointOffset: number
  /** Offset for the next frame. */
  nextOffset: number
  /** The newest segment cannot be continued: its head is damaged, or offsets before the next one are lost. */
  needsNewSegment: boolean
}

interface Parts {
  fileSystem: FileSystem
  partitionPath: string
  tag: number
  log: Logger
}

const blockBytes = 1024 * 1024

export async function recoverPartition(parts: Parts, nextOffsetAtLeast: number): Promise<Recovered> {
  const mark = await readStoredMark(parts)
  const bases = await listSegments(parts.fileSystem, parts.partitionPath)
  const markEnd = Math.max(mark?.end ?? 0, nextOffsetAtLeast)
  const newest = await openNewest(parts, bases, mark)
  if (newest === undefined) {
    return { newest, checkpoint: undefined, checkpointOffset: markEnd, nextOffset: markEnd, needsNewSegment: true }
  }
  const { handle, baseOffset, scan, isHeadSound } = newest
  await settleTail(parts, handle, scan)
  await parts.fileSystem.syncDirectory(parts.partitionPath)
  const nextOffset = Math.max(scan.end.offset, markEnd)
  return {
    newest: { handle, baseOffset, end: scan.end, lastTimeMs: scan.lastTimeMs },
    ...(await newestCheckpoint(parts, bases)),
    nextOffset,
    needsNewSegment: !isHeadSound || nextOffset !== scan.end.offset,
  }
}

async function readStoredMark(parts: Parts): Promise<DurableMark | undefined> {
  const handle = await openIfPresent(parts.fileSystem, markPath(parts.partitionPath), 'read')
  if (handle === undefined) return undefined
  try {
    return await readMark(handle)
  } finally {
    await handle.close()
  }
}

/** Opens the newest segment that is one. Takes away from `bases` and the disk what a crash left of a segment just begun. */
async function openNewest(parts: Parts, bases: number[], mark: DurableMark | undefined) {
  const { fileSystem, partitionPath, tag } = parts
  for (let baseOffset = bases.at(-1); baseOffset !== undefined; baseOffset = bases.at(-1)) {
    const path = segmentPath(partitionPath, baseOffset)
    const handle = await fileSystem.open(path, 'write')
    const head = await readSegmentHead(handle)
    const start = { offset: baseOffset, position: head?.end ?? 0 }
    const scan = await scanTail(handle, start, mark?.end ?? 0, tag)
    const holdsDurable = mark !== undefined && mark.end > baseOffset
    if (head !== undefined || scan.end.offset > baseOffset || holdsDurable) {
      return { handle, baseOffset, scan, isHeadSound: head !== undefined }
    }
    parts.log.warn({ path }, 'removed a segment whose head was never completed')
    await handle.close()
    await fileSystem.remove(path)
    await fileSystem.syncDirectory(partitionPath)
    bases.pop()
  }
  return undefined
}

interface Scan {
  /** Where the next frame goes: behind the last frame kept. */
  end: Place
  fileBytes: number
  /** What lies behind `end` was never durable and goes. */
  isTorn: boolean
  /** From here to the end the bytes may be in the page cache only. */
  unsureFrom: number
  lastTimeMs: number
}

/** Reads a segment to its end and decides what of it stays. */
async function scanTail(handle: FileHandle, start: Place, markEnd: number, tag: number): Promise<Scan> {
  const fileBytes = await handle.size()
  const wholeFile = { offset: Infinity, position: fileBytes }
  const bad: Place[] = []
  let durableEnd = Math.max(start.offset, markEnd)
  let unsureFrom = 0
  let lastTimeMs = 0
  let end = start
  let headers: Place[] = []

  function onHeader(header: { offset: number; position: number; durableBefore: number; timeMs: number }): void {
    headers.push(header)
    durableEnd = Math.max(durableEnd, header.durableBefore)
    lastTimeMs = Math.max(lastTimeMs, header.timeMs)
    if (header.offset <= durableEnd && durableEnd > start.offset) unsureFrom = header.position
  }

  for (;;) {
    headers = []
    const { items, next } = await readBlock(handle, end, wholeFile, { tag, bytesMax: blockBytes, onHeader })
    items.forEach((item, index) => {
      if (item.type === 'gap') bad.push(end)
      else if (item.isDamaged) bad.push(headers[index]!)
    })
    if (next.offset === Infinity) break
    end = next
  }
  const cut = bad.find(({ offset }) => offset >= durableEnd)
  if (cut !== undefined) end = cut
  const isTorn = end.offset >= durableEnd && end.position < fileBytes
  return { end, fileBytes, isTorn, unsureFrom: Math.min(unsureFrom, end.position), lastTimeMs }
}

async function settleTail({ log, partitionPath }: Parts, handle: FileHandle, scan: Scan): Promise<void> {
  if (scan.isTorn) {
    log.warn(
      { partition: partitionPath, bytes: scan.fileBytes - scan.end.position },
      'cut a write that a crash left unfinished',
    )
    await handle.truncate(scan.end.position)
  }
  for (let position = scan.unsureFrom; position < scan.end.position; position += blockBytes) {
    const block = Buffer.allocUnsafeSlow(Math.min(blockBytes, scan.end.position - position))
    await handle.read(block, position)
    await handle.write([block], position)
  }
  await handle.sync()
}

async function newestCheckpoint(parts: Parts, bases: readonly number[]) {
  for (const base of bases.toReversed()) {
    const handle = await parts.fileSystem.open(segmentPath(parts.partitionPath, base), 'read')
    const found = await readSegmentHead(handle)
    await handle.close()
    if (found !== undefined) return { checkpoint: found.head.checkpoint, checkpointOffset: base }
    parts.log.error(
      { partition: parts.partitionPath, base },
      'the head of a segment is damaged; an older checkpoint is used',
    )
  }
  return { checkpoint: undefined, checkpointOffset: bases[0] ?? 0 }
}
