/** Cost per event with many sources and many event names against one of each: in the pipeline, with schemas that block as many names
 *  as are sent, and in the gateway. Costs are processor time, so that the wait for the disk does not cover them. */
import { readFileSync } from 'node:fs'
import { freePort } from '../test/support/platform.ts'
import type { Pipeline } from '../src/pipeline/index.ts'
import { createBed, sourceWith, type Bed } from '../src/pipeline/testing/pipeline-bed.ts'
import { isShort, median, report, type Row } from './report.ts'
import { sampleEvent } from './sample-event.ts'
import { startScript, stopChild } from './servers.ts'
import { wrkInTurn } from './wrk.ts'

const rounds = isShort ? 1 : 7
const events = isShort ? 2_000 : 40_000
const seconds = isShort ? 1 : 4
const messagesPerRequest = 20
const costMax = 1.1

interface Case {
  what: string
  sources: number
  /** Of each source. */
  names: number
  hasControls: boolean
}
const one: Case = { what: '1 source, 1 name, no controls', sources: 1, names: 1, hasControls: false }
const many: Case[] = [
  { what: '1,000 sources, 5 names each', sources: 1_000, names: 5, hasControls: true },
  { what: '1 source, 5,000 names', sources: 1, names: 5_000, hasControls: true },
]

report('Sources', [...(await pipelineRows()), ...(await gatewayRows())])

// ---- Pipeline ------------------------------------------------------------------------------------------------------------

interface Running extends Case {
  bed: Bed
  pipeline: Pipeline
  next: number
  /** Microseconds an event, once a round. */
  costs: number[]
}

/** All cases run side by side, a round each in turn, so that a machine that drifts hits every one of them. */
async function pipelineRows(): Promise<Row[]> {
  const running = await Promise.all([one, ...many].map(start))
  // The first round warms up.
  for (let round = 0; round <= rounds; round += 1) {
    for (const each of running) {
      const cost = await runOnce(each)
      if (round > 0) each.costs.push(cost)
    }
  }
  for (const { bed, pipeline } of running) await pipeline.stop().then(() => bed.end())
  const [small, ...large] = running
  return large.map(({ what, costs }) => rowOf(`pipeline: ${what}`, costs, small!.costs, 'µs an event'))
}

async function start(one: Case): Promise<Running> {
  const bed = await createBed()
  const blocked = Array.from({ length: one.names }, (_, i) => `Never Sent ${i}`)
  const schema = one.hasControls ? { blockedEvents: blocked, blockedTraits: blocked } : undefined
  bed.configure(Array.from({ length: one.sources }, (_, i) => sourceWith(i + 1, schema)))
  return { ...one, bed, pipeline: await bed.start(), next: 0, costs: [] }
}

async function runOnce(running: Running): Promise<number> {
  const { bed, sources, names, pipeline } = running
  const before = process.cpuUsage()
  for (let sent = 0; sent < events; sent += messagesPerRequest) {
    const messages = Array.from({ length: messagesPerRequest }, () => {
      const i = (running.next += 1)
      return { ...sampleEvent(i), event: `Event ${i % names}` }
    })
    const source = 1 + ((sent / messagesPerRequest) % sources)
    const done = bed.send({ source, messages, receivedAtMs: bed.clock.nowMs })
    // Some requests at once, as from many clients; waiting for each would measure the disk.
    if (sent % 2_000 === 0) await done
  }
  await bed.settled(pipeline)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / events
}

// ---- Gateway -------------------------------------------------------------------------------------------------------------

async function gatewayRows(): Promise<Row[]> {
  const small: number[] = []
  const large: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    small.push(await gatewayCost(1, 1))
    large.push(await gatewayCost(1_000, 5))
  }
  return [rowOf('gateway, one event a request: 1,000 sources, 5 names each', large, small, 'µs a request')]
}

/** Microseconds of the gateway's processor time per request; the clients send for the sources in turn. */
async function gatewayCost(sources: number, names: number): Promise<number> {
  const port = await freePort()
  const server = await startScript('./gateway-alone.ts', [String(port), String(sources)])
  // As many different requests in each case, so that the client does the same work.
  const requests = Array.from({ length: 1_000 }, (_, i) => ({
    headers: { 'Content-Type': 'application/json', Authorization: authorization(i % sources) },
    body: JSON.stringify({ ...sampleEvent(i), event: `Event ${i % names}` }),
  }))
  try {
    await wrkInTurn(`http://127.0.0.1:${port}/v1/track`, requests, 1)
    const before = processorTime(server.pid!)
    const perSecond = await wrkInTurn(`http://127.0.0.1:${port}/v1/track`, requests, seconds)
    return (processorTime(server.pid!) - before) / (perSecond * seconds)
  } finally {
    await stopChild(server)
  }
}

/** Microseconds that a process has used, in steps of 10,000. */
function processorTime(pid: number): number {
  // After the name of the program, which may hold spaces: user and system time are the 12th and 13th field.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

function authorization(source: number): string {
  const key = source === 0 ? 'bench_key' : `bench_key_${source}`
  return `Basic ${Buffer.from(`${key}:`).toString('base64')}`
}

// ---- Result --------------------------------------------------------------------------------------------------------------

function rowOf(what: string, costs: number[], baseline: number[], unit: string): Row {
  // Both lists have a figure for each round.
  const ratio = median(costs.map((cost, i) => cost / baseline[i]!))
  return {
    what: `cost against one source with one name: ${what}`,
    result: ratio.toFixed(2),
    budget: `≤ ${costMax}`,
    isMet: ratio <= costMax,
    note: `${median(costs).toFixed(1)} and ${median(baseline).toFixed(1)} ${unit}`,
  }
}
