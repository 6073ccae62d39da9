/**
 * Raw log objects: what was accepted, as gzipped lines of JSON, for people's own tools. Layout of the reference product (contract:
 * archive-replay.md §2): `segment-logs/<source id>/<day in ms>/<time of the first message>.<partition>.<its offset>.gz`.
 *
 * One object holds what one segment of `events` has of one source and day, so its name follows from its content: writing a segment
 * again, or first a part of the segment being written and later all of it, overwrites instead of doubling.
 */
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { isCall, type Journal } from '../journal/index.ts'

export interface RawLogParts {
  journal: Journal
  /** Holds `segment-logs`. */
  archiveDirectory: string
  /** The id under which a source's objects lie. */
  sourceIdOf: (source: number) => string
}

export interface RawLog {
  /** Writes the objects of all segments that were sealed since the last time. */
  writeSealed(): Promise<void>
  /** Writes those of the segments being written, too, as far as they are durable. */
  flush(): Promise<void>
}

const DAY_MS = 86_400_000
const READ_BYTES = 4 * 1024 * 1024
/** Compressed in pieces of this size, which gzip allows to be joined: a segment is never in memory as a whole. */
const PIECE_BYTES = 1024 * 1024

const compress = promisify(gzip)

export function createRawLog({ journal, archiveDirectory, sourceIdOf }: RawLogParts): RawLog {
  const directory = join(archiveDirectory, 'segment-logs')
  const donePath = join(directory, 'written.json')
  let running: Promise<void> = Promise.resolve()

  async function write(withActive: boolean): Promise<void> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const done = await readDone(donePath)
    for (const partition of await journal.partitions('events')) {
      for (const segment of await journal.segments('events', partition)) {
        if (segment.baseOffset < (done[partition] ?? 0) || (!segment.isSealed && !withActive)) continue
        await writeSegment(partition, segment.baseOffset, segment.endOffset)
        if (!segment.isSealed) continue
        done[partition] = segment.endOffset
        await writeFile(donePath, JSON.stringify(done))
      }
    }
  }

  async function writeSegment(partition: number, base: number, end: number): Promise<void> {
    const objects = new Map<string, LogObject>()
    const reader = await journal.openReader('events', partition, base)
    try {
      while (reader.offset < end) {
        const items = await reader.read(READ_BYTES)
        if (items.length === 0) break
        for (const item of items) {
          if (item.offset >= end || item.type === 'gap' || item.isDamaged || !isCall(item.kind)) continue
          const day = Math.floor(item.timeMs / DAY_MS) * DAY_MS
          const key = `${item.source} ${day}`
          let object = objects.get(key)
          if (object === undefined) {
            object = new LogObject(
              join(directory, sourceIdOf(item.source), String(day)),
              `${item.timeMs}.${partition}.${item.offset}.gz`,
            )
            objects.set(key, object)
          }
          await object.add(item.body)
        }
      }
      for (const object of objects.values()) await object.finish()
    } finally {
      await reader.close()
      for (const object of objects.values()) await object.discard()
    }
  }

  // One run at a time: two would write the same objects.
  const afterwards = (withActive: boolean): Promise<void> =>
    (running = running.catch(() => {}).then(() => write(withActive)))
  return { writeSealed: () => afterwards(false), flush: () => afterwards(true) }
}

/** One object while it is written; readers see it only when it is whole. */
class LogObject {
  readonly #directory: string
  readonly #path: string
  #lines: Uint8Array[] = []
  #bytes = 0
  #file: Awaited<ReturnType<typeof open>> | undefined

  constructor(directory: string, name: string) {
    this.#directory = directory
    this.#path = join(directory, name)
  }

  async add(line: Uint8Array): Promise<void> {
    this.#lines.push(line, NEWLINE)
    this.#bytes += line.byteLength + 1
    if (this.#bytes >= PIECE_BYTES) await this.#writePiece()
  }

  async finish(): Promise<void> {
    await this.#writePiece()
    await this.#file?.sync()
    await this.#file?.close()
    this.#file = undefined
    await rename(`${this.#path}.tmp`, this.#path)
  }

  /** After `finish` there is nothing left to discard. */
  async discard(): Promise<void> {
    if (this.#file === undefined) return
    await this.#file.close()
    this.#file = undefined
    await rm(`${this.#path}.tmp`, { force: true })
  }

  async #writePiece(): Promise<void> {
    if (this.#file === undefined) {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      this.#file = await open(`${this.#path}.tmp`, 'w', 0o600)
    }
    await this.#file.write(await compress(Buffer.concat(this.#lines), { level: constants.Z_BEST_SPEED }))
    this.#lines = []
    this.#bytes = 0
  }
}

const NEWLINE = Buffer.from('\n')

/** Per partition: one past the last sealed segment whose objects are there. */
async function readDone(path: string): Promise<Record<number, number>> {
  try {
    // Written by this file. When it is missing or broken, everything that is kept is written again, over itself.
    return JSON.parse(await readFile(path, 'utf8')) as Record<number, number>
  } catch {
    return {}
  }
}
