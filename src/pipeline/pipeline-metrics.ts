import { Counter, Gauge, type Registry } from '../base/metrics.ts'
import { eventKinds, isCall } from '../journal/index.ts'

export interface PipelineMetrics {
  /** Drafts that are durable in `events` now, of one chunk. */
  decided(drafts: readonly { kind: number; timeMs: number }[]): void
}

/** What this process did, for the metrics page. The exact accounting is `Pipeline.status`. */
export function createPipelineMetrics(registry: Registry, now: () => number): PipelineMetrics {
  const messages = new Counter({
    name: 'tributary_pipeline_messages_total',
    help: 'Messages decided, by result.',
    labelNames: ['result'],
    registers: [registry],
  })
  const lag = new Gauge({
    name: 'tributary_pipeline_lag_seconds',
    help: 'Time from receipt to the durable decision, of the newest message decided.',
    registers: [registry],
  })
  return {
    decided(drafts) {
      const results = new Map<string, number>()
      for (const { kind } of drafts) results.set(resultOf(kind), (results.get(resultOf(kind)) ?? 0) + 1)
      for (const [result, count] of results) messages.inc({ result }, count)
      const newest = drafts.at(-1)
      if (newest !== undefined) lag.set(Math.max(0, now() - newest.timeMs) / 1000)
    },
  }
}

function resultOf(kind: number): string {
  if (isCall(kind)) return 'processed'
  if (kind === eventKinds.duplicate) return 'duplicate'
  return kind === eventKinds.rejected ? 'rejected' : 'dropped'
}
