/** The whole product with one webhook and a DuckDB warehouse, as the whole-path benchmarks use it. */
import { fork, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Status } from '../test/support/accounting.ts'
import { freePort, startPlatform, type Platform } from '../test/support/platform.ts'

export interface Product {
  platform: Platform
  sink: Sink
  status(): Promise<Status>
  dispose(): Promise<void>
}

export interface SinkReport {
  messages: number
  requests: number
  /** Since the last report. */
  latenciesMs: number[]
}

export interface Sink {
  report(): Promise<SinkReport>
}

export async function startProduct(options: {
  batchSize: number
  schedule?: string
  batchMaxWaitMs?: number
}): Promise<Product> {
  const port = await freePort()
  const sinkProcess = fork(fileURLToPath(new URL('./sink.ts', import.meta.url)), [String(port)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  await new Promise((resolve) => sinkProcess.stdout?.once('data', resolve))
  const url = `http://127.0.0.1:${port}/hook`
  const mapping =
    options.batchSize > 1
      ? `mappings: [{ action: send, trigger: 'type = "track"', fields: { url: "${url}", method: POST, data: { "@path": "$." }, enable_batching: true, batch_size: ${options.batchSize} } }]`
      : ''
  const platform = await startPlatform({
    config: `
workspace: { name: Bench, slug: bench }
sources:
  api: { name: API, type: http-api, writeKeys: [bench_key] }
destinations:
  hook:
    source: api
    type: webhook
    settings: { url: "${url}" }
    delivery: { batchMaxWaitMs: ${options.batchMaxWaitMs ?? 200} }
    ${mapping}
warehouses:
  local: { type: duckdb, sources: [api], settings: { path: warehouse.duckdb }, schedule: ${options.schedule ?? 'every 10s'} }
egress: { allow: [127.0.0.1/32] }
`,
    environment: { TRIBUTARY_LOG: 'error' },
  })
  return {
    platform,
    sink: { report: () => askSink(sinkProcess) },
    status: async () => (await platform.json('status')) as Status,
    async dispose() {
      await platform.dispose()
      sinkProcess.kill()
    },
  }
}

function askSink(sink: ChildProcess): Promise<SinkReport> {
  return new Promise((resolve) => {
    sink.once('message', (report) => resolve(report as SinkReport))
    sink.send('report')
  })
}

/** Proportional set size of the product's processes together, in MB. */
export function memoryMb(platform: Platform): { total: number; byRole: Record<string, number> } {
  const byRole: Record<string, number> = { parent: pssMb(platform.process.pid ?? 0) }
  for (const [role, pid] of platform.children()) byRole[role] = pssMb(pid)
  return { total: Object.values(byRole).reduce((sum, mb) => sum + mb, 0), byRole }
}

function pssMb(pid: number): number {
  const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
  return Math.round(Number(pss?.[1] ?? 0) / 102.4) / 10
}

/** Processor seconds that the product's processes have used so far. */
export function cpuSeconds(platform: Platform): { total: number; byRole: Record<string, number> } {
  const byRole: Record<string, number> = { parent: cpuOf(platform.process.pid ?? 0) }
  for (const [role, pid] of platform.children()) byRole[role] = cpuOf(pid)
  return { total: Object.values(byRole).reduce((sum, seconds) => sum + seconds, 0), byRole }
}

/** The scheduler's own nanoseconds, of all threads: the ticks of /proc/PID/stat charge whole 10 ms to whoever runs when one comes,
 *  which is far too coarse for an idle process. */
function cpuOf(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    } catch {
      // The thread ended between the two reads.
    }
  }
  return nanoseconds / 1e9
}
