/**
 * What the pipeline knows when it resumes: how far each partition of `received` is decided, what each source's messages came
 * to since the beginning, and the running totals by which a loss in `received` is noticed. All of it is a fold over the frames
 * of `events`, so the checkpoint at the head of a segment and the frames behind it give it back exactly.
 */
import { assert } from '../base/assert.ts'
import { eventKinds, isCall, type Decision, type Frame } from '../journal/index.ts'

/** The next message to decide: frame of `received`, and the index in it. Everything before it has its frame in `events`. */
export interface Position {
  offset: number
  index: number
}

export interface SourceCounts {
  processed: number
  duplicate: number
  rejected: Record<string, number>
  dropped: Record<string, number>
}

/** JSON; the `checkpoint` of the writer of `events`. */
export interface PipelineCheckpoint {
  sources: Record<string, SourceCounts & { workspace?: number }>
  inputs: Record<string, Position & { totals: Record<string, number | null> }>
}

/** One frame of `events`, as far as counting goes. */
export interface Decided {
  kind: number
  source: number
  inputPartition: number
  inputOffset: number
  index: number
  /** Of a rejected or dropped message. */
  code?: string
  /** Messages of the source in its partition of `received` up to this one, where the partition itself has said so. */
  inputTotal?: number
}

export const lostCode = 'JOURNAL_CORRUPT'

interface Input extends Position {
  /** Messages of each source that lie before the position. Undefined: not known, to be learnt from the next frame. */
  totals: Map<number, number | undefined>
}

export class PipelineState {
  readonly #sources = new Map<number, SourceCounts>()
  /** Sum of the counts of a source. */
  readonly #decided = new Map<number, number>()
  readonly #workspaces = new Map<number, number>()
  readonly #inputs = new Map<number, Input>()
  #hasGap = false

  static fromCheckpoint(checkpoint: unknown): PipelineState {
    const state = new PipelineState()
    if (checkpoint === undefined) return state
    // Written by `toCheckpoint`, under the CRC of the segment's head.
    const { sources, inputs } = checkpoint as PipelineCheckpoint
    for (const [source, { workspace, ...counts }] of Object.entries(sources)) {
      state.#sources.set(Number(source), copyOf(counts))
      state.#decided.set(Number(source), decidedOf(counts))
      if (workspace !== undefined) state.#workspaces.set(Number(source), workspace)
    }
    for (const [partition, { offset, index, totals }] of Object.entries(inputs)) {
      const entries = Object.entries(totals).map(([source, total]) => [Number(source), total ?? undefined] as const)
      state.#inputs.set(Number(partition), { offset, index, totals: new Map(entries) })
    }
    return state
  }

  toCheckpoint(): PipelineCheckpoint {
    const sources: PipelineCheckpoint['sources'] = {}
    for (const [source, counts] of this.#sources) {
      const workspace = this.#workspaces.get(source)
      sources[source] = { ...copyOf(counts), ...(workspace === undefined ? {} : { workspace }) }
    }
    const inputs: PipelineCheckpoint['inputs'] = {}
    for (const [partition, { offset, index, totals }] of this.#inputs) {
      const entries = [...totals].map(([source, total]) => [source, total ?? null] as const)
      inputs[partition] = { offset, index, totals: Object.fromEntries(entries) }
    }
    return { sources, inputs }
  }

  /** Where the partition of `received` goes on. */
  position(partition: number): Position {
    const { offset, index } = this.#input(partition)
    return { offset, index }
  }

  positions(): Record<number, Position> {
    return Object.fromEntries([...this.#inputs.keys()].map((partition) => [partition, this.position(partition)]))
  }

  /** Messages of the source in this partition of `received` that are decided; undefined when damage in `events` has hidden it. */
  total(partition: number, source: number): number | undefined {
    const { totals } = this.#input(partition)
    return totals.has(source) ? totals.get(source) : 0
  }

  /** Moves on in a partition of `received`; `total` is that of the source up to the new position. For a plan of what will be folded. */
  advance(partition: number, position: Position, source: number, total: number): void {
    const input = this.#input(partition)
    input.offset = position.offset
    input.index = position.index
    input.totals.set(source, total)
  }

  /** A copy that goes its own way. */
  copy(): PipelineState {
    const copy = PipelineState.fromCheckpoint(this.toCheckpoint())
    copy.#hasGap = this.#hasGap
    return copy
  }

  workspace(source: number): number | undefined {
    return this.#workspaces.get(source)
  }

  setWorkspace(source: number, workspace: number): void {
    this.#workspaces.set(source, workspace)
  }

  /** Counts of every source that has had a message, by its number. */
  counts(): Record<number, SourceCounts> {
    return Object.fromEntries([...this.#sources].map(([source, counts]) => [source, copyOf(counts)]))
  }

  /** Messages of the source decided so far, in any way. The `sourceTotal` of its newest frame in `events`. */
  decided(source: number): number {
    return this.#decided.get(source) ?? 0
  }

  /** Takes one frame of `events` into account. */
  fold(decided: Decided): void {
    const { kind, source, inputPartition, inputOffset, index } = decided
    const input = this.#input(inputPartition)
    const isNext = inputOffset === input.offset ? index >= input.index : inputOffset > input.offset
    assert(isNext, 'a message of `received` gives one frame in `events`, in order')
    const isWhole = index === (inputOffset === input.offset ? input.index : 0)
    assert(isWhole || this.#hasGap, 'every message of a request gives a frame in `events`')
    input.offset = inputOffset
    input.index = index + 1
    const before = this.total(inputPartition, source)
    input.totals.set(source, decided.inputTotal ?? (before === undefined ? undefined : before + 1))
    this.#decided.set(source, this.decided(source) + 1)
    const counts = this.#countsOf(source)
    if (isCall(kind)) counts.processed += 1
    else if (kind === eventKinds.duplicate) counts.duplicate += 1
    else {
      const byCode = kind === eventKinds.rejected ? counts.rejected : counts.dropped
      const code = decided.code ?? lostCode
      byCode[code] = (byCode[code] ?? 0) + 1
    }
  }

  /** Takes a frame as read back. Frames before it that cannot be read show in the running total of its source and count as
   *  dropped: what they were is not known any more. */
  foldFrame(frame: Frame): void {
    const lost = frame.sourceTotal - 1 - this.decided(frame.source)
    if (lost > 0) this.#foldLost(frame, lost)
    const code = codeOf(frame)
    this.fold(code === undefined ? frame : { ...frame, code })
  }

  /** Some frames of `events` are gone. With one input they can only have been of that one; with several, which one each source's
   *  lost messages were in is not known, so its running totals have to be learnt again. */
  foldGap(): void {
    this.#hasGap = true
    if (this.#inputs.size < 2) return
    for (const { totals } of this.#inputs.values()) for (const source of totals.keys()) totals.set(source, undefined)
  }

  #foldLost({ source, inputPartition }: Frame, lost: number): void {
    const { dropped } = this.#countsOf(source)
    dropped[lostCode] = (dropped[lostCode] ?? 0) + lost
    this.#decided.set(source, this.decided(source) + lost)
    const before = this.total(inputPartition, source)
    this.#input(inputPartition).totals.set(source, before === undefined ? undefined : before + lost)
  }

  #countsOf(source: number): SourceCounts {
    let counts = this.#sources.get(source)
    if (counts === undefined) {
      counts = { processed: 0, duplicate: 0, rejected: {}, dropped: {} }
      this.#sources.set(source, counts)
    }
    return counts
  }

  #input(partition: number): Input {
    let input = this.#inputs.get(partition)
    if (input === undefined) {
      input = { offset: 0, index: 0, totals: new Map() }
      this.#inputs.set(partition, input)
    }
    return input
  }
}

/** By hand, because an installation may have thousands of sources, and `structuredClone` takes microseconds for each. */
function copyOf({ processed, duplicate, rejected, dropped }: SourceCounts): SourceCounts {
  return { processed, duplicate, rejected: { ...rejected }, dropped: { ...dropped } }
}

/** Messages decided, in any way. */
export function decidedOf({ processed, duplicate, rejected, dropped }: SourceCounts): number {
  return processed + duplicate + sum(rejected) + sum(dropped)
}

function sum(byCode: Record<string, number>): number {
  let total = 0
  for (const code in byCode) total += byCode[code]!
  return total
}

function codeOf(frame: Frame): string | undefined {
  if (isCall(frame.kind) || frame.kind === eventKinds.duplicate || frame.isDamaged) return undefined
  // Written by this room, under the CRC of the frame's body.
  return (JSON.parse(frame.body.toString()) as Decision).code
}
