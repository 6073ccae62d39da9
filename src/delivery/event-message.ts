import type { Frame } from '../journal/index.ts'
import { parseExactly, type JsonObject } from '../protocol/index.ts'

/** A call frame of `events` on its way to the connections of its source, which share it: its text is decoded once and it is
 *  parsed at most once, only if one of them needs to look inside. */
export class EventMessage {
  readonly partition: number
  readonly offset: number
  readonly kind: number
  readonly flags: number
  readonly receivedAtMs: number
  readonly json: string
  #parsed: JsonObject | undefined

  // Takes the text out of the frame: the frame's body is a view that would keep a whole block of the journal in memory.
  constructor(partition: number, frame: Frame) {
    this.partition = partition
    this.offset = frame.offset
    this.kind = frame.kind
    this.flags = frame.flags
    this.receivedAtMs = frame.timeMs
    this.json = frame.body.toString()
  }

  /** The message; read only, as it is shared. */
  get parsed(): JsonObject {
    // The pipeline writes call frames and their bodies are JSON objects.
    return (this.#parsed ??= parseExactly(this.json) as JsonObject)
  }
}
