/** Accept → webhook sink receives, at 1,000 events a second, one event per request on both sides. */
import { generate } from './generator.ts'
import { startProduct } from './product.ts'
import { isShort, quantile, report } from './report.ts'

const seconds = isShort ? 3 : 30
const product = await startProduct({ batchSize: 1, schedule: 'every 10s' })
try {
  const load = { url: product.platform.url, writeKey: 'bench_key', eventsPerSecond: 1_000, batch: 1, withTime: true }
  await generate({ ...load, seconds: 3, run: 'warm' })
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  await product.sink.report()
  await generate({ ...load, seconds, run: 'run' })
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  const { latenciesMs } = await product.sink.report()
  const [p50, p99] = [quantile(latenciesMs, 0.5), quantile(latenciesMs, 0.99)]
  report('Latency', [
    {
      what: 'from sending to the sink, 1,000 events/s, p50',
      result: `${p50.toFixed(1)} ms`,
      budget: '< 15 ms',
      isMet: p50 < 15,
      note: `${latenciesMs.length} events`,
    },
    { what: 'p99', result: `${p99.toFixed(1)} ms`, budget: '< 100 ms', isMet: p99 < 100 },
  ])
} finally {
  await product.dispose()
}
