/**
 * Which messageIds have been taken, and where each stands in `events`. The index is derived: every entry can be read again
 * from `events` (or from the id files), so it may lose its newest entries in a crash. It always says truthfully up to which
 * offset it is complete, and whoever opens it adds what is missing before the first question.
 */
import { hash } from 'node:crypto'

/** 128-bit hash of workspace and messageId: 22 characters. */
export type MessageKey = string

/** Characters of a `MessageKey`, which makes the keys of one message a prefix range. */
export const messageKeyLength = 22

/** MD5 serves as a fast mixing function here, not as a protection: whoever can construct two ids with one hash only loses
 *  the second of his own messages. */
export function messageKey(workspace: number, messageId: string): MessageKey {
  return hash('md5', `${workspace}\0${messageId}`, 'base64url')
}

/** What became of a message that carries the id; a blocked one counts as accepted here, and its frame tells the two apart.
 *  Numbers are on disk: never reuse or renumber one. */
export const entryKinds = { accepted: 1, rejected: 2, duplicate: 3 } as const
export type EntryKind = (typeof entryKinds)[keyof typeof entryKinds]

/** One frame of `events` that concerns a messageId. Only an accepted message takes the id. */
export interface IndexEntry {
  kind: EntryKind
  key: MessageKey
  /** Its place in `events`. */
  offset: number
  receivedAtMs: number
}

/** The message that has taken an id. */
export interface Place {
  offset: number
  receivedAtMs: number
}

export interface IndexedFrame {
  kind: EntryKind
  offset: number
}

export interface DedupeIndex {
  /** For each key the newest message that took it, whether durable in the index or not; undefined when it is free. */
  check(keys: readonly MessageKey[]): Promise<(Place | undefined)[]>
  /** Adds entries, which are in the order of their offsets, and from now on covers every frame before offset `covered`.
   *  Visible to `check` at once; waits only when too much is unwritten. */
  put(entries: readonly IndexEntry[], covered: number): Promise<void>
  /** Every frame of `events` before this offset is in the index; undefined when the index is new or was not usable. */
  readonly covered: number | undefined
  /** All frames that concern an id, in the order of their offsets. */
  find(key: MessageKey): Promise<IndexedFrame[]>
  /** Resolves when all that was put would survive a power cut. */
  flush(): Promise<void>
  /** Flushes, then closes. */
  close(): Promise<void>
}
