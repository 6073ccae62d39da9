/** The writer of the topic `outcomes`. What is appended while a commit runs shares the next one. An outcome counts (`apply`)
 *  only once it is durable. */
import { sleep, type Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { JournalUnavailable, type FrameInput, type PartitionWriter } from '../journal/index.ts'
import { pushOffset } from './offset-runs.ts'
import {
  encodeConnection,
  encodeOutcomes,
  type ConnectionBody,
  type Outcome,
  type OutcomeBody,
  type OutcomeGroup,
} from './outcome-frame.ts'

/** A frame is closed before it grows beyond about this many groups, so that reading one for a trace stays cheap. */
const GROUPS_PER_FRAME_MAX = 500
const DISK_RETRY_MS = 250

export interface OutcomeLog {
  append(connection: number, groups: readonly OutcomeGroup[], whenDurable?: () => void): void
  /** Drops one message before any mapping; consecutive ones with the same code share a group. */
  drop(connection: number, partition: number, offset: number, code: string, detail?: string): void
  appendConnection(connection: number, body: ConnectionBody, whenDurable?: () => void): void
  /** Resolves when everything appended so far is durable and applied. */
  flushed(): Promise<void>
  /** One past the last outcome that was applied. */
  readonly appliedOffset: number
  /** What comes later is ignored: an attempt that ends after the stop is made again, as after a kill. */
  close(): Promise<void>
}

export interface OutcomeLogParts {
  writer: PartitionWriter
  clock: Clock
  log: Logger
  /** Where the cursors of a connection stand now. */
  cursorsOf: (connection: number) => OutcomeBody['cursors']
  /** Called for each outcome in the order of the topic, with its offset there. */
  apply: (outcome: Outcome, offset: number) => void
  /** The journal failed: the process must stop. */
  onFailed: (error: unknown) => void
}

interface Pending {
  groups: OutcomeGroup[]
  /** Group of the last drop by code, to be lengthened. */
  drops: Map<string, OutcomeGroup>
}

export function createOutcomeLog(parts: OutcomeLogParts): OutcomeLog {
  const { writer, clock, log, cursorsOf, apply, onFailed } = parts
  let pending = new Map<number, Pending>()
  let connectionBodies: { connection: number; body: ConnectionBody }[] = []
  let whenDurable: (() => void)[] = []
  let flushing: Promise<void> | undefined
  let appliedOffset = writer.nextOffset
  let isClosed = false

  function pendingOf(connection: number): Pending {
    let found = pending.get(connection)
    if (found === undefined) pending.set(connection, (found = { groups: [], drops: new Map() }))
    return found
  }

  function start(): void {
    // In a microtask: what the same answer brings for several messages goes into one frame.
    flushing ??= Promise.resolve().then(flush)
  }

  async function flush(): Promise<void> {
    try {
      while (pending.size > 0 || connectionBodies.length > 0 || whenDurable.length > 0) await flushOnce()
    } catch (error) {
      onFailed(error)
    } finally {
      // In the same breath as the last look at what is pending, so that no append finds a flush that will not see it. Also after
      // a failure: whoever waits until nothing is flushed must not wait for ever.
      flushing = undefined
    }
  }

  async function flushOnce(): Promise<void> {
    const outcomes = take()
    const callbacks = whenDurable
    whenDurable = []
    if (outcomes.length > 0) {
      let offset = await appendWhenPossible(outcomes.map(encode))
      if (offset === undefined) return
      for (const outcome of outcomes) {
        appliedOffset = offset + 1
        apply(outcome, offset++)
      }
    }
    for (const run of callbacks) run()
  }

  function take(): Outcome[] {
    const timeMs = clock.now()
    const outcomes: Outcome[] = []
    for (const [connection, { groups }] of pending) {
      for (let from = 0; from < groups.length; from += GROUPS_PER_FRAME_MAX) {
        const body = { cursors: cursorsOf(connection), groups: groups.slice(from, from + GROUPS_PER_FRAME_MAX) }
        outcomes.push({ kind: 'outcomes', connection, timeMs, body })
      }
    }
    for (const { connection, body } of connectionBodies) outcomes.push({ kind: 'connection', connection, timeMs, body })
    pending = new Map()
    connectionBodies = []
    return outcomes
  }

  /** Undefined when the log was closed before there was room: what the outcomes are of is sent again after the next start. */
  async function appendWhenPossible(frames: FrameInput[]): Promise<number | undefined> {
    for (;;) {
      try {
        return await writer.append(frames)
      } catch (error) {
        // Below the disk reserve nothing is taken. Slots stay taken, so nothing more is sent, until there is room again.
        if (!(error instanceof JournalUnavailable) || error.reason !== 'disk_reserve') throw error
        if (isClosed) return undefined
        log.warn({ frames: frames.length }, 'outcomes wait for room on the disk')
        await sleep(clock, DISK_RETRY_MS)
      }
    }
  }

  return {
    get appliedOffset() {
      return appliedOffset
    },
    append(connection, groups, run) {
      if (isClosed) return
      pendingOf(connection).groups.push(...groups)
      if (run) whenDurable.push(run)
      start()
    },
    drop(connection, partition, offset, code, detail) {
      if (isClosed) return
      const { groups, drops } = pendingOf(connection)
      const key = `${partition} ${code} ${detail ?? ''}`
      let group = drops.get(key)
      if (group === undefined) {
        group = { partition, offsets: [], state: 'dropped', code, ...(detail === undefined ? {} : { detail }) }
        groups.push(group)
        drops.set(key, group)
      }
      pushOffset(group.offsets, offset)
      start()
    },
    appendConnection(connection, body, run) {
      if (isClosed) return
      connectionBodies.push({ connection, body })
      if (run) whenDurable.push(run)
      start()
    },
    async flushed() {
      while (flushing) await flushing
    },
    async close() {
      isClosed = true
      while (flushing) await flushing
      await writer.close()
    },
  }
}

function encode(outcome: Outcome): FrameInput {
  const { connection, timeMs } = outcome
  return outcome.kind === 'outcomes'
    ? encodeOutcomes(connection, timeMs, outcome.body)
    : encodeConnection(connection, timeMs, outcome.body)
}
