/**
 * Id files: one small file for each sealed segment of `events`, with the messageId hash of every frame in it, from which the
 * dedupe index can be rebuilt without reading the segments (which may have gone to the cold tier). Written once, whole.
 *
 * Layout, little endian. Head of 40 bytes: magic u32, version u32, CRC-32 u32 of all that follows, count u32, base u64,
 * end u64, newest receivedAtMs u64. Then `count` entries of 27 bytes: kind u8, hash (16 bytes), offset - base u32,
 * receivedAtMs u48.
 */
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../base/assert.ts'
import { AppError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { EntryKind, IndexEntry } from './dedupe.ts'

const magic = 0x49425254 // 'TRBI'
const version = 1
const headBytes = 40
const entryBytes = 27
const hashBytes = 16

/** The ids of a range of `events`, collected as its frames become durable. */
export class IdCollector {
  readonly base: number
  #bytes = Buffer.allocUnsafe(entryBytes * 256)
  #count = 0
  #newestMs = 0

  constructor(base: number) {
    this.base = base
  }

  add({ kind, key, offset, receivedAtMs }: IndexEntry): void {
    assert(offset >= this.base, 'an id belongs to its segment')
    const at = headBytes + this.#count * entryBytes
    if (at + entryBytes > this.#bytes.byteLength) this.#grow()
    this.#bytes.writeUInt8(kind, at)
    this.#bytes.write(key, at + 1, hashBytes, 'base64url')
    this.#bytes.writeUInt32LE(offset - this.base, at + 1 + hashBytes)
    this.#bytes.writeUIntLE(receivedAtMs, at + 5 + hashBytes, 6)
    this.#count += 1
    if (receivedAtMs > this.#newestMs) this.#newestMs = receivedAtMs
  }

  /** The file's content. `end` is one past the last offset of the segment. */
  encode(end: number): Buffer {
    const bytes = this.#bytes.subarray(0, headBytes + this.#count * entryBytes)
    bytes.writeUInt32LE(magic, 0)
    bytes.writeUInt32LE(version, 4)
    bytes.writeUInt32LE(this.#count, 12)
    bytes.writeBigUInt64LE(BigInt(this.base), 16)
    bytes.writeBigUInt64LE(BigInt(end), 24)
    bytes.writeBigUInt64LE(BigInt(this.#newestMs), 32)
    bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8)
    return bytes
  }

  #grow(): void {
    const larger = Buffer.allocUnsafe(this.#bytes.byteLength * 2)
    this.#bytes.copy(larger)
    this.#bytes = larger
  }
}

/** The offsets that a file covers: usually one segment of `events`. */
export interface IdRange {
  base: number
  end: number
  newestMs: number
}

export interface IdFile extends IdRange {
  /** In the order of their offsets. */
  entries: Generator<IndexEntry>
}

/** The folder of id files of one partition of `events`. */
export interface IdFiles {
  /** What the files cover, ascending. */
  ranges(): Promise<IdRange[]>
  /** Writes the file of a sealed segment; after a crash it is there whole or not at all. */
  write(ids: IdCollector, end: number): Promise<void>
  /** Undefined when it is absent or damaged. Throws when a newer program wrote it. */
  read(base: number): Promise<IdFile | undefined>
  /** Removes the files in which nothing was received at or after `ms`. */
  removeOlder(ms: number): Promise<void>
}

/** Keeps id files in `directory`, which is made when absent. */
export async function openIdFiles(fileSystem: FileSystem, directory: string): Promise<IdFiles> {
  await fileSystem.makeDirectory(directory)
  const pathOf = (base: number): string => join(directory, `${String(base).padStart(16, '0')}.ids`)

  async function ranges(): Promise<IdRange[]> {
    const names = (await fileSystem.list(directory)).filter((name) => /^\d{16}\.ids$/.test(name))
    const found: IdRange[] = []
    for (const name of names) {
      const head = await readWhole(fileSystem, join(directory, name), headBytes)
      if (head !== undefined && isHead(head)) found.push(rangeOf(head))
    }
    return found
  }

  return {
    ranges,
    write: (ids, end) => writeWhole(fileSystem, pathOf(ids.base), ids.encode(end)),
    async read(base) {
      const bytes = await readWhole(fileSystem, pathOf(base))
      return bytes === undefined ? undefined : decode(bytes)
    },
    async removeOlder(ms) {
      for (const { base, newestMs } of await ranges()) if (newestMs < ms) await fileSystem.remove(pathOf(base))
    },
  }
}

function isHead(bytes: Buffer): boolean {
  if (bytes.byteLength < headBytes || bytes.readUInt32LE(0) !== magic) return false
  if (bytes.readUInt32LE(4) > version)
    throw new AppError('newer_format', 500, 'A newer version of Tributary wrote the id files.')
  return true
}

function rangeOf(head: Buffer): IdRange {
  return {
    base: Number(head.readBigUInt64LE(16)),
    end: Number(head.readBigUInt64LE(24)),
    newestMs: Number(head.readBigUInt64LE(32)),
  }
}

function decode(bytes: Buffer): IdFile | undefined {
  if (!isHead(bytes)) return undefined
  const count = bytes.readUInt32LE(12)
  const isWhole =
    bytes.byteLength === headBytes + count * entryBytes && crc32(bytes.subarray(12)) === bytes.readUInt32LE(8)
  if (!isWhole) return undefined
  const range = rangeOf(bytes)
  return { ...range, entries: entriesOf(bytes, range.base, count) }
}

function* entriesOf(bytes: Buffer, base: number, count: number): Generator<IndexEntry> {
  for (let i = 0; i < count; i += 1) {
    const at = headBytes + i * entryBytes
    yield {
      // Protected by the CRC, so it is one that `IdCollector` wrote.
      kind: bytes.readUInt8(at) as EntryKind,
      key: bytes.toString('base64url', at + 1, at + 1 + hashBytes),
      offset: base + bytes.readUInt32LE(at + 1 + hashBytes),
      receivedAtMs: bytes.readUIntLE(at + 5 + hashBytes, 6),
    }
  }
}

async function writeWhole(fileSystem: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`
  const handle = await fileSystem.open(temporary, 'create')
  try {
    await handle.truncate(0)
    await handle.write([bytes], 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fileSystem.rename(temporary, path)
  await fileSystem.syncDirectory(dirname(path))
}

async function readWhole(fileSystem: FileSystem, path: string, bytesMax = Infinity): Promise<Buffer | undefined> {
  if (!(await fileSystem.exists(path))) return undefined
  const handle = await fileSystem.open(path, 'read')
  try {
    const bytes = Buffer.alloc(Math.min(bytesMax, await handle.size()))
    return bytes.subarray(0, await handle.read(bytes, 0))
  } finally {
    await handle.close()
  }
}
