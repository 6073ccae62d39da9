/**
 * From `received` to `events`: each message in gives exactly one frame out, across any kill.
 *
 * The output is the only truth. What has been decided is what stands in `events`; positions, counts and the dedupe index are
 * folds over it and are changed only when the frames are durable. So a kill at any point loses work, never a decision.
 *
 * Work goes in chunks, two at a time: while one chunk is being synced, the next one is read, split and looked up. The ids
 * that a chunk takes are kept in memory until the index has them, so that the next chunk finds them (`duplicates.ts`).
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Frame, FrameInput, Gap, Journal, PartitionWriter } from '../journal/index.ts'
import type { SnapshotSource } from '../snapshot/index.ts'
import { appendWhenPossible } from './append.ts'
import { catchUp, entryOf, writeMissingIdFiles, type CatchUpParts } from './catch-up.ts'
import { PipelineState, type Position, type SourceCounts } from './counters.ts'
import { messageKey, type DedupeIndex, type IndexEntry } from './dedupe.ts'
import { draftsOf, type Draft } from './drafts.ts'
import { createDuplicateFilter, type Chunk, type DuplicateFilter } from './duplicates.ts'
import { isForwarded, openForwarder, type BlockedEvent, type Forwarder } from './forwarder.ts'
import { IdCollector, type IdFiles } from './id-file.ts'
import { createInput, type Input } from './input.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import { createControls, type ControlsOf } from './schema-controls.ts'
import { traceOf, type TracedFrame } from './trace.ts'

export interface PipelineOptions {
  journal: Journal
  dedupe: DedupeIndex
  idFiles: IdFiles
  clock: Clock
  /** An id for a message that came without one. */
  newMessageId: () => string
  log: Logger
  metrics?: PipelineMetrics
  /** Partition of `events` that this pipeline writes, alone. Default 0. */
  eventsPartition?: number
  /** Partition of `received` that this pipeline writes, alone: forwarded events. Default 1,000; gateways count from 0. */
  forwardedPartition?: number
  snapshots: Pick<SnapshotSource, 'current'>
  /** Called once when the pipeline cannot go on: the process must stop and start again. */
  onFailure: (error: Error) => void
}

export interface PipelineStatus {
  /** Per source number, since its first message. */
  sources: Record<number, SourceCounts>
  /** Per partition of `received`: the next message to decide. */
  decidedThrough: Record<number, Position>
  /** The counts are those of all frames of `events` before this offset. */
  eventsEnd: number
  /** No frame of `events` before this offset is read again: id files hold what a new index would need of them. */
  eventsNeededFrom: number
  /** Blocked events that became messages of another source, per number of that source, ever. They stand in `received`. */
  forwarded: Record<number, number>
  /** What had to be forwarded of the frames of `events` before this offset has been. */
  forwardedThrough: number
}

export interface Pipeline {
  /** Opens the partition, resumes where its frames end, and begins to work. */
  start(): Promise<void>
  /** Finishes the chunk in flight and closes writer, index and input. */
  stop(): Promise<void>
  status(): PipelineStatus
  /** Every frame of `events` that concerns a messageId, oldest first: accepted, duplicates, rejected. */
  trace(workspace: number, messageId: string): Promise<TracedFrame[]>
}

const chunkUnitsMax = 1000
const defaultForwardedPartition = 1_000
const DAY_MS = 86_400_000

/** The pipeline of one partition of `events`. It reads all partitions of `received`. */
export function createPipeline(options: PipelineOptions): Pipeline {
  return new Consumer(options)
}

class Consumer implements Pipeline {
  readonly #options: PipelineOptions
  readonly #partition: number
  readonly #duplicates: DuplicateFilter
  readonly #controlsOf: ControlsOf
  #state = new PipelineState()
  /** One past the newest frame that is in the counts. */
  #eventsEnd = 0
  #writer: PartitionWriter | undefined
  #input: Input | undefined
  #forwarder: Forwarder | undefined
  /** What a crash has kept from being forwarded. */
  #unforwarded: BlockedEvent[] = []
  #forwardedThrough = 0
  /** Ids of the segment being written. */
  #ids = new IdCollector(0)
  #idWork: Promise<void> = Promise.resolve()
  /** Every sealed segment of the window that ends up to here has its id file. */
  #idsEnd = 0
  /** Places at the very end of `events` that cannot be read. Nothing behind them says what was decided there, so their messages
   *  are decided again. */
  #undone = { from: 0, to: 0 }
  #running: Promise<void> | undefined
  #stopWatching = (): void => undefined
  #isStopping = false
  #isWoken = false
  #resume = (): void => undefined

  constructor(options: PipelineOptions) {
    const { dedupe, snapshots, eventsPartition = 0 } = options
    this.#options = options
    this.#partition = eventsPartition
    this.#controlsOf = createControls(snapshots)
    this.#duplicates = createDuplicateFilter(
      dedupe,
      () => this.#windowDays * DAY_MS,
      (offset) => offset >= this.#undone.from && offset < this.#undone.to,
    )
  }

  async start(): Promise<void> {
    const { journal, dedupe, clock, log, idFiles, forwardedPartition = defaultForwardedPartition } = this.#options
    this.#forwarder = await openForwarder({
      journal,
      clock,
      partition: forwardedPartition,
      eventsPartition: this.#partition,
      isStopping: () => this.#isStopping,
    })
    const opened = await journal.openWriter('events', this.#partition, {
      checkpoint: () => this.#checkpoint(),
      nextOffsetAtLeast: Math.max(dedupe.covered ?? 0, this.#forwarder.next),
    })
    this.#writer = opened.writer
    this.#state = PipelineState.fromCheckpoint(opened.checkpoint)
    this.#eventsEnd = opened.writer.nextOffset
    await this.#foldTail(opened.tail, opened.writer.nextOffset)
    if (this.#unforwarded.length === 0) this.#forwardedThrough = this.#eventsEnd
    const windowDays = this.#windowDays
    await catchUp(this.#parts(), dedupe, idFiles, opened.writer.nextOffset, windowDays)
    this.#doIdWork(async () => {
      this.#idsEnd = await writeMissingIdFiles(this.#parts(), idFiles, windowDays)
    })
    const wake = (): void => this.#wake()
    this.#input = createInput({ journal, clock, log, plan: this.#state.copy(), wake })
    this.#stopWatching = journal.onAppend('received', wake)
    this.#running = this.#run(this.#input).catch((error: unknown) => {
      this.#options.onFailure(error instanceof Error ? error : new Error(String(error)))
    })
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    this.#stopWatching()
    this.#wake()
    await this.#running
    await this.#input?.close()
    await this.#idWork
    await this.#forwarder?.close()
    await this.#writer?.close()
    await this.#options.dedupe.close()
  }

  status(): PipelineStatus {
    return {
      sources: this.#state.counts(),
      decidedThrough: this.#state.positions(),
      eventsEnd: this.#eventsEnd,
      eventsNeededFrom: this.#idsEnd,
      forwarded: this.#forwarder?.totals() ?? {},
      forwardedThrough: this.#forwardedThrough,
    }
  }

  async trace(workspace: number, messageId: string): Promise<TracedFrame[]> {
    const { journal, dedupe } = this.#options
    return traceOf(journal, this.#partition, await dedupe.find(messageKey(workspace, messageId)))
  }

  async #run(input: Input): Promise<void> {
    let committing = this.#forward(this.#unforwarded.splice(0))
    await committing
    while (!this.#isStopping) {
      this.#isWoken = false
      const chunk = await this.#prepare(input)
      await committing
      if (this.#isStopping) return
      if (chunk.drafts.length === 0) {
        await this.#untilWoken()
        continue
      }
      committing = this.#commit(chunk)
      // A failure is met at the next `await committing`; until then Node must not call it unhandled.
      committing.catch(() => undefined)
    }
    await committing
  }

  #wake(): void {
    this.#isWoken = true
    this.#resume()
  }

  async #untilWoken(): Promise<void> {
    if (this.#isWoken || this.#isStopping) return
    await new Promise<void>((resolve) => (this.#resume = resolve))
  }

  async #prepare(input: Input): Promise<Chunk> {
    const { newMessageId, log } = this.#options
    const noteWorkspace = (source: number, workspace: number): void => this.#state.setWorkspace(source, workspace)
    const context = { newMessageId, noteWorkspace, controlsOf: this.#controlsOf, log }
    const slices = await input.take(chunkUnitsMax)
    return this.#duplicates.decide(slices.flatMap((slice) => draftsOf(slice, context)))
  }

  async #commit(chunk: Chunk): Promise<void> {
    const { drafts } = chunk
    const first = await this.#append(this.#framesOf(drafts))
    if (first === undefined) return
    const entries: IndexEntry[] = []
    drafts.forEach((draft, i) => {
      this.#state.fold(draft)
      if (draft.id === undefined) return
      const { kind, key } = draft.id
      entries.push({ kind, key, offset: first + i, receivedAtMs: draft.timeMs })
    })
    this.#eventsEnd = first + drafts.length
    for (const entry of entries) this.#ids.add(entry)
    this.#options.metrics?.decided(drafts)
    await this.#options.dedupe.put(entries, first + drafts.length)
    this.#duplicates.release(chunk)
    // Before anything else is appended to `events`: see `forwarder.ts`.
    await this.#forward(drafts.flatMap((draft, i) => (isForwarded(draft) ? [{ ...draft, offset: first + i }] : [])))
  }

  /** Undefined when the pipeline was stopped before the disk took the frames: nothing was written. */
  async #append(frames: readonly FrameInput[]): Promise<number | undefined> {
    const expected = this.#eventsEnd
    const first = await appendWhenPossible(this.#openWriter(), frames, this.#options.clock, () => this.#isStopping)
    assert(first === undefined || first === expected, 'nobody else appends to this partition')
    return first
  }

  /** All blocked events before the end of `events`. A pipeline that is stopped meanwhile makes up for it when it starts again. */
  async #forward(events: readonly BlockedEvent[]): Promise<void> {
    assert(this.#forwarder !== undefined, 'the pipeline has been started')
    if (await this.#forwarder.forward(events)) this.#forwardedThrough = this.#eventsEnd
  }

  #framesOf(drafts: readonly Draft[]): FrameInput[] {
    const totals = new Map<number, number>()
    return drafts.map(({ kind, flags, source, timeMs, index, inputPartition, inputOffset, json }) => {
      const sourceTotal = (totals.get(source) ?? this.#state.decided(source)) + 1
      totals.set(source, sourceTotal)
      const body = [Buffer.from(json)]
      return { kind, flags, source, timeMs, index, inputPartition, inputOffset, sourceTotal, body }
    })
  }

  /** The journal begins a segment: the one before it is complete and gets its id file. */
  #checkpoint(): unknown {
    const { idFiles, clock } = this.#options
    const ids = this.#ids
    const end = this.#openWriter().nextOffset
    this.#ids = new IdCollector(end)
    if (end > ids.base) {
      this.#doIdWork(async () => {
        await idFiles.write(ids, end)
        // An earlier one has failed.
        if (this.#idsEnd < ids.base) await writeMissingIdFiles(this.#parts(), idFiles, this.#windowDays)
        this.#idsEnd = end
        await idFiles.removeOlder(clock.now() - (this.#windowDays + 1) * DAY_MS)
      })
    }
    return this.#state.toCheckpoint()
  }

  async #foldTail(tail: AsyncIterable<Frame | Gap>, nextOffset: number): Promise<void> {
    const newest = (await this.#options.journal.segments('events', this.#partition)).at(-1)
    this.#ids = new IdCollector(newest?.baseOffset ?? nextOffset)
    let readable: number | undefined
    for await (const item of tail) {
      readable ??= item.offset
      if (item.type === 'gap') {
        this.#state.foldGap()
        continue
      }
      readable = item.offset + 1
      this.#state.foldFrame(item)
      this.#noteUnforwarded(item)
      const entry = item.offset >= this.#ids.base ? await entryOf(this.#parts(), item) : undefined
      if (entry !== undefined) this.#ids.add(entry)
    }
    if (readable !== undefined) this.#undone = { from: readable, to: nextOffset }
  }

  #noteUnforwarded(frame: Frame): void {
    const { offset, timeMs, flags, body, isDamaged } = frame
    if (!isForwarded(frame) || offset < (this.#forwarder?.next ?? 0)) return
    if (isDamaged) this.#options.log.error({ offset }, 'a blocked event is damaged and cannot be forwarded')
    else this.#unforwarded.push({ offset, timeMs, flags, json: body.toString() })
  }

  /** Id files spare work later and are made again when they are missing, so that a failure here stops nothing. */
  #doIdWork(run: () => Promise<void>): void {
    this.#idWork = this.#idWork.then(run).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'an id file could not be written')
    })
  }

  get #windowDays(): number {
    return this.#options.snapshots.current.settings.dedupe.windowDays
  }

  #openWriter(): PartitionWriter {
    assert(this.#writer !== undefined, 'the pipeline has been started')
    return this.#writer
  }

  #parts(): CatchUpParts {
    const { journal, log, clock, snapshots } = this.#options
    const workspaceOf = (source: number) => snapshots.current.sources.find(({ number }) => number === source)?.workspace
    return { journal, partition: this.#partition, state: this.#state, log, clock, workspaceOf }
  }
}
