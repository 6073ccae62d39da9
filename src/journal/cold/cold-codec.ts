/**
 * A cold segment: the frames of a sealed segment in compressed blocks, readable by offset.
 *
 *   block ...    header of 48 bytes, then the frames of about 256 KiB, as in a hot segment, compressed by zstd
 *   index        JSON: what the file holds and where each block starts
 *   trailer      24 bytes: position, length and CRC of the index
 *
 * Blocks say themselves what they hold, so a damaged index is made again by walking them.
 */
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { FileHandle } from '../../base/file-system.ts'
import type { Frame, Topic } from '../journal.ts'
import {
  bodyBytesMax,
  encodeHeader,
  frameAt,
  frameBytesAt,
  getUint64,
  headerBytes,
  setUint64,
  viewOf,
} from '../segments/frame-codec.ts'
import { newerFormat } from '../segments/journal-identity.ts'

export interface ColdBlock {
  firstOffset: number
  endOffset: number
  /** Where the compressed frames start, and how many bytes they are. */
  position: number
  bytes: number
  crc: number
}

export interface ColdIndex {
  version: number
  topic: Topic
  partition: number
  baseOffset: number
  endOffset: number
  firstTimeMs: number
  lastTimeMs: number
  blocks: ColdBlock[]
}

export const coldVersion = 1
const blockMagic = 0x43425254 // 'TRBC'
const trailerMagic = 0x45425254 // 'TRBE'
export const blockHeaderBytes = 48
const trailerBytes = 24
const blockBytesMax = 2 * bodyBytesMax

/** The block's header, then its compressed frames. Their offsets need not be consecutive: what is missing was lost before. */
export function encodeBlock(frames: readonly Frame[], endOffset: number): Buffer[] {
  const stored = zstdCompressSync(encodeFrames(frames))
  const header = Buffer.alloc(blockHeaderBytes)
  const view = viewOf(header)
  view.setUint32(0, blockMagic, true)
  view.setUint32(8, coldVersion, true)
  view.setUint32(12, stored.byteLength, true)
  setUint64(view, 16, frames[0]!.offset)
  setUint64(view, 24, endOffset)
  view.setUint32(32, crc32(stored), true)
  view.setUint32(4, crc32(header.subarray(8)), true)
  return [header, stored]
}

/** The block whose header stands in `header`, which was read from `position`; undefined when it is damaged. */
export function decodeBlockHeader(header: Buffer, position: number): ColdBlock | undefined {
  const view = viewOf(header)
  if (header.byteLength < blockHeaderBytes || view.getUint32(0, true) !== blockMagic) return undefined
  if (view.getUint32(4, true) !== crc32(header.subarray(8))) return undefined
  if (view.getUint32(8, true) > coldVersion) throw newerFormat('an archived segment')
  return {
    firstOffset: getUint64(view, 16),
    endOffset: getUint64(view, 24),
    position: position + blockHeaderBytes,
    bytes: view.getUint32(12, true),
    crc: view.getUint32(32, true),
  }
}

/** The frames of a block, or undefined when it is damaged. */
export async function readBlockFrames(handle: FileHandle, block: ColdBlock): Promise<Frame[] | undefined> {
  const stored = Buffer.allocUnsafe(Math.min(block.bytes, blockBytesMax))
  const count = await handle.read(stored, block.position)
  if (count !== block.bytes || crc32(stored) !== block.crc) return undefined
  return decodeFrames(zstdDecompressSync(stored, { maxOutputLength: blockBytesMax }))
}

export function encodeIndex(index: ColdIndex, position: number): Buffer[] {
  const json = Buffer.from(JSON.stringify(index))
  const trailer = Buffer.alloc(trailerBytes)
  const view = viewOf(trailer)
  view.setUint32(0, trailerMagic, true)
  view.setUint32(4, json.byteLength, true)
  setUint64(view, 8, position)
  view.setUint32(16, crc32(json), true)
  view.setUint32(20, crc32(trailer.subarray(0, 20)), true)
  return [json, trailer]
}

/** The index of a cold file, or undefined when it is damaged. */
export async function readIndex(handle: FileHandle): Promise<ColdIndex | undefined> {
  const size = await handle.size()
  if (size < trailerBytes) return undefined
  const trailer = Buffer.alloc(trailerBytes)
  await handle.read(trailer, size - trailerBytes)
  const view = viewOf(trailer)
  if (view.getUint32(0, true) !== trailerMagic || view.getUint32(20, true) !== crc32(trailer.subarray(0, 20)))
    return undefined
  const json = Buffer.alloc(Math.min(view.getUint32(4, true), size))
  await handle.read(json, getUint64(view, 8))
  if (crc32(json) !== view.getUint32(16, true)) return undefined
  // Protected by its CRC, so the shape is the one that `encodeIndex` wrote.
  const index = JSON.parse(json.toString()) as ColdIndex
  if (index.version > coldVersion) throw newerFormat('an archived segment')
  return index
}

function encodeFrames(frames: readonly Frame[]): Buffer {
  const bodyBytes = (frame: Frame) => (frame.isDamaged ? 0 : frame.body.byteLength)
  const bytes = Buffer.allocUnsafe(frames.reduce((sum, frame) => sum + headerBytes + bodyBytes(frame), 0))
  const view = viewOf(bytes)
  let at = 0
  for (const frame of frames) {
    const bodyLength = bodyBytes(frame)
    // A damaged body is not kept; a CRC that cannot be right keeps the frame known as damaged (that of no bytes is 0).
    const bodyCrc = frame.isDamaged ? 1 : crc32(frame.body)
    encodeHeader(view, at, frame, { offset: frame.offset, groupIndex: 0, tag: 0, bodyLength, bodyCrc })
    if (!frame.isDamaged) bytes.set(frame.body, at + headerBytes)
    at += headerBytes + bodyLength
  }
  return bytes
}

function decodeFrames(bytes: Buffer): Frame[] {
  const view = viewOf(bytes)
  const frames: Frame[] = []
  for (let at = 0; at < bytes.byteLength; at += frameBytesAt(view, at)) frames.push(frameAt(bytes, view, at))
  return frames
}
