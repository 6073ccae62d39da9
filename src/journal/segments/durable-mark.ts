/**
 * The durable mark: how far a partition is safe to read. Its writer overwrites it in place after each group commit; other
 * processes read it. It is a hint that may be old after a power cut, never one that says too much.
 */
import { crc32 } from 'node:zlib'
import type { FileHandle } from '../../base/file-system.ts'
import { getUint64, setUint64, viewOf } from './frame-codec.ts'

export interface DurableMark {
  /** One past the newest durable offset. */
  end: number
  /** Base offset of the segment that holds the end, and the position of the end in that file. */
  segmentBase: number
  position: number
}

const magic = 0x4d425254 // 'TRBM'
const version = 1
export const markBytes = 40

export function encodeMark(mark: DurableMark): Buffer {
  const bytes = Buffer.allocUnsafe(markBytes)
  const view = viewOf(bytes)
  view.setUint32(0, magic, true)
  view.setUint32(4, version, true)
  setUint64(view, 8, mark.end)
  setUint64(view, 16, mark.segmentBase)
  setUint64(view, 24, mark.position)
  view.setUint32(32, 0, true)
  view.setUint32(36, crc32(bytes.subarray(0, 36)), true)
  return bytes
}

export function decodeMark(bytes: Uint8Array): DurableMark | undefined {
  const view = viewOf(bytes)
  if (bytes.byteLength < markBytes || view.getUint32(0, true) !== magic || view.getUint32(4, true) !== version)
    return undefined
  if (crc32(bytes.subarray(0, 36)) !== view.getUint32(36, true)) return undefined
  return { end: getUint64(view, 8), segmentBase: getUint64(view, 16), position: getUint64(view, 24) }
}

/** The mark in the file, or undefined when it is damaged. */
export async function readMark(handle: FileHandle): Promise<DurableMark | undefined> {
  const bytes = Buffer.allocUnsafe(markBytes)
  // A read may meet a write half way; the CRC shows it and the next look finds the new mark whole.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const count = await handle.read(bytes, 0)
    const mark = count === markBytes ? decodeMark(bytes) : undefined
    if (mark !== undefined) return mark
  }
  return undefined
}
