/**
 * The partitions of `received` as one stream of work. Each frame is a number of units: first the messages that were lost right
 * before it (the running total of its source says how many), then its own. A unit is addressed by the frame's offset and its
 * index, so that work can stop and go on between any two units.
 */
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Frame, Gap, Journal, Reader } from '../journal/index.ts'
import type { PipelineState } from './counters.ts'

/** Consecutive units of one frame, from index `from` up to `to`. */
export interface Slice {
  partition: number
  frame: Frame
  /** Units before the frame's own messages: messages that were lost. */
  lost: number
  from: number
  to: number
}

/** The running total of the frame's source after the unit at `index`. */
export function totalAt({ frame, lost }: Slice, index: number): number {
  return frame.sourceTotal - (lost + frame.index - 1 - index)
}

export interface Input {
  /** The next units, at most about `unitsMax` (a frame's own messages are not divided); empty when there is nothing new. */
  take(unitsMax: number): Promise<Slice[]>
  close(): Promise<void>
}

export interface InputOptions {
  journal: Journal
  clock: Clock
  log: Logger
  /** Where to begin: positions and running totals. Changed while reading. */
  plan: PipelineState
  /** To be called when there may be something after all. */
  wake: () => void
}

/** Bytes of `received` that are read at once. */
const readBytes = 512 * 1024
const lookForPartitionsMs = 100

interface Source {
  partition: number
  reader: Reader
  waiting: (Frame | Gap)[]
}

export function createInput(options: InputOptions): Input {
  const { journal, clock, log, plan } = options
  const sources: Source[] = []
  let first = 0
  let pause: TimerHandle | undefined
  let isLookWanted = false

  async function take(unitsMax: number): Promise<Slice[]> {
    const slices: Slice[] = []
    let room = unitsMax
    // Another partition comes first each time, so that a busy one cannot keep the others waiting.
    for (let i = 0; i < sources.length && room > 0; i += 1) {
      // The remainder is an index of the list.
      room -= await takeFrom(sources[(first + i) % sources.length]!, room, slices)
    }
    first = sources.length === 0 ? 0 : (first + 1) % sources.length
    if (slices.length === 0 && (await findPartitions())) return take(unitsMax)
    return slices
  }

  async function takeFrom(source: Source, room: number, slices: Slice[]): Promise<number> {
    if (source.waiting.length === 0) source.waiting = (await source.reader.read(readBytes)).reverse()
    let taken = 0
    while (taken < room) {
      const item = source.waiting.at(-1)
      if (item === undefined) return taken
      if (item.type === 'gap') {
        log.error(
          { partition: source.partition, offset: item.offset, count: item.count, reason: item.reason },
          'frames of received are gone',
        )
        source.waiting.pop()
        continue
      }
      const slice = nextSlice(source.partition, item, room - taken)
      if (slice.to >= slice.lost + item.index) source.waiting.pop()
      if (slice.to === slice.from) continue
      slices.push(slice)
      taken += slice.to - slice.from
    }
    return taken
  }

  function nextSlice(partition: number, frame: Frame, unitsMax: number): Slice {
    const position = plan.position(partition)
    const from = position.offset === frame.offset ? position.index : 0
    const lost = lostBefore(partition, frame, from)
    const to = from < lost ? Math.min(lost, from + unitsMax) : Math.max(from, lost + frame.index)
    const slice = { partition, frame, lost, from, to }
    plan.advance(partition, { offset: frame.offset, index: to }, frame.source, totalAt(slice, to - 1))
    return slice
  }

  /** Messages of the frame's source between the last frame of it that could be read and this one. */
  function lostBefore(partition: number, { source, index, sourceTotal, offset }: Frame, from: number): number {
    const total = plan.total(partition, source)
    if (total === undefined) return 0
    const lost = sourceTotal - index - (total - from)
    // Damage at the end of the partition can have taken frames that were decided already; its writer then counted on from less.
    if (lost < 0)
      log.warn({ partition, offset, source, difference: lost }, 'the total of a source in received went back')
    return Math.max(0, lost)
  }

  /** Looks for new partitions, but not at every idle moment; a look that was put off is made up for. */
  async function findPartitions(): Promise<boolean> {
    if (pause !== undefined) {
      isLookWanted = true
      return false
    }
    pause = clock.after(lookForPartitionsMs, () => {
      pause = undefined
      if (isLookWanted) options.wake()
      isLookWanted = false
    })
    const known = new Set(sources.map(({ partition }) => partition))
    const found = (await journal.partitions('received')).filter((partition) => !known.has(partition))
    for (const partition of found) {
      const reader = await journal.openReader('received', partition, plan.position(partition).offset)
      sources.push({ partition, reader, waiting: [] })
    }
    return found.length > 0
  }

  return {
    take,
    async close() {
      if (pause !== undefined) clock.clear(pause)
      await Promise.all(sources.map(({ reader }) => reader.close()))
    },
  }
}
