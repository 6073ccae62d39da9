/** What the loader tells Prometheus. */
import { Counter, Gauge, type Registry } from '../base/metrics.ts'
import type { SyncRecord } from './sync-record.ts'

export interface LoaderMetrics {
  finished(warehouse: string, record: SyncRecord): void
}

/** `lags` says how many offsets of `events` each warehouse is behind, when it is asked. */
export function createLoaderMetrics(registry: Registry, lags: () => Promise<Map<string, number>>): LoaderMetrics {
  const labelNames = ['warehouse']
  const registers = [registry]
  const rows = new Counter({
    name: 'tributary_loader_rows_total',
    help: 'Rows added or changed.',
    labelNames,
    registers,
  })
  const syncs = new Counter({
    name: 'tributary_loader_syncs_total',
    help: 'Syncs by status.',
    labelNames: ['warehouse', 'status'],
    registers,
  })
  const seconds = new Gauge({
    name: 'tributary_loader_sync_seconds',
    help: 'Duration of the newest sync.',
    labelNames,
    registers,
  })
  const isFailing = new Gauge({
    name: 'tributary_loader_failing',
    help: '1 while the newest sync of the warehouse failed.',
    labelNames,
    registers,
  })
  const lag = new Gauge({
    name: 'tributary_loader_lag_offsets',
    help: 'Offsets of events, of any source, that the warehouse has not passed.',
    labelNames,
    registers,
    async collect() {
      for (const [warehouse, offsets] of await lags()) lag.set({ warehouse }, offsets)
    },
  })
  return {
    finished(warehouse, record) {
      const added = Object.values(record.rows).reduce((sum, count) => sum + count, 0)
      rows.inc({ warehouse }, added)
      syncs.inc({ warehouse, status: record.status })
      seconds.set({ warehouse }, record.durationMs / 1000)
      isFailing.set({ warehouse }, record.error === undefined ? 0 : 1)
    },
  }
}
