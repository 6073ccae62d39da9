import { join } from 'node:path'
import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import type { Frame, Journal, Topic } from '../journal.ts'
import { coldVersion, blockHeaderBytes, encodeBlock, encodeIndex, type ColdIndex } from './cold-codec.ts'
import { coldDirectory, coldName } from './cold-store.ts'

/** Bytes of frames in one block: what one look-up by offset has to read and decompress. */
const blockBytes = 256 * 1024

/** Copies the range of one sealed segment to the cold tier. Resolves once the copy would survive a power cut; the name follows
 *  from the range, so doing it again does no harm. Damage is copied as damage. */
export async function writeColdSegment(options: {
  journal: Journal
  fileSystem: FileSystem
  archiveDirectory: string
  topic: Topic
  partition: number
  baseOffset: number
  endOffset: number
}): Promise<void> {
  const { fileSystem, archiveDirectory, topic, partition, baseOffset, endOffset } = options
  const directory = coldDirectory(archiveDirectory, topic, partition)
  await fileSystem.makeDirectory(directory)
  for (const path of [join(archiveDirectory, topic), archiveDirectory]) await fileSystem.syncDirectory(path)
  const path = join(directory, coldName(baseOffset, endOffset))
  const handle = await fileSystem.open(`${path}.tmp`, 'create')
  try {
    await handle.truncate(0)
    await copyFrames(handle, options)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fileSystem.rename(`${path}.tmp`, path)
  await fileSystem.syncDirectory(directory)
}

async function copyFrames(handle: FileHandle, options: Parameters<typeof writeColdSegment>[0]): Promise<void> {
  const { journal, topic, partition, baseOffset, endOffset } = options
  const index: ColdIndex = {
    version: coldVersion,
    topic,
    partition,
    baseOffset,
    endOffset,
    firstTimeMs: 0,
    lastTimeMs: 0,
    blocks: [],
  }
  let position = 0

  async function writeBlock(frames: Frame[], blockEnd: number): Promise<void> {
    const buffers = encodeBlock(frames, blockEnd)
    const [header, stored] = buffers
    await handle.write(buffers, position)
    index.blocks.push({
      firstOffset: frames[0]!.offset,
      endOffset: blockEnd,
      position: position + blockHeaderBytes,
      bytes: stored!.byteLength,
      crc: header!.readUInt32LE(32),
    })
    position += header!.byteLength + stored!.byteLength
  }

  const reader = await journal.openReader(topic, partition, baseOffset)
  try {
    while (reader.offset < endOffset) {
      const items = await reader.read(blockBytes)
      const frames = items.filter((item) => item.type === 'frame').filter(({ offset }) => offset < endOffset)
      for (const { timeMs } of frames) {
        index.firstTimeMs ||= timeMs
        index.lastTimeMs = Math.max(index.lastTimeMs, timeMs)
      }
      if (frames.length > 0) await writeBlock(frames, frames.at(-1)!.offset + 1)
      if (items.length === 0) break
    }
  } finally {
    await reader.close()
  }
  await handle.write(encodeIndex(index, position), position)
}
