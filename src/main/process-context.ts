/** What every process of an installation has: its paths, clock, disk, logger, metrics, journal and configuration. */
import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { systemClock, type Clock } from '../base/clock.ts'
import { defaultDiskReserve } from '../base/disk-reserve.ts'
import { diskFileSystem, type FileSystem } from '../base/file-system.ts'
import { createLogger, type Logger } from '../base/logger.ts'
import { createMetrics, type Registry } from '../base/metrics.ts'
import { openJournal, type Journal } from '../journal/index.ts'
import { defaultDeployment, openSnapshotSource, type SnapshotSource } from '../snapshot/index.ts'
import { pathsOf, type Paths } from './paths.ts'
import type { StartOptions } from './start-options.ts'

export interface ProcessContext {
  role: string
  options: StartOptions
  paths: Paths
  clock: Clock
  random: () => number
  newId: () => string
  fileSystem: FileSystem
  log: Logger
  metrics: Registry
  snapshots: SnapshotSource
  journal: Journal
}

const JOURNAL_POLL_MS = 3_000

/** Opens what a data-plane process needs. The snapshot file must exist (the control process writes it first). */
export async function openProcessContext(
  role: string,
  options: StartOptions,
  stopProcess: (error: Error) => void,
): Promise<ProcessContext> {
  const paths = pathsOf(options.dataDirectory)
  const log = createLogger(role)
  const snapshots = await openSnapshotSource({ path: paths.snapshot, clock: systemClock, log })
  const { blocks, bsize } = await statfs(paths.data)
  const reserve = defaultDiskReserve(blocks * bsize)
  const settings = () => snapshots.current.settings.journal ?? defaultDeployment.journal
  const journal = await openJournal({
    directory: paths.journal,
    archiveDirectory: paths.archive,
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId,
    segmentBytesMax: settings().segmentBytes,
    // The files are watched; this is for where that fails, and each poll wakes an idle process.
    pollMs: JOURNAL_POLL_MS,
    diskReserveBytes: () => settings().diskReserveBytes ?? reserve,
    log,
    onFailed: stopProcess,
  })
  return {
    role,
    options,
    paths,
    clock: systemClock,
    random: Math.random,
    newId,
    fileSystem: diskFileSystem,
    log,
    metrics: createMetrics(role),
    snapshots,
    journal,
  }
}

export function newId(): string {
  return randomBytes(16).toString('hex')
}
