import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import type { Segment } from '../journal.ts'
import { openIfPresent } from '../whole-file.ts'
import type { DurableMark } from './durable-mark.ts'
import { headerBytes, isHeaderSound, timeMsAt, viewOf } from './frame-codec.ts'
import { listSegments, segmentPath } from './layout.ts'
import { readSegmentHead } from './segment-head.ts'

export interface SegmentList {
  /** The segments of a partition, oldest first. */
  list(partition: ListedPartition): Promise<Segment[]>
}

export interface ListedPartition {
  path: string
  mark: DurableMark | undefined
  /** `timeMs` of one frame, 0 when it is not to be had: for what damaged heads no longer tell. */
  timeOf: (offset: number) => Promise<number>
}

/** Describes segments from their heads and first frames. A sealed one does not change, so it is looked at once. */
export function createSegmentList(fileSystem: FileSystem, tag: number): SegmentList {
  const sealed = new Map<string, Map<number, Segment>>()

  async function list(partition: ListedPartition): Promise<Segment[]> {
    const bases = await listSegments(fileSystem, partition.path)
    const known = sealed.get(partition.path)
    const segments: Segment[] = []
    for (const [index, base] of bases.entries()) {
      const segment = known?.get(base) ?? (await describe(partition, base, bases[index + 1]))
      if (segment !== undefined) segments.push(segment)
    }
    sealed.set(partition.path, new Map(segments.filter(({ isSealed }) => isSealed).map((one) => [one.baseOffset, one])))
    return segments
  }

  /** Undefined when retention has just taken it. */
  async function describe(
    { path, mark, timeOf }: ListedPartition,
    baseOffset: number,
    nextBase: number | undefined,
  ): Promise<Segment | undefined> {
    return await withFile(path, baseOffset, async (handle) => {
      const isSealed = nextBase !== undefined && mark !== undefined && baseOffset < mark.segmentBase
      const first = (await readSegmentHead(handle))?.end
      return {
        baseOffset,
        endOffset: isSealed ? nextBase : Math.max(baseOffset, mark?.end ?? 0),
        bytes: await handle.size(),
        isSealed,
        firstTimeMs: first === undefined ? await timeOf(baseOffset) : await timeAt(handle, first, tag),
        lastTimeMs: isSealed ? await lastTimeBefore(path, nextBase, timeOf) : 0,
      }
    })
  }

  /** The head of the next segment tells. */
  async function lastTimeBefore(path: string, nextBase: number, timeOf: ListedPartition['timeOf']): Promise<number> {
    const next = await withFile(path, nextBase, readSegmentHead)
    return next?.head.previousLastTimeMs ?? (await timeOf(nextBase - 1))
  }

  async function withFile<T>(partitionPath: string, base: number, run: (handle: FileHandle) => Promise<T>) {
    const handle = await openIfPresent(fileSystem, segmentPath(partitionPath, base), 'read')
    if (handle === undefined) return undefined
    try {
      return await run(handle)
    } finally {
      await handle.close()
    }
  }

  return { list }
}

async function timeAt(handle: FileHandle, position: number, tag: number): Promise<number> {
  const header = Buffer.alloc(headerBytes)
  const count = await handle.read(header, position)
  const view = viewOf(header)
  return count === headerBytes && isHeaderSound(view, 0, tag) ? timeMsAt(view, 0) : 0
}
