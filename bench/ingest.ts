/** Ingest against bare node:http: one event per request and 20 per request, durable answers, only the gateway running. */
import { alternate, isShort, perSecond, report, type Row } from './report.ts'
import { sampleEvent } from './sample-event.ts'
import { freePort } from '../test/support/platform.ts'
import { startScript, stopChild } from './servers.ts'
import { wrk } from './wrk.ts'

const rounds = isShort ? 1 : 7
const seconds = isShort ? 1 : 4
const headers = {
  'Content-Type': 'application/json',
  Authorization: `Basic ${Buffer.from('bench_key:').toString('base64')}`,
}

async function measure(script: string, path: string, body: string): Promise<number> {
  const port = await freePort()
  const server = await startScript(script, [String(port)])
  try {
    await wrk(`http://127.0.0.1:${port}${path}`, body, headers, 1)
    return await wrk(`http://127.0.0.1:${port}${path}`, body, headers, seconds)
  } finally {
    await stopChild(server)
  }
}

const cases = [
  { what: 'one event per request', path: '/v1/track', body: JSON.stringify(sampleEvent(1)), events: 1, budget: 0.6 },
  {
    what: '20 events per request',
    path: '/v1/batch',
    body: JSON.stringify({ batch: Array.from({ length: 20 }, (_, i) => sampleEvent(i)) }),
    events: 20,
    budget: 0.6,
  },
]
const rows: Row[] = []
for (const { what, path, body, events, budget } of cases) {
  const result = await alternate(
    rounds,
    () => measure('./limits/bare-http.ts', path, body),
    () => measure('./gateway-alone.ts', path, body),
  )
  rows.push({
    what,
    result: `ratio ${result.ratio.toFixed(2)} (${result.ratioMin.toFixed(2)}–${result.ratioMax.toFixed(2)})`,
    budget: `≥ ${budget}`,
    isMet: result.ratio >= budget,
    note: `ours ${perSecond(Math.max(...result.ours) * events)} events, bare node:http ${perSecond(Math.max(...result.limit) * events)}`,
  })
}
report('Ingest', rows)
