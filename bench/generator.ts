/** Sends sample events at a fixed rate, whether or not the answers keep up (an open loop), and measures each answer. */
import { Pool } from 'undici'
import { sampleEvent } from './sample-event.ts'

export interface Load {
  url: string
  writeKey: string
  eventsPerSecond: number
  /** Events per request; 1 goes to `/v1/track`. */
  batch: number
  seconds: number
  /** Prefix of the message ids of this run. */
  run: string
  /** Stamp messages with the monotonic time of their sending. */
  withTime?: boolean
}

export interface LoadResult {
  sent: number
  failed: number
  latenciesMs: number[]
  seconds: number
}

/** More requests than this under way mean that the server does not keep up; then the generator waits and the rate falls. */
const IN_FLIGHT_MAX = 512

export async function generate(load: Load): Promise<LoadResult> {
  const pool = new Pool(load.url, { connections: 64, pipelining: 1 })
  const headers = {
    'content-type': 'application/json',
    authorization: `Basic ${Buffer.from(`${load.writeKey}:`).toString('base64')}`,
  }
  const path = load.batch === 1 ? '/v1/track' : '/v1/batch'
  const result: LoadResult = { sent: 0, failed: 0, latenciesMs: [], seconds: 0 }
  // The properties are the same for all; only the id differs, spliced into prepared text: the generator must stay cheap.
  const template = JSON.stringify(sampleEvent(0))
  const event = (id: number) => {
    const text = template.replace('"bench-0"', `"${load.run}-${id}"`).replace('"user-0"', `"user-${id % 10_000}"`)
    return load.withTime === true ? text.replace('"revenue"', `"sentNs":${process.hrtime.bigint()},"revenue"`) : text
  }
  let inFlight = 0
  let next = 0
  const startedAt = performance.now()
  const total = load.eventsPerSecond * load.seconds

  async function send(): Promise<void> {
    const events = Array.from({ length: load.batch }, () => event(next++))
    const body = load.batch === 1 ? events[0]! : `{"batch":[${events.join(',')}]}`
    inFlight += 1
    const sentAt = performance.now()
    try {
      const { statusCode, body: answer } = await pool.request({ method: 'POST', path, headers, body })
      await answer.dump()
      if (statusCode === 200) result.sent += load.batch
      else result.failed += load.batch
    } catch {
      result.failed += load.batch
    }
    result.latenciesMs.push(performance.now() - sentAt)
    inFlight -= 1
  }

  while (next < total) {
    const due = Math.min(total, ((performance.now() - startedAt) / 1000) * load.eventsPerSecond)
    while (next < due && inFlight < IN_FLIGHT_MAX) void send()
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (performance.now() - startedAt > load.seconds * 2_000) break
  }
  while (inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  result.seconds = (performance.now() - startedAt) / 1000
  await pool.close()
  return result
}
