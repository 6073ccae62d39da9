import type { DedupeIndex, MessageKey } from './dedupe.ts'
import { entryKinds } from './dedupe.ts'
import { asDuplicate, type Draft } from './drafts.ts'

/** Drafts that are decided: duplicates are marked as such. */
export interface Chunk {
  drafts: Draft[]
  /** The ids that its messages take. */
  taken: Map<MessageKey, Taken>
}

interface Taken {
  receivedAtMs: number
}

export interface DuplicateFilter {
  /** Decides which drafts are duplicates of earlier ones: in this chunk, in chunks that are not in the index yet, in the index. */
  decide(drafts: Draft[]): Promise<Chunk>
  /** The index has the ids of the chunk now. */
  release(chunk: Chunk): void
}

/** The first copy received takes the id, for exactly `windowMs` from its receipt. One `decide` at a time. `isUndone` says that a
 *  place in `events` cannot be read and its message is decided again. */
export function createDuplicateFilter(
  index: DedupeIndex,
  windowMs: () => number,
  isUndone: (offset: number) => boolean,
): DuplicateFilter {
  /** Ids taken by chunks that are being written. */
  const inFlight = new Map<MessageKey, Taken>()

  async function decide(drafts: Draft[]): Promise<Chunk> {
    const keys: MessageKey[] = []
    for (const { id } of drafts) if (id?.kind === entryKinds.accepted) keys.push(id.key)
    const taken = new Map<MessageKey, Taken>()
    if (keys.length === 0) return { drafts, taken }
    const window = windowMs()
    // Looked at before the index is asked, so that a key that moves from one to the other meanwhile is found here.
    const earlier: (Taken | undefined)[] = keys.map((key) => inFlight.get(key))
    const places = await index.check(keys)
    places.forEach((place, i) => {
      if (place !== undefined && !isUndone(place.offset)) earlier[i] ??= place
    })
    let i = 0
    const decided = drafts.map((draft) => {
      if (draft.id?.kind !== entryKinds.accepted) return draft
      const first = taken.get(draft.id.key) ?? earlier[i]
      i += 1
      if (first !== undefined && draft.timeMs - first.receivedAtMs < window) return asDuplicate(draft, draft.id)
      taken.set(draft.id.key, { receivedAtMs: draft.timeMs })
      return draft
    })
    for (const [key, mine] of taken) inFlight.set(key, mine)
    return { drafts: decided, taken }
  }

  return {
    decide,
    release({ taken }) {
      // A later chunk may have taken an id anew, after the window: that one stays.
      for (const [key, mine] of taken) if (inFlight.get(key) === mine) inFlight.delete(key)
    },
  }
}
