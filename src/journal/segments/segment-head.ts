/** The start of a segment file: magic, version, length and CRC of a JSON text, then that text. Frames follow. */
import { crc32 } from 'node:zlib'
import type { FileHandle } from '../../base/file-system.ts'
import type { Topic } from '../journal.ts'
import { newerFormat } from './journal-identity.ts'

export interface SegmentHead {
  journalId: string
  topic: Topic
  partition: number
  baseOffset: number
  createdAtMs: number
  /** Newest `timeMs` in the segment before this one, 0 when there is none: tells its age without reading it. */
  previousLastTimeMs: number
  /** The owner's state as of `baseOffset`. */
  checkpoint: unknown
}

const magic = 0x53425254 // 'TRBS'
const version = 1
const prefixBytes = 16
const jsonBytesMax = 256 * 1024 * 1024

export function encodeSegmentHead(head: SegmentHead): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const bytes = Buffer.alloc(prefixBytes + json.byteLength)
  bytes.writeUInt32LE(magic, 0)
  bytes.writeUInt32LE(version, 4)
  bytes.writeUInt32LE(json.byteLength, 8)
  bytes.writeUInt32LE(crc32(json, crc32(bytes.subarray(0, 12))), 12)
  json.copy(bytes, prefixBytes)
  return bytes
}

/** The head and the position of the first frame, or undefined when the head is damaged. Throws when a newer program wrote it. */
export async function readSegmentHead(handle: FileHandle): Promise<{ head: SegmentHead; end: number } | undefined> {
  const prefix = Buffer.alloc(prefixBytes)
  if ((await handle.read(prefix, 0)) < prefixBytes || prefix.readUInt32LE(0) !== magic) return undefined
  const length = prefix.readUInt32LE(8)
  if (length > jsonBytesMax || length > (await handle.size())) return undefined
  const json = Buffer.alloc(length)
  if ((await handle.read(json, prefixBytes)) < length) return undefined
  if (crc32(json, crc32(prefix.subarray(0, 12))) !== prefix.readUInt32LE(12)) return undefined
  if (prefix.readUInt32LE(4) > version) throw newerFormat('a journal segment')
  // Protected by its CRC, so the shape is the one that `encodeSegmentHead` wrote.
  return { head: JSON.parse(json.toString()) as SegmentHead, end: prefixBytes + length }
}
