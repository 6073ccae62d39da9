/** Settings of a source, as every page view of a site asks for them, against bare node:http answering the same bytes. */
import { alternate, isShort, perSecond, report } from './report.ts'
import { freePort } from '../test/support/platform.ts'
import { startScript, stopChild } from './servers.ts'
import { wrkGet } from './wrk.ts'

const rounds = isShort ? 1 : 7
const seconds = isShort ? 1 : 5
const budget = 0.7
const path = '/v1/projects/bench_key/settings'
const headers = { Origin: 'http://shop.example.org' }

async function measure(script: string, environment: NodeJS.ProcessEnv = {}): Promise<number> {
  const port = await freePort()
  const server = await startScript(script, [String(port)], environment)
  try {
    await wrkGet(`http://127.0.0.1:${port}${path}`, headers, 1)
    return await wrkGet(`http://127.0.0.1:${port}${path}`, headers, seconds)
  } finally {
    await stopChild(server)
  }
}

/** What the gateway answers, headers too, so that the bare server sends the same. */
async function ourAnswer(): Promise<string> {
  const port = await freePort()
  const server = await startScript('./gateway-alone.ts', [String(port)])
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
    if (response.status !== 200) throw new Error(`The gateway answered with ${response.status}`)
    const own = [...response.headers].filter(([name]) => !['connection', 'date', 'keep-alive'].includes(name))
    return JSON.stringify({ body: await response.text(), headers: own.flat() })
  } finally {
    await stopChild(server)
  }
}

const answer = await ourAnswer()
const result = await alternate(
  rounds,
  () => measure('./limits/bare-settings.ts', { BENCH_ANSWER: answer }),
  () => measure('./gateway-alone.ts'),
)
report('Settings', [
  {
    what: 'settings of a source',
    result: `ratio ${result.ratio.toFixed(2)} (${result.ratioMin.toFixed(2)}–${result.ratioMax.toFixed(2)})`,
    budget: `≥ ${budget}`,
    isMet: result.ratio >= budget,
    note: `ours ${perSecond(Math.max(...result.ours))}, bare node:http ${perSecond(Math.max(...result.limit))}`,
  },
])
