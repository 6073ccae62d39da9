import { readFileSync, statSync, watch } from 'node:fs'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { SnapshotSource } from './snapshot-source.ts'
import type { Snapshot } from './snapshot.ts'

export interface SnapshotFileOptions {
  path: string
  clock: Clock
  log: Logger
}

/** How long a change can stay unseen where the folder cannot be watched. */
const POLL_MS = 1_000

/** The newest published snapshot, read from its file; it must exist. A change is seen at once where the folder can be watched, and
 *  within a second everywhere. */
export async function openSnapshotSource({ path, clock, log }: SnapshotFileOptions): Promise<SnapshotSource> {
  let current = read(path)
  let text = ''
  let seenMs = 0
  const listeners = new Set<(snapshot: Snapshot) => void>()
  let isClosed = false
  let timer = clock.after(POLL_MS, poll)
  // The file is replaced by a rename, so its folder is watched, not the file.
  const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
    if (name === basename(path)) check()
  })
  watcher.on('error', () => watcher.close())

  function poll(): void {
    // Almost always nothing has changed, and then the time of the file says so for less than reading it.
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: -1 }
    if (mtimeMs !== seenMs) check()
    seenMs = mtimeMs
    if (!isClosed) timer = clock.after(POLL_MS, poll)
  }

  function check(): void {
    let next: Snapshot
    try {
      const newText = readFileSync(path, 'utf8')
      if (newText === text) return
      text = newText
      next = JSON.parse(newText) as Snapshot
    } catch (error) {
      log.warn({ err: error }, 'the configuration snapshot could not be read; the last one stays in force')
      return
    }
    if (next.number === current.number) return
    current = next
    for (const run of listeners) run(next)
  }

  return {
    get current() {
      return current
    },
    onChange(run) {
      listeners.add(run)
      return () => listeners.delete(run)
    },
    close() {
      isClosed = true
      clock.clear(timer)
      watcher.close()
      listeners.clear()
    },
  }
}

function read(path: string): Snapshot {
  // Written by `writeSnapshotFile` of this program, by a rename, so it is whole.
  return JSON.parse(readFileSync(path, 'utf8')) as Snapshot
}

/** A snapshot that never changes unless `replace` is called; for tests and tools. */
export function createFixedSnapshotSource(snapshot: Snapshot): SnapshotSource & { replace(snapshot: Snapshot): void } {
  let current = snapshot
  const listeners = new Set<(snapshot: Snapshot) => void>()
  return {
    get current() {
      return current
    },
    onChange(run) {
      listeners.add(run)
      return () => listeners.delete(run)
    },
    replace(next) {
      current = next
      for (const run of listeners) run(next)
    },
    close: () => listeners.clear(),
  }
}

/** Makes the file at `path` hold the snapshot: at every moment, also after a power cut, it holds the old one or the new one.
 *  Returns false when it holds it already. */
export async function writeSnapshotFile(path: string, snapshot: Snapshot): Promise<boolean> {
  const text = JSON.stringify(snapshot)
  if ((await readIfThere(path)) === text) return false
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
  return true
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
