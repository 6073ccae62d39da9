import { join } from 'node:path'
import { codeOf } from '../../base/errors.ts'
import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import type { Frame, Gap, Topic } from '../journal.ts'
import { offsetName } from '../segments/layout.ts'
import { blockHeaderBytes, decodeBlockHeader, readBlockFrames, readIndex, type ColdBlock } from './cold-codec.ts'

export interface ColdSegment {
  baseOffset: number
  /** One past its last offset. */
  endOffset: number
  path: string
}

/** Reads one cold segment. */
export interface ColdReader {
  readonly baseOffset: number
  readonly endOffset: number
  read(offset: number, bytesMax: number): Promise<(Frame | Gap)[]>
  close(): Promise<void>
}

export interface ColdStore {
  /** The cold segment that holds `offset`, else the first one after it, else undefined. */
  open(topic: Topic, partition: number, offset: number): Promise<ColdReader | undefined>
  firstOffset(topic: Topic, partition: number): Promise<number | undefined>
}

/** The directory of the cold segments of one partition. */
export function coldDirectory(archiveDirectory: string, topic: Topic, partition: number): string {
  return join(archiveDirectory, topic, String(partition))
}

export function coldName(baseOffset: number, endOffset: number): string {
  return `${offsetName(baseOffset)}-${offsetName(endOffset)}.cold`
}

/** The cold segments in a directory, oldest first. */
export async function listColdSegments(fileSystem: FileSystem, directory: string): Promise<ColdSegment[]> {
  const names = await fileSystem.list(directory)
  return names.flatMap((name) => {
    const match = /^(\d{20})-(\d{20})\.cold$/.exec(name)
    return match === null
      ? []
      : [{ baseOffset: Number(match[1]), endOffset: Number(match[2]), path: join(directory, name) }]
  })
}

/** Opens the cold tier for reading; the directory need not exist. */
export function openColdStore(fileSystem: FileSystem, archiveDirectory: string): ColdStore {
  async function list(topic: Topic, partition: number): Promise<ColdSegment[]> {
    return await listColdSegments(fileSystem, coldDirectory(archiveDirectory, topic, partition))
  }

  return {
    async open(topic, partition, offset) {
      for (;;) {
        const segment = (await list(topic, partition)).find(({ endOffset }) => endOffset > offset)
        if (segment === undefined) return undefined
        try {
          return await openColdReader(fileSystem, segment)
        } catch (error) {
          // Removed between the listing and now.
          if (codeOf(error) !== 'ENOENT') throw error
        }
      }
    },
    async firstOffset(topic, partition) {
      return (await list(topic, partition))[0]?.baseOffset
    },
  }
}

/** `timeMs` of the newest frame in a cold file; undefined when its index is damaged. */
export async function readColdLastTimeMs(fileSystem: FileSystem, path: string): Promise<number | undefined> {
  const handle = await fileSystem.open(path, 'read')
  try {
    return (await readIndex(handle))?.lastTimeMs
  } finally {
    await handle.close()
  }
}

async function openColdReader(fileSystem: FileSystem, segment: ColdSegment): Promise<ColdReader> {
  const { baseOffset, endOffset } = segment
  const handle = await fileSystem.open(segment.path, 'read')
  let blocks: ColdBlock[]
  try {
    blocks = (await readIndex(handle))?.blocks ?? (await walkBlocks(handle))
  } catch (error) {
    await handle.close()
    throw error
  }
  // Reading goes on in the block that was read last when it gave more than was asked for.
  let held: { block: ColdBlock; frames: Frame[] | undefined } | undefined

  async function read(offset: number, bytesMax: number): Promise<(Frame | Gap)[]> {
    const block = blocks.find((one) => one.endOffset > offset)
    if (block === undefined) return [corruptGap(offset, endOffset)]
    if (block.firstOffset > offset) return [corruptGap(offset, block.firstOffset)]
    if (held?.block !== block) held = { block, frames: await readBlockFrames(handle, block) }
    if (held.frames === undefined) return [corruptGap(offset, block.endOffset)]
    return itemsFrom(held.frames, offset, block.endOffset, bytesMax)
  }

  return { baseOffset, endOffset, read, close: () => handle.close() }
}

/** Items from `offset` on; offsets that have no frame become gaps. */
function itemsFrom(frames: readonly Frame[], offset: number, endOffset: number, bytesMax: number): (Frame | Gap)[] {
  const items: (Frame | Gap)[] = []
  let bytes = 0
  let expected = offset
  for (
    let index = frames.findIndex((frame) => frame.offset >= offset);
    index >= 0 && index < frames.length;
    index += 1
  ) {
    const frame = frames[index]!
    if (bytes >= bytesMax) return items
    if (frame.offset > expected) items.push(corruptGap(expected, frame.offset))
    items.push(frame)
    expected = frame.offset + 1
    bytes += frame.body.byteLength
  }
  if (expected < endOffset) items.push(corruptGap(expected, endOffset))
  return items
}

/** Finds the blocks of a file whose index is damaged. A damaged block header ends the walk: the rest is a gap. */
async function walkBlocks(handle: FileHandle): Promise<ColdBlock[]> {
  const blocks: ColdBlock[] = []
  const header = Buffer.alloc(blockHeaderBytes)
  let position = 0
  for (;;) {
    const count = await handle.read(header, position)
    const block = decodeBlockHeader(header.subarray(0, count), position)
    if (block === undefined) return blocks
    blocks.push(block)
    position = block.position + block.bytes
  }
}

function corruptGap(from: number, to: number): Gap {
  return { type: 'gap', offset: from, count: to - from, reason: 'corrupt' }
}
