import { crc32 } from 'node:zlib'
import type { FrameInput } from '../journal.ts'
import { encodeHeader, headerBytes, viewOf } from './frame-codec.ts'

/** Body pieces from this size on are written from where they are; smaller ones are cheaper to copy than to pass one by one. */
const byReferenceBytes = 16 * 1024
const chunkBytes = 256 * 1024

/** Frames that will be committed together, encoded as they are added, and the appends that wait for them. */
export class FrameGroup {
  readonly firstOffset: number
  /** Set when the group begins a new segment: the head that goes before it. */
  readonly newSegmentHead: Uint8Array | undefined
  count = 0
  bytes = 0
  lastTimeMs = 0
  readonly #tag: number
  readonly #waiting: { offset: number; resolve: (offset: number) => void; reject: (error: Error) => void }[] = []
  readonly #written: Uint8Array[] = []
  #chunk: Buffer
  #view: DataView
  #runStart = 0
  #used = 0

  constructor(firstOffset: number, tag: number, newSegmentHead: Uint8Array | undefined, chunk = newChunk(chunkBytes)) {
    this.firstOffset = firstOffset
    this.newSegmentHead = newSegmentHead
    this.#tag = tag
    this.#chunk = chunk
    this.#view = viewOf(chunk)
  }

  get endOffset(): number {
    return this.firstOffset + this.count
  }

  add(frame: FrameInput): void {
    let bodyLength = 0
    let bodyCrc = 0
    for (const piece of frame.body) {
      bodyLength += piece.byteLength
      bodyCrc = crc32(piece, bodyCrc)
    }
    const groupIndex = this.count
    const at = this.#reserve(headerBytes)
    const place = { offset: this.firstOffset + groupIndex, groupIndex, tag: this.#tag, bodyLength, bodyCrc }
    encodeHeader(this.#view, at, frame, place)
    for (const piece of frame.body) this.#put(piece)
    this.count += 1
    this.bytes += headerBytes + bodyLength
    if (frame.timeMs > this.lastTimeMs) this.lastTimeMs = frame.timeMs
  }

  /** Resolves with `offset` once `settle` is called, or rejects. */
  wait(offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ offset, resolve, reject })
    })
  }

  /** Everything to write, in order. Nothing may be added afterwards. */
  buffers(): readonly Uint8Array[] {
    this.#endRun()
    return this.#written
  }

  settle(error?: Error): void {
    for (const { offset, resolve, reject } of this.#waiting) error === undefined ? resolve(offset) : reject(error)
    this.#waiting.length = 0
  }

  /** The memory of a group that has been written, for the next one. */
  takeChunk(): Buffer {
    return this.#chunk
  }

  #put(piece: Uint8Array): void {
    if (piece.byteLength >= byReferenceBytes) {
      this.#endRun()
      this.#written.push(piece)
      return
    }
    const at = this.#reserve(piece.byteLength)
    this.#chunk.set(piece, at)
  }

  #reserve(bytes: number): number {
    if (this.#used + bytes > this.#chunk.byteLength) {
      this.#endRun()
      this.#chunk = newChunk(chunkBytes)
      this.#view = viewOf(this.#chunk)
      this.#runStart = 0
      this.#used = 0
    }
    const at = this.#used
    this.#used += bytes
    return at
  }

  #endRun(): void {
    if (this.#used > this.#runStart) this.#written.push(this.#chunk.subarray(this.#runStart, this.#used))
    this.#runStart = this.#used
  }
}

function newChunk(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(bytes)
}
