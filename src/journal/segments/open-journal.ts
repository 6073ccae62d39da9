import { join } from 'node:path'
import { assert } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import { silentLogger, type Logger } from '../../base/logger.ts'
import { openColdStore } from '../cold/cold-store.ts'
import type { Frame, Gap, Journal, OpenedWriter, OpenWriterOptions, Reader, Segment, Topic } from '../journal.ts'
import { openIfPresent } from '../whole-file.ts'
import { createAppendWatch, defaultPollMs } from './append-watch.ts'
import { watchDiskReserve } from './disk-reserve.ts'
import { encodeMark, type DurableMark } from './durable-mark.ts'
import { readIdentity } from './journal-identity.ts'
import { listPartitions, listSegments, markPath, partitionDirectory, segmentPath } from './layout.ts'
import { openPublishedMarks } from './published-marks.ts'
import { SegmentReader } from './reader.ts'
import { recoverPartition } from './recovery.ts'
import { createSegmentFiles } from './segment-files.ts'
import { createSegmentList } from './segment-list.ts'
import { readSegmentHead } from './segment-head.ts'
import { SegmentWriter } from './writer.ts'

export interface JournalOptions {
  directory: string
  fileSystem: FileSystem
  clock: Clock
  /** Makes a random, unguessable id. */
  newId: () => string
  /** A segment is closed before it grows beyond this. Default 64 MiB. */
  segmentBytesMax?: number
  /** Appends are refused while the disk has less than this free. A function gives the value in force now. Default 0. */
  diskReserveBytes?: number | (() => number)
  /** Bytes of one partition that may wait for the disk. Default 64 MiB. */
  pendingBytesMax?: number
  /** Where the cold tier is; without it readers know the hot segments only. */
  archiveDirectory?: string
  log?: Logger
  /** A write or sync failed: the process must stop, so that its next start recovers. */
  onFailed?: (error: Error) => void
  /** How late a reader notices new frames where files cannot be watched, and a new partition anywhere. Default one second. */
  pollMs?: number
  /** Runs a function after what is ready now; for simulations. Default `setImmediate`. */
  defer?: (run: () => void) => void
}

const defaultSegmentBytesMax = 64 * 1024 * 1024
const defaultPendingBytesMax = 64 * 1024 * 1024
const tailBlockBytes = 1024 * 1024

/** Opens the embedded journal: segment files under `directory`. Makes the journal when there is none (see `prepareJournal`). */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const identity = await readIdentity(options)
  const { directory, fileSystem, clock, archiveDirectory, log = silentLogger } = options
  const { diskReserveBytes = 0, defer = setImmediate } = options
  const reserveBytes = typeof diskReserveBytes === 'number' ? () => diskReserveBytes : diskReserveBytes
  const files = createSegmentFiles(fileSystem, identity.frameTag)
  const cold = archiveDirectory === undefined ? undefined : openColdStore(fileSystem, archiveDirectory)
  const marks = openPublishedMarks(fileSystem)
  const segmentList = createSegmentList(fileSystem, identity.frameTag)
  const writers = new Map<string, SegmentWriter>()
  const opening = new Set<string>()
  const reserve = await watchDiskReserve({ directory, fileSystem, clock, reserveBytes, log })
  const watch = createAppendWatch({
    directory,
    fileSystem,
    clock,
    defer,
    mark: markOf,
    pollMs: options.pollMs ?? defaultPollMs,
  })

  function pathOf(topic: Topic, partition: number): string {
    return partitionDirectory(directory, topic, partition)
  }

  async function markOf(topic: Topic, partition: number): Promise<DurableMark | undefined> {
    return writers.get(pathOf(topic, partition))?.mark ?? (await marks.read(pathOf(topic, partition)))
  }

  async function openWriter(topic: Topic, partition: number, writerOptions: OpenWriterOptions): Promise<OpenedWriter> {
    const partitionPath = pathOf(topic, partition)
    assert(!writers.has(partitionPath) && !opening.has(partitionPath), 'a partition has one writer')
    opening.add(partitionPath)
    try {
      await makePartition(fileSystem, directory, topic, partitionPath)
      const recoveryParts = { fileSystem, partitionPath, tag: identity.frameTag, log }
      const recovered = await recoverPartition(recoveryParts, writerOptions.nextOffsetAtLeast ?? 0)
      const markFile = await fileSystem.open(markPath(partitionPath), 'create')
      const writer = new SegmentWriter(
        {
          topic,
          partition,
          partitionPath,
          journalId: identity.id,
          tag: identity.frameTag,
          segmentBytesMax: options.segmentBytesMax ?? defaultSegmentBytesMax,
          pendingBytesMax: options.pendingBytesMax ?? defaultPendingBytesMax,
          fileSystem,
          clock,
          reserve,
          markFile,
          checkpoint: writerOptions.checkpoint,
          defer,
          onDurable: () => watch.notify(topic),
          onFailed: (error) => options.onFailed?.(error),
          onClosed: () => writers.delete(partitionPath),
        },
        recovered,
      )
      await publishFirstMark(fileSystem, partitionPath, markFile, writer.mark)
      writers.set(partitionPath, writer)
      watch.notify(topic)
      const tail = framesBetween(readerAt(topic, partition, recovered.checkpointOffset), recovered.nextOffset)
      return { writer, checkpoint: recovered.checkpoint, tail }
    } finally {
      opening.delete(partitionPath)
    }
  }

  function readerAt(topic: Topic, partition: number, offset: number): Reader {
    const mark = () => markOf(topic, partition)
    const partitionPath = pathOf(topic, partition)
    return new SegmentReader(
      { topic, partition, partitionPath, tag: identity.frameTag, fileSystem, files, cold, mark },
      offset,
    )
  }

  async function readOne(topic: Topic, partition: number, offset: number): Promise<Frame | undefined> {
    const reader = readerAt(topic, partition, offset)
    try {
      const [item] = await reader.read(1)
      return item?.type === 'frame' && item.offset === offset ? item : undefined
    } finally {
      await reader.close()
    }
  }

  async function firstOffset(topic: Topic, partition: number): Promise<number> {
    // The end first: a segment that is begun meanwhile is in the list then, and its frames are not taken for gone.
    const end = (await markOf(topic, partition))?.end ?? 0
    const [firstHot] = await listSegments(fileSystem, pathOf(topic, partition))
    const firstCold = await cold?.firstOffset(topic, partition)
    return Math.min(firstHot ?? Infinity, firstCold ?? Infinity, end)
  }

  async function segments(topic: Topic, partition: number): Promise<Segment[]> {
    const timeOf = async (offset: number) => (await readOne(topic, partition, offset))?.timeMs ?? 0
    return await segmentList.list({ path: pathOf(topic, partition), mark: await markOf(topic, partition), timeOf })
  }

  async function checkpointAt(topic: Topic, partition: number, baseOffset: number): Promise<unknown> {
    const partitionPath = pathOf(topic, partition)
    const handle = await openIfPresent(fileSystem, segmentPath(partitionPath, baseOffset), 'read')
    if (handle === undefined) return undefined
    try {
      return (await readSegmentHead(handle))?.head.checkpoint
    } finally {
      await handle.close()
    }
  }

  async function removeBefore(topic: Topic, partition: number, offset: number): Promise<void> {
    const partitionPath = pathOf(topic, partition)
    const bases = await listSegments(fileSystem, partitionPath)
    const mark = await markOf(topic, partition)
    const sealed = bases.filter((base) => mark !== undefined && base < mark.segmentBase).slice(0, -1)
    const removed = sealed.filter((_, index) => bases[index + 1]! <= offset)
    for (const base of removed) {
      await fileSystem.remove(segmentPath(partitionPath, base))
      // One by one: a power cut must not bring back an older segment than one that is gone, and so leave a hole.
      await fileSystem.syncDirectory(partitionPath)
    }
    if (removed.length === 0) return
    await files.closeRemoved(partitionPath, bases.slice(removed.length))
  }

  return {
    id: identity.id,
    partitions: (topic) => listPartitions(fileSystem, directory, topic),
    async durableEnd(topic, partition) {
      return (await markOf(topic, partition))?.end ?? 0
    },
    firstOffset,
    openWriter,
    openReader: async (topic, partition, offset) => readerAt(topic, partition, offset),
    readOne,
    onAppend: (topic, run) => watch.watch(topic, run),
    segments,
    checkpointAt,
    removeBefore,
    async close() {
      watch.close()
      reserve.close()
      await Promise.all([...writers.values()].map((writer) => writer.close()))
      await files.close()
      await marks.close()
    },
  }
}

async function makePartition(fileSystem: FileSystem, directory: string, topic: Topic, partitionPath: string) {
  await fileSystem.makeDirectory(partitionPath)
  for (const path of [partitionPath, join(directory, topic), directory]) await fileSystem.syncDirectory(path)
}

async function publishFirstMark(
  fileSystem: FileSystem,
  partitionPath: string,
  markFile: FileHandle,
  mark: DurableMark,
): Promise<void> {
  await markFile.write([encodeMark(mark)], 0)
  await markFile.sync()
  await fileSystem.syncDirectory(partitionPath)
}

async function* framesBetween(reader: Reader, end: number): AsyncIterable<Frame | Gap> {
  try {
    while (reader.offset < end) {
      for (const item of await reader.read(tailBlockBytes)) if (item.offset < end) yield item
    }
  } finally {
    await reader.close()
  }
}
