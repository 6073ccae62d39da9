/** A schema view over a real journal in a temporary folder, with a writer that appends to `events` as the pipeline does. For tests. */
import { copyFileSync, existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock, type Clock } from '../../base/clock.ts'
import { diskFileSystem } from '../../base/file-system.ts'
import { silentLogger } from '../../base/logger.ts'
import { eventKinds, openJournal, type FrameInput, type Journal, type PartitionWriter } from '../../journal/index.ts'
import { createSchema, type SchemaParts, type SchemaView } from '../schema.ts'

export interface Sent {
  source?: number
  partition?: number
  atMs?: number
  /** Default `track`. */
  type?: keyof typeof eventKinds
  /** Of the message, or of the decision when `type` is one. */
  body: object
}

export interface Bed {
  directory: string
  clock: { nowMs: number }
  journal: Journal
  schema: SchemaView
  /** Numbers of the sources there are. */
  sources: Set<number>
  send(...sent: Sent[]): Promise<void>
  /** Goes on with what a kill would leave now: the journal, and the bytes of the view's file as they are. */
  kill(): void
  /** The view's file as a kill would leave it now, under another name. Returns its path. */
  copyFile(name: string): string
  /** As `kill`, with whatever lies at the place of the next file. */
  killKeepingFile(): void
  /** Another journal in the place of the old one. */
  renewJournal(): Promise<void>
  end(): Promise<void>
}

export const aTime = Date.UTC(2026, 2, 15, 12, 30)

export async function createBed(options: Pick<SchemaParts, 'limits' | 'registry'> = {}): Promise<Bed> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-schema-'))
  const time = { nowMs: aTime }
  // Timers are real: nothing here waits for one.
  const clock: Clock = { ...systemClock, now: () => time.nowMs }
  const sources = new Set([1, 2, 3])
  const writers = new Map<number, PartitionWriter>()
  const left: SchemaView[] = []
  let journalCount = 0
  let fileCount = 0

  const pathOf = (file: number): string => join(directory, `schema-${file}.sqlite`)
  const openJournalNow = (): Promise<Journal> =>
    openJournal({
      directory: join(directory, `journal-${journalCount}`),
      fileSystem: diskFileSystem,
      clock,
      newId: () => `journal-${journalCount}`,
    })
  const open = (journal: Journal): SchemaView =>
    createSchema({
      journal,
      path: pathOf(fileCount),
      clock,
      log: silentLogger,
      seed: 7,
      sources: async () => sources,
      ...options,
    })

  async function writerOf(partition: number): Promise<PartitionWriter> {
    let writer = writers.get(partition)
    if (writer === undefined) {
      const opened = await bed.journal.openWriter('events', partition, { checkpoint: () => null })
      for await (const _ of opened.tail);
      writers.set(partition, (writer = opened.writer))
    }
    return writer
  }

  function copyTo(path: string): void {
    for (const end of ['', '-wal'])
      if (existsSync(pathOf(fileCount) + end)) copyFileSync(pathOf(fileCount) + end, path + end)
  }

  const journal = await openJournalNow()
  const bed: Bed = {
    directory,
    clock: time,
    journal,
    schema: open(journal),
    sources,
    async send(...sent) {
      for (const [partition, some] of Map.groupBy(sent, (each) => each.partition ?? 0))
        await (await writerOf(partition)).append(some.map((each) => frameOf(each, time.nowMs)))
    },
    kill() {
      copyTo(pathOf(fileCount + 1))
      bed.killKeepingFile()
    },
    copyFile(name) {
      copyTo(join(directory, name))
      return join(directory, name)
    },
    killKeepingFile() {
      fileCount += 1
      left.push(bed.schema)
      bed.schema = open(bed.journal)
    },
    async renewJournal() {
      await bed.schema.stop()
      await bed.journal.close()
      writers.clear()
      journalCount += 1
      bed.journal = await openJournalNow()
      bed.schema = open(bed.journal)
    },
    async end() {
      for (const schema of [...left, bed.schema]) await schema.stop()
      await bed.journal.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
  return bed
}

function frameOf({ source = 1, atMs, type = 'track', body }: Sent, nowMs: number): FrameInput {
  return {
    kind: eventKinds[type],
    flags: 0,
    source,
    timeMs: atMs ?? nowMs,
    index: 0,
    inputPartition: 0,
    inputOffset: 0,
    sourceTotal: 0,
    body: [Buffer.from(JSON.stringify(body))],
  }
}
