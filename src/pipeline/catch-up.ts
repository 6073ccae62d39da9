/** Brings the dedupe index up to the end of `events`: a fraction of a second of frames after a kill, or, when the index is not
 *  there at all, everything of the window, from the id files where there are some and from the frames where not. */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { decodeReceived, eventKinds, isCall, type Decision, type Frame, type Journal } from '../journal/index.ts'
import type { PipelineState } from './counters.ts'
import { entryKinds, messageKey, type DedupeIndex, type IndexEntry } from './dedupe.ts'
import { IdCollector, type IdFiles } from './id-file.ts'

export interface CatchUpParts {
  journal: Journal
  partition: number
  state: PipelineState
  log: Logger
  clock: Clock
  workspaceOf: (source: number) => number | undefined
}

const readBytes = 1024 * 1024
const putEntries = 5_000
const DAY_MS = 86_400_000

/** Adds to the index what it lacks of the frames before offset `end`. */
export async function catchUp(
  parts: CatchUpParts,
  index: DedupeIndex,
  idFiles: IdFiles,
  end: number,
  windowDays: number,
): Promise<void> {
  const startedAtMs = parts.clock.now()
  const ranges = await idFiles.ranges()
  // A day more than the window, because frames are only about in the order of their times. Id files outlive their segments.
  const start =
    index.covered ??
    Math.min(ranges[0]?.base ?? end, await firstOffsetSince(parts, startedAtMs - (windowDays + 1) * DAY_MS, end))
  let offset = start
  while (offset < end) {
    const file = ranges.find((range) => range.base <= offset && offset < range.end)
    const ids = file === undefined ? undefined : await idFiles.read(file.base)
    if (file !== undefined && ids === undefined) {
      parts.log.warn({ base: file.base }, 'an id file is damaged: its segment is read instead')
      ranges.splice(ranges.indexOf(file), 1)
    } else if (ids !== undefined) {
      await putAll(index, ids.entries, offset, Math.min(end, ids.end))
      offset = ids.end
    } else {
      const next = ranges.find((range) => range.base > offset)
      const to = Math.min(end, next?.base ?? end)
      await putFrames(parts, index, offset, to)
      offset = to
    }
  }
  if (end - start > 0)
    parts.log.info({ from: start, to: end, ms: parts.clock.now() - startedAtMs }, 'the dedupe index has caught up')
}

/** Writes the id files that sealed segments of the window lack, because a crash came before them. Returns the end of the newest
 *  sealed segment. */
export async function writeMissingIdFiles(parts: CatchUpParts, idFiles: IdFiles, windowDays: number): Promise<number> {
  const oldestMs = parts.clock.now() - (windowDays + 1) * DAY_MS
  const ranges = await idFiles.ranges()
  const segments = await parts.journal.segments('events', parts.partition)
  for (const { baseOffset, endOffset, isSealed, lastTimeMs } of segments) {
    if (!isSealed || lastTimeMs < oldestMs) continue
    let offset = baseOffset
    for (const range of ranges) if (range.base <= offset && offset < range.end) offset = range.end
    if (offset >= endOffset) continue
    const ids = new IdCollector(offset)
    for await (const entry of entriesBetween(parts, offset, endOffset)) ids.add(entry)
    await idFiles.write(ids, endOffset)
  }
  return segments.findLast(({ isSealed }) => isSealed)?.endOffset ?? 0
}

/** The index entry of a frame of `events`; undefined when no messageId can be read from it. */
export async function entryOf(parts: CatchUpParts, frame: Frame): Promise<IndexEntry | undefined> {
  if (frame.isDamaged) return undefined
  // Written by this room, under the CRC of the body: a message or a decision.
  const { messageId } = JSON.parse(frame.body.toString()) as Pick<Decision, 'messageId'>
  if (messageId === undefined) return undefined
  const workspace = parts.state.workspace(frame.source) ?? (await findWorkspace(parts, frame))
  if (workspace === undefined) return undefined
  // A blocked event takes its id like an accepted one. (What else is dropped has no id.)
  const kind =
    isCall(frame.kind) || frame.kind === eventKinds.dropped
      ? entryKinds.accepted
      : frame.kind === eventKinds.duplicate
        ? entryKinds.duplicate
        : entryKinds.rejected
  return { kind, key: messageKey(workspace, messageId), offset: frame.offset, receivedAtMs: frame.timeMs }
}

/** Of a source that is newer than the checkpoint. Of one that was deleted since, its request knows the workspace, as long as it can
 *  be read: not when a power cut has left the mark of `received` before it, until the gateway has opened that again. */
async function findWorkspace(parts: CatchUpParts, frame: Frame): Promise<number | undefined> {
  const { state, log, workspaceOf } = parts
  const { source } = frame
  const workspace = workspaceOf(source) ?? (await workspaceOfRequest(parts, frame))
  if (workspace !== undefined) state.setWorkspace(source, workspace)
  else
    log.error(
      { source, offset: frame.offset },
      'the workspace of a source is not known: its message is missing in the dedupe index',
    )
  return workspace
}

async function workspaceOfRequest({ journal }: CatchUpParts, frame: Frame): Promise<number | undefined> {
  const request = await journal.readOne('received', frame.inputPartition, frame.inputOffset)
  return request === undefined || request.isDamaged ? undefined : decodeReceived(request.body).head.workspace
}

async function putFrames(parts: CatchUpParts, index: DedupeIndex, from: number, to: number): Promise<void> {
  let batch: IndexEntry[] = []
  for await (const entry of entriesBetween(parts, from, to)) {
    batch.push(entry)
    if (batch.length < putEntries) continue
    await index.put(batch, entry.offset + 1)
    batch = []
  }
  await index.put(batch, to)
}

async function putAll(index: DedupeIndex, entries: Iterable<IndexEntry>, from: number, end: number): Promise<void> {
  let batch: IndexEntry[] = []
  for (const entry of entries) {
    if (entry.offset < from || entry.offset >= end) continue
    batch.push(entry)
    if (batch.length < putEntries) continue
    await index.put(batch, entry.offset + 1)
    batch = []
  }
  await index.put(batch, end)
}

async function* entriesBetween(parts: CatchUpParts, from: number, to: number): AsyncGenerator<IndexEntry> {
  const reader = await parts.journal.openReader('events', parts.partition, from)
  try {
    while (reader.offset < to) {
      const items = await reader.read(readBytes)
      if (items.length === 0) return
      for (const item of items) {
        if (item.type === 'gap' || item.offset >= to) continue
        const entry = await entryOf(parts, item)
        if (entry !== undefined) yield entry
      }
    }
  } finally {
    await reader.close()
  }
}

/** The first offset before `end` whose frame was received at `ms` or later; earlier where a frame on the way cannot be read. */
async function firstOffsetSince({ journal, partition }: CatchUpParts, ms: number, end: number): Promise<number> {
  let low = await journal.firstOffset('events', partition)
  let high = end
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    const frame = await journal.readOne('events', partition, middle)
    if (frame !== undefined && frame.timeMs < ms) low = middle + 1
    else high = middle
  }
  return low
}
