import { messageOf } from '../../base/errors.ts'
import type { Clock } from '../../base/clock.ts'
import type { FileSystem } from '../../base/file-system.ts'
import type { Logger } from '../../base/logger.ts'

/** How old the number of free bytes may become while something is appended. */
const refreshMs = 500

export interface DiskReserve {
  /** Whether the reserve stays free after another `bytes`. Never waits: the free space is looked up in the background. */
  hasRoomFor(bytes: number): boolean
  /** Counts bytes written since the last look. */
  spend(bytes: number): void
  /** The disk refused a write: nothing is let through before the next look. */
  noteFull(): void
  close(): void
}

/** Watches the free space of the journal's disk, for all writers of this process. */
export async function watchDiskReserve(options: {
  directory: string
  fileSystem: FileSystem
  clock: Clock
  reserveBytes: () => number
  log: Logger
}): Promise<DiskReserve> {
  const { directory, fileSystem, clock, reserveBytes, log } = options
  let freeBytes = await fileSystem.freeBytes(directory)
  let lookedAtMs = clock.now()
  let isLooking = false
  let isClosed = false
  // Without appends nobody would ask, so a refusal keeps looking until there is room again.
  let retry: ReturnType<Clock['after']> | undefined

  async function look(): Promise<void> {
    if (isLooking || isClosed) return
    isLooking = true
    try {
      freeBytes = await fileSystem.freeBytes(directory)
    } catch (error) {
      log.error({ directory, error: messageOf(error) }, 'free disk space could not be read')
    }
    lookedAtMs = clock.now()
    isLooking = false
  }

  function lookLater(): void {
    if (retry !== undefined || isClosed) return
    retry = clock.after(refreshMs, () => {
      retry = undefined
      void look().then(() => {
        if (freeBytes < reserveBytes()) lookLater()
      })
    })
  }

  return {
    hasRoomFor(bytes) {
      const age = clock.now() - lookedAtMs
      if (age >= refreshMs || age < 0) void look()
      const hasRoom = freeBytes - bytes >= reserveBytes()
      if (!hasRoom) lookLater()
      return hasRoom
    },
    spend(bytes) {
      freeBytes -= bytes
    },
    noteFull() {
      freeBytes = -Infinity
      lookLater()
    },
    close() {
      isClosed = true
      if (retry !== undefined) clock.clear(retry)
    },
  }
}
