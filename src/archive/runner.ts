import type { Clock, TimerHandle } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { Logger } from '../base/logger.ts'
import {
  coldDirectory,
  listColdSegments,
  readColdLastTimeMs,
  writeColdSegment,
  type Journal,
  type Topic,
} from '../journal/index.ts'
import { listSealed, segmentsToRemove, type SealedPartition, type SealedSegment } from './retention.ts'

export interface ArchiveSettings {
  /** Whether sealed segments of `events` are copied to the cold tier before they leave the hot journal. */
  isEnabled: boolean
  /** Bytes that the hot journal may have. Default: a quarter of what it has and the disk has free, together. */
  hotBytesMax?: number
  /** Days after which cold segments are removed. Default: never. */
  archiveDays?: number
  /** Days for which outcomes are kept, for traces. */
  outcomesDays: number
}

export interface ArchiveRunner {
  /** One round: copies what is sealed, then removes what nobody needs. Errors are thrown; the next round tries again. */
  runOnce(): Promise<void>
  /** Rounds from now on, one after the other. */
  start(): void
  /** Waits for the round that is running. */
  stop(): Promise<void>
}

export interface ArchiveRunnerParts {
  journal: Journal
  archiveDirectory: string
  fileSystem: FileSystem
  clock: Clock
  log: Logger
  /** The offset that everybody who reads the partition has passed. */
  lowWatermark: (topic: Topic, partition: number) => Promise<number>
  settings: () => ArchiveSettings
  /** What else has to be made of sealed segments of `events` before they may leave the hot journal. */
  beforeRemoval?: () => Promise<void>
  intervalMs?: number
}

const defaultIntervalMs = 10_000
const dayMs = 24 * 60 * 60 * 1000

/** Moves what is old from the hot journal to the cold tier, and from there away. */
export function createArchiveRunner(parts: ArchiveRunnerParts): ArchiveRunner {
  const { journal, archiveDirectory, fileSystem, clock, log, lowWatermark, settings } = parts
  let running: Promise<void> = Promise.resolve()
  let timer: TimerHandle | undefined
  let isStopped = false

  async function runOnce(): Promise<void> {
    const current = settings()
    await fileSystem.makeDirectory(archiveDirectory)
    const { partitions, hotBytes } = await listSealed(journal, lowWatermark)
    for (const segment of partitions.flat()) if (segment.topic === 'events') await copy(segment, current.isEnabled)
    if (current.isEnabled) await parts.beforeRemoval?.()
    await removeHot(partitions, hotBytes, current)
    if (current.archiveDays !== undefined) await removeCold(clock.now() - current.archiveDays * dayMs)
  }

  async function copy(segment: SealedSegment, isEnabled: boolean): Promise<void> {
    segment.isCopied = !isEnabled || (await isInColdTier(segment))
    if (segment.isCopied || isStopped) return
    await writeColdSegment({ journal, fileSystem, archiveDirectory, ...segment })
    segment.isCopied = true
    log.info(
      { partition: segment.partition, baseOffset: segment.baseOffset, endOffset: segment.endOffset },
      'archived a segment',
    )
  }

  async function isInColdTier({ topic, partition, baseOffset, endOffset }: SealedSegment): Promise<boolean> {
    const cold = await listColdSegments(fileSystem, coldDirectory(archiveDirectory, topic, partition))
    return cold.some((one) => one.baseOffset === baseOffset && one.endOffset === endOffset)
  }

  async function removeHot(partitions: SealedPartition[], hotBytes: number, current: ArchiveSettings): Promise<void> {
    const hotBytesMax = current.hotBytesMax ?? (hotBytes + (await fileSystem.freeBytes(archiveDirectory))) / 4
    const rules = { nowMs: clock.now(), outcomesKeepMs: current.outcomesDays * dayMs, hotBytesMax }
    const removed = segmentsToRemove(partitions, hotBytes, rules)
    for (const { topic, partition, endOffset, isPassed } of removed) {
      if (!isPassed)
        log.warn(
          { topic, partition, endOffset },
          'removed a segment that a connection has not read: the journal is full',
        )
      await journal.removeBefore(topic, partition, endOffset)
    }
  }

  async function removeCold(beforeMs: number): Promise<void> {
    for (const partition of await journal.partitions('events')) {
      const directory = coldDirectory(archiveDirectory, 'events', partition)
      const segments = await listColdSegments(fileSystem, directory)
      let expiredCount = 0
      for (const [index, { path }] of segments.entries()) {
        const lastTimeMs = await readColdLastTimeMs(fileSystem, path)
        // A damaged index does not tell; the segment goes with the next one that is old enough.
        if (lastTimeMs === undefined) continue
        if (lastTimeMs >= beforeMs) break
        expiredCount = index + 1
      }
      for (const { path } of segments.slice(0, expiredCount)) await fileSystem.remove(path)
      if (expiredCount > 0) await fileSystem.syncDirectory(directory)
    }
  }

  function schedule(ms: number): void {
    timer = clock.after(ms, () => {
      running = runOnce()
        .catch((error: unknown) => log.error({ error: messageOf(error) }, 'archiving failed; it is tried again'))
        .finally(() => {
          if (!isStopped) schedule(parts.intervalMs ?? defaultIntervalMs)
        })
    })
  }

  return {
    runOnce,
    start: () => schedule(0),
    async stop() {
      isStopped = true
      if (timer !== undefined) clock.clear(timer)
      await running
    },
  }
}
