/**
 * Sees every frame that a process was told of: by the answer to an append, or by reading it. Such a frame is there for ever, in its
 * place, with its content; whatever a crash takes back must never have been seen.
 */
import assert from 'node:assert/strict'
import type {
  Frame,
  FrameInput,
  Gap,
  Journal,
  OpenedWriter,
  PartitionWriter,
  Reader,
  Topic,
} from '../../../src/journal/index.ts'

export class Witness {
  /** What stands at each offset, by `topic partition`. */
  readonly #known = new Map<string, string[]>()
  readonly #report: (finding: unknown) => void

  constructor(report: (finding: unknown) => void) {
    this.#report = report
  }

  /** One past the newest offset that anybody was told of. */
  endOf(topic: Topic, partition: number): number {
    return this.#known.get(`${topic} ${partition}`)?.length ?? 0
  }

  /** Compares a reading of a whole partition with what was seen of it. */
  check(topic: Topic, partition: number, items: readonly (Frame | Gap)[]): void {
    const known = this.#known.get(`${topic} ${partition}`) ?? []
    assert.ok(items.length >= known.length, `${topic} ${partition} ends at ${items.length}, ${known.length} were seen`)
    items.forEach((item, offset) => {
      assert.equal(item.type, 'frame', `${topic} ${partition} ${offset} is there`)
      this.learn(topic, partition, offset, contentOf(item as Frame))
    })
  }

  learn(topic: Topic, partition: number, offset: number, content: string): void {
    const place = `${topic} ${partition}`
    const known = this.#known.get(place) ?? []
    this.#known.set(place, known)
    assert.equal(known[offset] ?? content, content, `${place} ${offset} keeps its frame`)
    known[offset] = content
  }

  /** A journal whose readers and writers tell what they see. */
  watch(journal: Journal, name: string, isAlive: () => boolean): Journal {
    const learn = (...seen: Parameters<Witness['learn']>) => {
      if (isAlive()) this.#checked(() => this.learn(...seen))
    }
    const see = (topic: Topic, partition: number, item: Frame | Gap) => {
      if (item.type === 'frame' && item.isDamaged)
        this.#checked(() => assert.fail(`${name} finds ${topic} ${partition} ${item.offset} damaged`))
      else if (item.type === 'frame') learn(topic, partition, item.offset, contentOf(item))
      // A reader whose cursor was not written since may find that what it had passed is gone; the counts tell whether it had.
      else if (item.reason === 'corrupt')
        this.#checked(() =>
          assert.fail(`${name} misses ${item.count} frames of ${topic} ${partition} from ${item.offset}`),
        )
    }
    return {
      ...journal,
      openReader: async (topic, partition, offset) =>
        watchReader(await journal.openReader(topic, partition, offset), (item) => see(topic, partition, item)),
      readOne: async (topic, partition, offset) => {
        const frame = await journal.readOne(topic, partition, offset)
        if (frame !== undefined) see(topic, partition, frame)
        return frame
      },
      openWriter: async (topic, partition, options) => {
        const opened = await journal.openWriter(topic, partition, options)
        const end = this.endOf(topic, partition)
        const { nextOffset } = opened.writer
        this.#checked(() =>
          assert.ok(nextOffset >= end, `${topic} ${partition} goes on at ${nextOffset}, ${end} were seen`),
        )
        return watchWriter(opened, (offset, frame) => learn(topic, partition, offset, contentOf(frame)))
      },
    }
  }

  /** A finding must not change what the process does. */
  #checked(check: () => void): void {
    try {
      check()
    } catch (finding) {
      this.#report(finding)
    }
  }
}

function watchReader(reader: Reader, see: (item: Frame | Gap) => void): Reader {
  return {
    get offset() {
      return reader.offset
    },
    async read(bytesMax) {
      const items = await reader.read(bytesMax)
      items.forEach(see)
      return items
    },
    seek: (offset) => reader.seek(offset),
    close: () => reader.close(),
  }
}

function watchWriter(opened: OpenedWriter, learn: (offset: number, frame: FrameInput) => void): OpenedWriter {
  const { writer } = opened
  const watched: PartitionWriter = {
    topic: writer.topic,
    partition: writer.partition,
    get nextOffset() {
      return writer.nextOffset
    },
    get pendingBytes() {
      return writer.pendingBytes
    },
    get isWritable() {
      return writer.isWritable
    },
    async append(frames) {
      const first = await writer.append(frames)
      frames.forEach((frame, index) => learn(first + index, frame))
      return first
    },
    close: () => writer.close(),
  }
  return { ...opened, writer: watched }
}

function contentOf(frame: Frame | FrameInput): string {
  const { kind, flags, source, timeMs, index, inputPartition, inputOffset, sourceTotal, body } = frame
  const text = Buffer.isBuffer(body)
    ? body.toString('latin1')
    : body.map((piece) => Buffer.from(piece).toString('latin1')).join('')
  return [kind, flags, source, timeMs, index, inputPartition, inputOffset, sourceTotal, text].join()
}
