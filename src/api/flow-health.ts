import type { Clock } from '../base/clock.ts'
import type { Roles } from './roles.ts'
import { sum } from './status.ts'

export interface FlowHealth {
  /** `flowing`: something went end to end within the last minute. `idle`: nothing is owed. `stuck`: something waits and nothing moves. */
  status: 'flowing' | 'idle' | 'stuck'
  /** When something was last seen to have been decided, delivered or loaded. */
  since: string
  waiting: number
}

const PATIENCE_MS = 60_000

/** Watches, from call to call, whether what waits gets less. */
export function createFlowHealth(roles: Roles, clock: Clock): { read(): Promise<FlowHealth> } {
  let done = -1
  let movedAtMs = clock.now()
  return {
    async read() {
      const [pipeline, delivery, loader, totals] = await Promise.all([
        roles.pipelineStatus(),
        roles.deliveryStatus(),
        roles.loaderStatus(),
        roles.receivedTotals(),
      ])
      const decided = Object.values(pipeline.sources).map(
        (counts) => counts.processed + counts.duplicate + sum(counts.rejected) + sum(counts.dropped),
      )
      const ended = [...delivery, ...loader.connections].map(
        (counts) => counts.delivered + sum(counts.discarded) + sum(counts.dropped),
      )
      const total = [...decided, ...ended].reduce((a, b) => a + b, 0)
      const undecided = Math.max(0, sum(totals) - decided.reduce((a, b) => a + b, 0))
      // What waits for a schedule or for a vendor that is down is their lag, reported by connection; this is about the product.
      if (total !== done) movedAtMs = clock.now()
      done = total
      const isRecent = clock.now() - movedAtMs < PATIENCE_MS
      const status = undecided > 0 && !isRecent ? 'stuck' : isRecent ? 'flowing' : 'idle'
      return { status, since: new Date(movedAtMs).toISOString(), waiting: undecided }
    },
  }
}
