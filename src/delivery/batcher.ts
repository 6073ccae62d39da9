/** Collects payloads that may share a request, until the batch is full or has waited long enough. */
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { JsonObject } from '../protocol/index.ts'
import type { PendingLeg } from './owed.ts'

export const BATCH_BYTES_MAX = 4 * 1024 * 1024

export interface Batcher {
  /** Legs that wait in unfinished batches. */
  readonly size: number
  add(leg: PendingLeg, settings: JsonObject, waitMs: number): void
  /** Hands over all unfinished batches. */
  flush(): void
  /** Takes back what waits. */
  drain(): PendingLeg[]
}

interface OpenBatch {
  legs: PendingLeg[]
  bytes: number
  timer: TimerHandle | undefined
}

/** `ready` gets each finished batch. */
export function createBatcher(clock: Clock, ready: (legs: PendingLeg[]) => void): Batcher {
  const open = new Map<string, OpenBatch>()
  let size = 0

  function finish(key: string, batch: OpenBatch): void {
    if (batch.timer) clock.clear(batch.timer)
    open.delete(key)
    size -= batch.legs.length
    ready(batch.legs)
  }

  return {
    get size() {
      return size
    },
    add(leg, settings, waitMs) {
      const sizeMax = batchSizeMax(leg)
      if (sizeMax <= 1) return ready([leg])
      const key = keyOf(leg, settings)
      const bytes = leg.owed.json.length
      const before = open.get(key)
      if (before !== undefined && before.bytes + bytes > BATCH_BYTES_MAX) finish(key, before)
      let batch = open.get(key)
      if (batch === undefined) {
        const opened: OpenBatch = { legs: [], bytes: 0, timer: undefined }
        opened.timer = clock.after(waitMs, () => finish(key, opened))
        open.set(key, (batch = opened))
      }
      batch.legs.push(leg)
      batch.bytes += bytes
      size++
      if (batch.legs.length >= sizeMax) finish(key, batch)
    },
    flush() {
      for (const [key, batch] of open) finish(key, batch)
    },
    drain() {
      const legs = [...open.values()].flatMap((batch) => batch.legs)
      for (const { timer } of open.values()) if (timer) clock.clear(timer)
      open.clear()
      size = 0
      return legs
    },
  }
}

/** Messages of one request: 1 when the action does not batch. */
export function batchSizeMax({ mapping, payload }: PendingLeg): number {
  if (mapping.action?.performBatch === undefined) return 1
  return mapping.action.batchSizeMax?.(payload) ?? 1000
}

function keyOf({ mapping, payload, isWaiting }: PendingLeg, settings: JsonObject): string {
  // First attempts and repeats do not mix, so that a bad message among the repeats does not hold up new ones.
  return `${mapping.id} ${isWaiting} ${mapping.action?.batchKey?.(payload, settings) ?? ''}`
}
