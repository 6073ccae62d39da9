import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

/** The registry of one process. Every metric carries the label `process`, so that the pages of all processes can be joined. */
export function createMetrics(role: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ process: role })
  collectDefaultMetrics({ register: registry, prefix: 'tributary_' })
  return registry
}
