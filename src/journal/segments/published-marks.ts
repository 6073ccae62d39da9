import type { FileHandle, FileSystem } from '../../base/file-system.ts'
import { openIfPresent } from '../whole-file.ts'
import { readMark, type DurableMark } from './durable-mark.ts'
import { listSegments, markPath } from './layout.ts'

/** The durable marks that other processes publish. */
export interface PublishedMarks {
  /** Undefined while the partition does not exist. */
  read(partitionPath: string): Promise<DurableMark | undefined>
  close(): Promise<void>
}

export function openPublishedMarks(fileSystem: FileSystem): PublishedMarks {
  const handles = new Map<string, FileHandle>()
  const newest = new Map<string, DurableMark>()

  async function handleOf(partitionPath: string): Promise<FileHandle | undefined> {
    const open = handles.get(partitionPath)
    if (open !== undefined) return open
    const handle = await openIfPresent(fileSystem, markPath(partitionPath), 'read')
    if (handle === undefined) return undefined
    // Another call may have opened it meanwhile.
    const other = handles.get(partitionPath)
    if (other !== undefined) await handle.close()
    else handles.set(partitionPath, handle)
    return other ?? handle
  }

  async function read(partitionPath: string): Promise<DurableMark | undefined> {
    const handle = await handleOf(partitionPath)
    const mark = handle === undefined ? undefined : await readMark(handle)
    const known = newest.get(partitionPath)
    if (mark !== undefined && (known === undefined || mark.end >= known.end)) newest.set(partitionPath, mark)
    return newest.get(partitionPath) ?? (await markWithoutFile(fileSystem, partitionPath))
  }

  return {
    read,
    async close() {
      for (const handle of handles.values()) await handle.close()
      handles.clear()
    },
  }
}

/** A lost mark is written anew by the partition's writer. Until then everything before the newest segment is known to be
 *  durable, because a segment is begun only then. */
async function markWithoutFile(fileSystem: FileSystem, partitionPath: string): Promise<DurableMark | undefined> {
  const base = (await listSegments(fileSystem, partitionPath)).at(-1)
  return base === undefined ? undefined : { end: base, segmentBase: base, position: 0 }
}
