import { Registry } from '../../base/metrics.ts'

/** A registry with a way to read one of its figures. For tests. */
export function createRegistry(): { registry: Registry; read(name: string): Promise<number> } {
  const registry = new Registry()
  return {
    registry,
    async read(name) {
      const metric = await registry.getSingleMetric(name)?.get()
      return metric?.values[0]?.value ?? NaN
    },
  }
}
