/**
 * One frame on disk: a header of 64 bytes, then the body. Little endian.
 *
 *   0 magic u32            16 tag u32             32 timeMs u48           48 sourceTotal u48   56 source u32
 *   4 header CRC u32       20 groupIndex u32      38 inputPartition u16   54 kind u8           60 index u32
 *   8 body CRC u32         24 offset u64          40 inputOffset u64      55 flags u8
 *  12 body length u32
 *
 * The header CRC covers bytes 8 to 63, so that a sound header vouches for the length of its body and a damaged body harms
 * only itself. `tag` is a random number of this journal: a request body that imitates a header cannot know it, so the search
 * for the next header after damage cannot be led astray. `groupIndex` is the ordinal of the frame within its group commit:
 * a group is written only after the one before it is durable, so a frame proves that everything below
 * `offset - groupIndex` was durable. Recovery uses it to tell corruption from a torn tail without trusting the mark file.
 */
import { crc32 } from 'node:zlib'
import type { Frame, FrameInput } from '../journal.ts'
import { crcOfWords } from './crc.ts'

export const headerBytes = 64
export const bodyBytesMax = 16 * 1024 * 1024

const magic = 0x46425254 // 'TRBF'
export const magicBytes = Buffer.from('TRBF', 'latin1')

const high = 0x1_0000_0000

/** Writes the header at `at`. The caller puts the body right behind it. */
export function encodeHeader(
  view: DataView,
  at: number,
  frame: Omit<FrameInput, 'body'>,
  place: { offset: number; groupIndex: number; tag: number; bodyLength: number; bodyCrc: number },
): void {
  view.setUint32(at, magic, true)
  view.setUint32(at + 8, place.bodyCrc, true)
  view.setUint32(at + 12, place.bodyLength, true)
  view.setUint32(at + 16, place.tag, true)
  view.setUint32(at + 20, place.groupIndex, true)
  setUint64(view, at + 24, place.offset)
  setUint48(view, at + 32, frame.timeMs)
  view.setUint16(at + 38, frame.inputPartition, true)
  setUint64(view, at + 40, frame.inputOffset)
  setUint48(view, at + 48, frame.sourceTotal)
  view.setUint8(at + 54, frame.kind)
  view.setUint8(at + 55, frame.flags)
  view.setUint32(at + 56, frame.source, true)
  view.setUint32(at + 60, frame.index, true)
  view.setUint32(at + 4, crcOfWords(view, at + 8, at + headerBytes), true)
}

/** Whether an undamaged header of this journal stands at `at`; all its 64 bytes must be in the view. */
export function isHeaderSound(view: DataView, at: number, tag: number): boolean {
  return (
    view.getUint32(at, true) === magic &&
    view.getUint32(at + 16, true) === tag &&
    view.getUint32(at + 12, true) <= bodyBytesMax &&
    view.getUint32(at + 4, true) === crcOfWords(view, at + 8, at + headerBytes)
  )
}

export function offsetAt(view: DataView, at: number): number {
  return getUint64(view, at + 24)
}

/** Every offset below this one was durable before the frame at `at` was written. */
export function durableBeforeAt(view: DataView, at: number): number {
  return getUint64(view, at + 24) - view.getUint32(at + 20, true)
}

export function frameBytesAt(view: DataView, at: number): number {
  return headerBytes + view.getUint32(at + 12, true)
}

export function timeMsAt(view: DataView, at: number): number {
  return getUint48(view, at + 32)
}

/** The frame whose sound header stands at `at` and whose body is wholly in `bytes`. The body is a view of `bytes`. */
export function frameAt(bytes: Buffer, view: DataView, at: number): Frame {
  const bodyStart = at + headerBytes
  const body = bytes.subarray(bodyStart, bodyStart + view.getUint32(at + 12, true))
  return {
    type: 'frame',
    offset: getUint64(view, at + 24),
    kind: view.getUint8(at + 54),
    flags: view.getUint8(at + 55),
    source: view.getUint32(at + 56, true),
    timeMs: getUint48(view, at + 32),
    index: view.getUint32(at + 60, true),
    inputPartition: view.getUint16(at + 38, true),
    inputOffset: getUint64(view, at + 40),
    sourceTotal: getUint48(view, at + 48),
    body,
    isDamaged: crc32(body) !== view.getUint32(at + 8, true),
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

// Whole numbers up to 2^53, as 64 or 48 bits. `setUint32` keeps the low 32 bits of what it is given.
export function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true)
  view.setUint32(at + 4, value / high, true)
}

export function getUint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * high
}

function setUint48(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true)
  view.setUint16(at + 4, value / high, true)
}

function getUint48(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint16(at + 4, true) * high
}
