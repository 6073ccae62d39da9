/** What every process of an installation has: its paths, clock, disk, logger, metrics, journal and configuration. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { systemClock, type Clock } from '../base/clock.ts'
import { diskFileSystem, type FileSystem } from '../base/file-system.ts'
import { createLogger, type Logger } from '../base/logger.ts'
import { createMetrics, type Registry } from '../base/metrics.ts'
import { openJournal, type Journal } from '../journal/index.ts'
import { defaultDeployment, openSnapshotSource, type SnapshotSource } from '../store/index.ts'
import type { StartOptions } from './start-options.ts'

export interface Paths {
  data: string
  journal: string
  archive: string
  /** Sockets and the snapshot file: all of it is made anew at each start. */
  run: string
  snapshot: string
  dedupe: string
  ids: string
  controlDatabase: string
  deliveryDatabase: string
  socketOf(role: string): string
}

export function pathsOf(dataDirectory: string): Paths {
  const run = join(dataDirectory, 'run')
  return {
    data: dataDirectory,
    journal: join(dataDirectory, 'journal'),
    archive: join(dataDirectory, 'archive'),
    run,
    snapshot: join(run, 'snapshot.json'),
    dedupe: join(dataDirectory, 'dedupe'),
    ids: join(dataDirectory, 'ids'),
    controlDatabase: join(dataDirectory, 'control.db'),
    deliveryDatabase: join(dataDirectory, 'delivery.db'),
    socketOf: (role) => join(run, `${role}.sock`),
  }
}

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

/** Opens what a data-plane process needs. The snapshot file must exist (the control process writes it first). */
export async function openProcessContext(
  role: string,
  options: StartOptions,
  stopProcess: (error: Error) => void,
): Promise<ProcessContext> {
  const paths = pathsOf(options.dataDirectory)
  const log = createLogger(role)
  const snapshots = await openSnapshotSource({ path: paths.snapshot, clock: systemClock, log })
  const settings = () => snapshots.current.settings.journal ?? defaultDeployment.journal
  const journal = await openJournal({
    directory: paths.journal,
    archiveDirectory: paths.archive,
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId,
    segmentBytesMax: settings().segmentBytes,
    diskReserveBytes: () => settings().diskReserveBytes,
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
