/** Reading frames of one segment file, in order, past damage. */
import type { FileHandle } from '../../base/file-system.ts'
import type { Frame, Gap } from '../journal.ts'
import {
  durableBeforeAt,
  frameAt,
  frameBytesAt,
  headerBytes,
  isHeaderSound,
  magicBytes,
  offsetAt,
  timeMsAt,
  viewOf,
} from './frame-codec.ts'

/** Where the frame with this offset starts in a segment file. */
export interface Place {
  offset: number
  position: number
}

export interface Block {
  items: (Frame | Gap)[]
  next: Place
}

export interface BlockOptions {
  tag: number
  /** About how many bytes of frames to return. */
  bytesMax: number
  /** Told of every sound header, also those with damaged bodies. */
  onHeader?: (header: { offset: number; position: number; durableBefore: number; timeMs: number }) => void
}

const windowBytesMin = 4 * 1024
const windowBytesMax = 4 * 1024 * 1024
const searchBytes = 1024 * 1024
/** A place that is remembered is seldom further away (`segment-files.ts`), and a look-up must not read much more than that. */
const skipBytes = 64 * 1024

/** The next items from `from` on. `end` says which offset the file reaches and at which position. No items only at the end. */
export async function readBlock(handle: FileHandle, from: Place, end: Place, options: BlockOptions): Promise<Block> {
  let place = from
  while (place.offset < end.offset) {
    const wanted = Math.min(Math.max(options.bytesMax, windowBytesMin), windowBytesMax)
    let block = parseWindow(await readWindow(handle, place.position, end, wanted), place, end, options)
    if (block.items.length === 0 && block.bytesWanted > 0) {
      block = parseWindow(await readWindow(handle, place.position, end, block.bytesWanted), place, end, options)
    }
    if (block.items.length > 0) return block
    // The file may be shorter than it should be.
    const inFile = { offset: end.offset, position: Math.min(end.position, await handle.size()) }
    const found = await findHeader(handle, place, inFile, options.tag)
    // A segment whose head is unreadable is searched from its first byte, so the frame found may be just the one expected.
    if (found.offset > place.offset) return { items: [corruptGap(place.offset, found.offset)], next: found }
    place = found
  }
  return { items: [], next: place }
}

/** Steps from header to header, without looking at bodies, as near to `offset` as undamaged headers lead. Tells `onPlace`
 *  about every place passed. */
export async function skipTo(
  handle: FileHandle,
  from: Place,
  end: Place,
  options: { tag: number; offset: number; onPlace: (place: Place) => void },
): Promise<Place> {
  let { offset, position } = from
  while (offset < options.offset) {
    const window = await readWindow(handle, position, end, skipBytes)
    const view = viewOf(window)
    let at = 0
    while (offset < options.offset && at + headerBytes <= window.byteLength) {
      if (!isHeaderSound(view, at, options.tag) || offsetAt(view, at) !== offset)
        return { offset, position: position + at }
      at += frameBytesAt(view, at)
      offset += 1
      options.onPlace({ offset, position: position + at })
    }
    if (at === 0) break
    position += at
  }
  return { offset, position }
}

function parseWindow(window: Buffer, from: Place, end: Place, options: BlockOptions): Block & { bytesWanted: number } {
  const { tag, bytesMax, onHeader } = options
  const view = viewOf(window)
  const items: Frame[] = []
  let at = 0
  let { offset } = from
  let bytesWanted = 0
  while (offset < end.offset && at < bytesMax && at + headerBytes <= window.byteLength) {
    if (!isHeaderSound(view, at, tag) || offsetAt(view, at) !== offset) break
    const bytes = frameBytesAt(view, at)
    if (at + bytes > window.byteLength) {
      if (from.position + at + bytes <= end.position) bytesWanted = bytes
      break
    }
    const position = from.position + at
    onHeader?.({ offset, position, durableBefore: durableBeforeAt(view, at), timeMs: timeMsAt(view, at) })
    items.push(frameAt(window, view, at))
    at += bytes
    offset += 1
  }
  return { items, next: { offset, position: from.position + at }, bytesWanted }
}

/** The first sound header behind `from` whose offset fits, or the end. */
async function findHeader(handle: FileHandle, from: Place, end: Place, tag: number): Promise<Place> {
  let position = from.position
  while (position + headerBytes <= end.position) {
    const window = await readWindow(handle, position, end, searchBytes)
    if (window.byteLength < headerBytes) break
    const view = viewOf(window)
    const lastStart = window.byteLength - headerBytes
    for (let at = window.indexOf(magicBytes); at >= 0 && at <= lastStart; at = window.indexOf(magicBytes, at + 1)) {
      if (
        isHeaderSound(view, at, tag) &&
        fits(offsetAt(view, at), position + at, from, end) &&
        isWhole(view, at, position, end)
      ) {
        return { offset: offsetAt(view, at), position: position + at }
      }
    }
    position += lastStart + 1
  }
  return end
}

/** Offsets only rise, and each frame that is missing took at least a header's room. */
function fits(offset: number, position: number, from: Place, end: Place): boolean {
  return (
    offset >= from.offset && offset < end.offset && (offset - from.offset) * headerBytes <= position - from.position
  )
}

/** A sound header whose body the file no longer has (it was cut) leads nowhere. */
function isWhole(view: DataView, at: number, position: number, end: Place): boolean {
  return position + at + frameBytesAt(view, at) <= end.position
}

async function readWindow(handle: FileHandle, position: number, end: Place, bytes: number): Promise<Buffer> {
  const length = Math.max(0, Math.min(bytes, end.position - position))
  // Frames handed out are views of this memory, so every window has its own.
  const window = Buffer.allocUnsafeSlow(length)
  return window.subarray(0, await handle.read(window, position))
}

function corruptGap(from: number, to: number): Gap {
  return { type: 'gap', offset: from, count: to - from, reason: 'corrupt' }
}
