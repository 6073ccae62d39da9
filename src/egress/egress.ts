/**
 * The only way out. Every outgoing HTTP request of the product goes through `send`, which decides whether the address may
 * be reached, bounds time and size, and keeps connections alive.
 */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { ResponseError, type SendOptions, type SendResponse } from '../kit/index.ts'
import { createAddressPolicy, type AddressPolicy } from './address-policy.ts'
import { createDeadlines } from './deadlines.ts'
import { EgressDenied, SendFailed, toSendError } from './errors.ts'
import { Exchange, isSuccess, type Answer } from './exchange.ts'
import { createSystemResolver, denied, type ResolveHost } from './lookup.ts'
import { createPools, defaultPoolLimits, type PoolLimits, type Pools } from './pools.ts'
import { redirectTarget, REDIRECTS_MAX } from './redirect.ts'
import { credentialsIn, requestHeaders, withoutCredentials } from './request-headers.ts'

export interface EgressSettings {
  /** Address ranges that may be reached although they are private. */
  allow: readonly string[]
  /** Staging: the origin to which every request goes instead. */
  sink?: string
}

export interface EgressParts {
  /** Read at each request; a change takes effect with the next one, on fresh connections. */
  policy: () => EgressSettings
  clock: Clock
  log: Logger
  /** For the `User-Agent` header. */
  version: string
  /** Absent: the system's resolver. */
  lookup?: ResolveHost
  /** PEM of the certificate authorities to trust; absent: Node's. */
  ca?: string
  limits?: Partial<PoolLimits>
}

export interface EgressOptions extends SendOptions {
  /** For everything: waiting, connecting, sending, and reading the answer, over all redirects. */
  timeoutMs: number
  /** Bytes of the body of a 2xx answer that are read; 1 MiB by default. */
  bytesMax?: number
  /** Requests of one lane share connections, requests of two lanes never do: a destination that hangs keeps none of another's. */
  lane?: string | number
}

export interface Egress {
  /** Resolves with a 2xx answer. Throws `ResponseError` for another one, `EgressDenied` before anything is connected, `SendFailed`
   *  (with the system's code) when there was no usable answer. Never sends a request twice, redirects 307 and 308 apart. */
  send(url: string, options: EgressOptions): Promise<SendResponse>
  stats(): { inFlight: number; pools: number }
  /** Takes no more requests and resolves when those in flight have ended. */
  close(): Promise<void>
}

const BODY_BYTES_MAX = 1024 * 1024

/** What holds until the settings change. */
interface Rules {
  text: string
  addresses: AddressPolicy
  sink: URL | null | undefined
  pools: Pools
}

export function createEgress(parts: EgressParts): Egress {
  const deadlines = createDeadlines(parts.clock)
  const userAgent = `Tributary/${parts.version} (compatible; Segment.io/1.0)`
  const resolve = parts.lookup ?? createSystemResolver()
  const limits = { ...defaultPoolLimits, ...parts.limits }
  const retired = new Set<Pools>()
  let settings = parts.policy()
  let rules = makeRules(settings)
  let inFlight = 0
  const idle = Promise.withResolvers<void>()
  let closing: Promise<void> | undefined

  function makeRules(given: EgressSettings): Rules {
    const sink = given.sink === undefined ? undefined : URL.parse(given.sink)
    const addresses = createAddressPolicy(given.allow)
    // With a sink, its pool is the only one, and the operator chose its address.
    const policy = sink === undefined ? addresses : anyAddress
    const pools = createPools({ policy, resolve, ca: parts.ca, limits })
    return { text: textOf(given), addresses, sink, pools }
  }

  function rulesNow(): Rules {
    const given = parts.policy()
    if (given === settings) return rules
    settings = given
    if (textOf(given) === rules.text) return rules
    retire(rules.pools)
    rules = makeRules(given)
    parts.log.info({ allow: given.allow, sink: given.sink }, 'egress rules changed')
    return rules
  }

  /** Requests that were begun under the old rules end on the old connections. */
  function retire(pools: Pools): void {
    retired.add(pools)
    // It never rejects: the ends of requests are reported to those who sent them.
    void pools.close().then(() => retired.delete(pools))
  }

  function begin(url: URL, options: EgressOptions, dueTick: number): Exchange {
    const current = rulesNow()
    checkUrl(url, current)
    const exchange = new Exchange(deadlines, dueTick, options.bytesMax ?? BODY_BYTES_MAX)
    current.pools.get((current.sink ?? url).origin, options.lane).dispatch(
      {
        path: url.pathname + url.search,
        method: options.method,
        headers: requestHeaders(options.headers, userAgent, current.sink ? url.href : undefined),
        body: options.body ?? null,
      },
      exchange,
    )
    return exchange
  }

  async function sendFollowing(text: string, options: EgressOptions): Promise<SendResponse> {
    const dueTick = deadlines.tickAfter(options.timeoutMs)
    let url = parseUrl(text)
    for (let redirects = 0; ; redirects++) {
      const answer = await answerOf(begin(url, options, dueTick), url)
      if (isSuccess(answer.status)) return toResponse(answer)
      const next = redirects < REDIRECTS_MAX && redirectTarget(url, answer.status, answer.headers['location'])
      if (!next) throw toResponseError(answer, options.headers)
      url = next
    }
  }

  async function closeOnce(): Promise<void> {
    if (inFlight > 0) await idle.promise
    // Not `close`: it would wait for a connection that nobody waits for any more.
    await Promise.all([rules.pools, ...retired].map((pools) => pools.destroy()))
    deadlines.stop()
  }

  return {
    async send(url, options) {
      if (closing) throw new SendFailed('ECONNABORTED', 'The process is stopping')
      inFlight += 1
      try {
        return await sendFollowing(url, options)
      } finally {
        inFlight -= 1
        if (closing !== undefined && inFlight === 0) idle.resolve()
      }
    },
    stats: () => ({ inFlight, pools: rules.pools.size }),
    close: () => (closing ??= closeOnce()),
  }
}

const anyAddress: AddressPolicy = { refusal: () => undefined }

function textOf({ allow, sink }: EgressSettings): string {
  return JSON.stringify([allow, sink])
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null) throw new EgressDenied('This is not a URL; it should begin with https://')
  return url
}

/** Refuses what must not even be connected to. Host names are checked when their addresses are known, in `lookup.ts`. */
function checkUrl(url: URL, { addresses, sink }: Rules): void {
  if (sink === null) throw new EgressDenied('egress.sink is not a URL, so nothing is sent')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new EgressDenied(`A URL beginning with ${url.protocol} cannot be sent to; it should begin with https://`)
  }
  // They would show up wherever the URL does. A header says the same and is treated as a secret.
  if (url.username !== '' || url.password !== '') {
    throw new EgressDenied('A URL must not hold a user name or a password; use an Authorization header')
  }
  if (sink) return
  const address = addressOf(url.hostname)
  const refusal = address === undefined ? undefined : addresses.refusal(address)
  if (address !== undefined && refusal !== undefined) throw denied(address, address, refusal)
}

/** The address in a URL that has no name: Node connects to it without a lookup. The URL parser has already turned every odd
 *  spelling (`0x7f.1`, `2130706433`, `①27.0.0.1`) into the usual one. */
function addressOf(hostname: string): string | undefined {
  if (hostname.startsWith('[')) return hostname.slice(1, -1)
  return /^\d+\.\d+\.\d+\.\d+$/.test(hostname) ? hostname : undefined
}

async function answerOf(exchange: Exchange, url: URL): Promise<Answer> {
  try {
    return await exchange.answer
  } catch (error) {
    // Only `onResponseError` and `expire` reject, both with an Error.
    throw toSendError(error as Error, url.host)
  }
}

function toResponse({ status, headers, body, isCut }: Answer): SendResponse {
  return isCut ? { status, headers, body, isCut } : { status, headers, body }
}

function toResponseError(answer: Answer, sent: Record<string, string> | undefined): ResponseError {
  return new ResponseError(answer.status, answer.headers, withoutCredentials(answer.body, credentialsIn(sent)))
}
