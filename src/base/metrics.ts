import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

/** The registry of one process. Every metric carries the label `process`, so that the pages of all processes can be joined. */
export function createMetrics(role: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ process: role })
  // The default precision of 10 ms wakes an idle process a hundred times a second, which is most of what it would do.
  collectDefaultMetrics({ register: registry, prefix: 'tributary_', eventLoopMonitoringPrecision: 1_000 })
  return registry
}
