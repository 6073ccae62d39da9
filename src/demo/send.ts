/** Sends the shop's messages through the public tracking API at a chosen rate. */
import { Agent, request as httpRequest } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import { sleep, type Clock } from '../base/clock.ts'
import { backoffMs } from '../base/backoff.ts'
import { createRandom } from '../base/seeded-random.ts'
import { createShop, type ShopCounts, type ShopMessage } from './shop.ts'

export interface DemoOptions {
  /** Base address of the tracking API, for example http://127.0.0.1:4000. */
  url: string
  writeKey: string
  seed: number
  /** Messages per second. */
  rate: number
  /** Stop after so many messages. */
  count: number
  /** Messages per request; 1 sends each by itself to the path of its call. */
  batch: number
  clock: Clock
  /** Called after each answered request. */
  onProgress?: (progress: DemoProgress) => void
  /** Called with the ids of each acknowledged request, for oracles outside our own accounting. */
  onAcknowledged?: (messageIds: string[]) => void
  isStopped?: () => boolean
}

export interface DemoProgress {
  acknowledged: number
  retries: number
  made: ShopCounts
}

/** Requests under way at once: enough to keep a rate over a slow disk, few enough that the pace is the limit. */
const CONCURRENCY = 16
const RETRY_FIRST_MS = 200
const RETRY_MAX_MS = 5_000

/** Sends until `count` is reached or `isStopped`; a request that failed is sent again with the same ids until it is taken. */
export async function runDemo(options: DemoOptions): Promise<DemoProgress> {
  const { clock } = options
  const shop = createShop(options.seed)
  const jitter = createRandom(options.seed + 1)
  const progress: DemoProgress = { acknowledged: 0, retries: 0, made: shop.made }
  const agent = options.url.startsWith('https:') ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true })
  const startedAtMs = clock.now()
  let made = 0

  async function sendUntilTaken(messages: ShopMessage[]): Promise<void> {
    for (let attempt = 1; !options.isStopped?.(); attempt++) {
      if (await post(options, agent, messages)) {
        progress.acknowledged += messages.length
        options.onAcknowledged?.(messages.map((message) => message.messageId))
        options.onProgress?.(progress)
        return
      }
      progress.retries += 1
      await sleepReferenced(backoffMs({ attempt, firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, random: jitter.next }))
    }
  }

  async function worker(): Promise<void> {
    while (made < options.count && !options.isStopped?.()) {
      const size = Math.min(options.batch, options.count - made)
      const dueMs = startedAtMs + (made / options.rate) * 1000
      made += size
      const waitMs = dueMs - clock.now()
      if (waitMs > 0) await sleepReferenced(waitMs)
      const atMs = clock.now()
      await sendUntilTaken(Array.from({ length: size }, () => shop.next(atMs)))
    }
  }

  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  agent.destroy()
  return progress

  /** The clock's timers do not keep a process alive, and here nothing else does while the pace waits. */
  async function sleepReferenced(ms: number): Promise<void> {
    const keepAlive = setInterval(() => {}, 60_000)
    await sleep(clock, ms)
    clearInterval(keepAlive)
  }
}

/** True when the request was answered with 200. */
function post(options: DemoOptions, agent: Agent, messages: ShopMessage[]): Promise<boolean> {
  const [first] = messages
  const isSingle = options.batch === 1 && first !== undefined
  const path = isSingle ? `/v1/${first.type}` : '/v1/batch'
  const body = JSON.stringify(isSingle ? first : { batch: messages })
  const send = options.url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    const request = send(
      new URL(path, options.url),
      {
        method: 'POST',
        agent,
        timeout: 10_000,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          authorization: `Basic ${Buffer.from(`${options.writeKey}:`).toString('base64')}`,
        },
      },
      (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode === 200))
        response.on('error', () => resolve(false))
      },
    )
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
    request.end(body)
  })
}
