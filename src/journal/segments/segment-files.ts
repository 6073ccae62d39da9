import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import { segmentPath } from './layout.ts'
import { skipTo, type Place } from './read-block.ts'
import { readSegmentHead, type SegmentHead } from './segment-head.ts'

const idleFilesMax = 16
const indexStepBytes = 256 * 1024

/** An open segment file, shared by the readers of this process. */
export interface SegmentFile {
  readonly baseOffset: number
  readonly handle: FileHandle
  /** Undefined when it is damaged. */
  readonly head: SegmentHead | undefined
  /** A place at or before `offset`, as near as the undamaged headers lead; `end` bounds the search. */
  locate(offset: number, end: Place): Promise<Place>
  /** Gives the file back; it is closed once nobody uses it and it is not among the last few used. */
  release(): Promise<void>
}

export interface SegmentFiles {
  /** Throws the system's ENOENT when the segment is gone. */
  open(partitionPath: string, baseOffset: number): Promise<SegmentFile>
  /** Closes what nobody uses of a partition's segments that are not among `bases` any more, so that their disk space is freed. */
  closeRemoved(partitionPath: string, bases: readonly number[]): Promise<void>
  close(): Promise<void>
}

interface Entry {
  partitionPath: string
  baseOffset: number
  file: Promise<SegmentFile>
  users: number
}

/** Keeps a few segment files open, with a sparse index of each, so that many readers and single look-ups share them. */
export function createSegmentFiles(fileSystem: FileSystem, tag: number): SegmentFiles {
  // In order of last use, oldest first.
  const entries = new Map<string, Entry>()

  async function open(partitionPath: string, baseOffset: number): Promise<SegmentFile> {
    const path = segmentPath(partitionPath, baseOffset)
    const entry = entries.get(path) ?? newEntry(partitionPath, baseOffset)
    entry.users += 1
    entries.delete(path)
    entries.set(path, entry)
    try {
      const file = await entry.file
      return { ...file, release: () => release(entry) }
    } catch (error) {
      entry.users -= 1
      if (entries.get(path) === entry) entries.delete(path)
      throw error
    }
  }

  function newEntry(partitionPath: string, baseOffset: number): Entry {
    const file = openSegmentFile(segmentPath(partitionPath, baseOffset), baseOffset)
    return { partitionPath, baseOffset, file, users: 0 }
  }

  async function openSegmentFile(path: string, baseOffset: number): Promise<SegmentFile> {
    const handle = await fileSystem.open(path, 'read')
    try {
      const head = await readSegmentHead(handle)
      const first = { offset: baseOffset, position: head?.end ?? 0 }
      const locate = createIndex(handle, first, tag)
      return { baseOffset, handle, head: head?.head, locate, release: async () => {} }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async function release(entry: Entry): Promise<void> {
    entry.users -= 1
    const idle = [...entries].filter(([, { users }]) => users === 0)
    await closeAll(idle.slice(0, Math.max(0, idle.length - idleFilesMax)))
  }

  async function closeRemoved(partitionPath: string, bases: readonly number[]): Promise<void> {
    const isRemoved = (entry: Entry) =>
      entry.users === 0 && entry.partitionPath === partitionPath && !bases.includes(entry.baseOffset)
    await closeAll([...entries].filter(([, entry]) => isRemoved(entry)))
  }

  async function closeAll(unused: [string, Entry][]): Promise<void> {
    for (const [path] of unused) entries.delete(path)
    for (const [, { file }] of unused) await (await file).handle.close()
  }

  async function close(): Promise<void> {
    const open = await Promise.allSettled([...entries.values()].map(({ file }) => file))
    entries.clear()
    for (const result of open) if (result.status === 'fulfilled') await result.value.handle.close()
  }

  return { open, closeRemoved, close }
}

function createIndex(handle: FileHandle, first: Place, tag: number): SegmentFile['locate'] {
  const places = [first]

  function remember(place: Place): void {
    const last = places.at(-1)!
    if (place.position >= last.position + indexStepBytes && place.offset > last.offset) places.push(place)
  }

  return async (offset, end) => {
    const near = places[lastAtOrBefore(places, offset)]!
    return await skipTo(handle, near, end, { tag, offset, onPlace: remember })
  }
}

/** Index of the last place whose offset is not above `offset`; the first place is never above it. */
function lastAtOrBefore(places: readonly Place[], offset: number): number {
  let low = 0
  let high = places.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (places[middle]!.offset <= offset) low = middle
    else high = middle - 1
  }
  return low
}
