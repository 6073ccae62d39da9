/** Sends the shop's messages through the public tracking API at a chosen rate. */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import { sleep, type Clock } from '../base/clock.ts'
import { AppError, codeOf } from '../base/errors.ts'
import { backoffMs } from '../base/backoff.ts'
import { createRandom } from '../base/seeded-random.ts'
import { createShop, type ShopCounts, type ShopMessage } from './shop.ts'

export interface DemoOptions {
  /** Base address of the tracking API, for example http://127.0.0.1:4000. */
  url: string
  writeKey: string
  /** Take whatever certificate the server shows: for the server of this machine, whose certificate is often its own. */
  trustsAnyCertificate?: boolean
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

/** Sends until `count` is reached or `isStopped`; a request that failed is sent again with the same ids until it is taken. Throws
 *  `demo_refused` for an answer or a certificate with which sending again is of no use. */
export async function runDemo(options: DemoOptions): Promise<DemoProgress> {
  const { clock } = options
  const shop = createShop(options.seed)
  const jitter = createRandom(options.seed + 1)
  const progress: DemoProgress = { acknowledged: 0, retries: 0, made: shop.made }
  const agent = options.url.startsWith('https:')
    ? new TlsAgent({ keepAlive: true, rejectUnauthorized: options.trustsAnyCertificate !== true })
    : new Agent({ keepAlive: true })
  let isRefused = false
  const startedAtMs = clock.now()
  let made = 0

  async function sendUntilTaken(messages: ShopMessage[]): Promise<void> {
    for (let attempt = 1; !isRefused && !options.isStopped?.(); attempt++) {
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
    while (made < options.count && !isRefused && !options.isStopped?.()) {
      const size = Math.min(options.batch, options.count - made)
      const dueMs = startedAtMs + (made / options.rate) * 1000
      made += size
      const waitMs = dueMs - clock.now()
      if (waitMs > 0) await sleepReferenced(waitMs)
      const atMs = clock.now()
      await sendUntilTaken(Array.from({ length: size }, () => shop.next(atMs)))
    }
  }

  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  } finally {
    isRefused = true
    agent.destroy()
  }
  return progress

  /** The clock's timers do not keep a process alive, and here nothing else does while the pace waits. */
  async function sleepReferenced(ms: number): Promise<void> {
    const keepAlive = setInterval(() => {}, 60_000)
    await sleep(clock, ms)
    clearInterval(keepAlive)
  }
}

/** True when the request was answered with 200; false when it may be sent again. Throws `demo_refused`. */
function post(options: DemoOptions, agent: Agent, messages: ShopMessage[]): Promise<boolean> {
  const [first] = messages
  const isSingle = options.batch === 1 && first !== undefined
  const path = isSingle ? `/v1/${first.type}` : '/v1/batch'
  const body = JSON.stringify(isSingle ? first : { batch: messages })
  const send = options.url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
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
      (response) => void readAnswer(response).then(resolve, reject),
    )
    request.on('timeout', () => request.destroy())
    request.on('error', (error) => (isAboutCertificate(error) ? reject(refused(error.message)) : resolve(false)))
    request.end(body)
  })
}

async function readAnswer(response: IncomingMessage): Promise<boolean> {
  const { statusCode = 0 } = response
  let text = ''
  try {
    for await (const chunk of response.setEncoding('utf8')) text += chunk
  } catch {
    return false
  }
  if (statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429)
    throw refused(`it answers ${statusCode}: ${text.slice(0, 300)}`)
  return statusCode === 200
}

function isAboutCertificate(error: Error): boolean {
  return /CERT|ERR_TLS|UNABLE_TO_/.test(codeOf(error) ?? '')
}

function refused(reason: string): AppError {
  return new AppError('demo_refused', 400, `The server does not take the messages: ${reason}`)
}
