import { assert } from '../base/assert.ts'
import {
  entryKinds,
  type DedupeIndex,
  type IndexEntry,
  type IndexedFrame,
  type MessageKey,
  type Place,
} from './dedupe.ts'

/** What survives of an in-memory index: the part that was flushed. Hand it to the next `createDedupeMemory`. */
export interface DedupeDisk {
  entries: IndexEntry[]
  covered: number | undefined
}

/** The dedupe index in memory, with the crash rules of the store on disk: what was not flushed is lost when it is dropped and
 *  opened again over the same `disk`. For simulation; forgets nothing, so windows are the caller's comparison alone. */
export function createDedupeMemory(disk: DedupeDisk = { entries: [], covered: undefined }): DedupeIndex {
  const places = new Map<MessageKey, Place>()
  const frames = new Map<MessageKey, IndexedFrame[]>()
  const unflushed: IndexEntry[] = []
  let covered = disk.covered

  function add({ kind, key, offset, receivedAtMs }: IndexEntry): void {
    if (kind === entryKinds.accepted) places.set(key, { offset, receivedAtMs })
    const known = frames.get(key)
    if (known === undefined) frames.set(key, [{ kind, offset }])
    else known.push({ kind, offset })
  }
  for (const entry of disk.entries) add(entry)

  async function flush(): Promise<void> {
    disk.entries.push(...unflushed.splice(0))
    disk.covered = covered
  }

  return {
    check: async (keys) => keys.map((key) => places.get(key)),
    async put(entries, coveredNow) {
      assert(coveredNow >= (covered ?? 0), 'what the dedupe index covers only grows')
      for (const entry of entries) {
        add(entry)
        unflushed.push(entry)
      }
      covered = coveredNow
    },
    get covered() {
      return covered
    },
    find: async (key) => [...(frames.get(key) ?? [])].sort((a, b) => a.offset - b.offset),
    flush,
    close: flush,
  }
}
