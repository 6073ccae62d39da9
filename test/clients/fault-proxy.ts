/**
 * A proxy in front of the product that does what networks and busy servers do to a client. Which fault a batch meets follows from the
 * seed and from the order in which batches first come; a batch that comes again is known by its first message.
 */
import { createHash } from 'node:crypto'
import { createServer as createHttpServer, request as sendRequest, type IncomingHttpHeaders } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { createRandom } from '../../src/base/seeded-random.ts'
import type { TestCertificate } from '../support/self-signed.ts'

/**
 * - `reset`: the connection breaks before the product sees the request.
 * - `lost`: the product takes the request, and its answer never arrives.
 * - `slow`: the product takes the request, and its answer arrives late.
 * - 503, 429: answered as the product does when it is busy, with `Retry-After: 1`.
 */
export type Fault = 'reset' | 'lost' | 'slow' | 503 | 429

export interface FaultProxyOptions {
  /** Where requests go on to, such as `http://127.0.0.1:4000`. */
  target: string
  seed: number
  faults: readonly Fault[]
  /** So many tries of each batch meet a fault; the next one comes through. */
  disturbedTries: number
  /** Clients that cannot speak plain HTTP meet TLS here, and the product stands behind a proxy. */
  certificate?: TestCertificate
}

export interface FaultProxy {
  /** Host and port, without a scheme. */
  host: string
  url: string
  /** How often each fault was made. */
  made(): ReadonlyMap<Fault, number>
  close(): Promise<void>
}

interface Incoming {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
}

/** A slow answer: long for a request on one machine, short for every client's time limit. */
const SLOW_MS = 400

export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target, certificate, disturbedTries } = options
  const draw = createDeck(options.faults, options.seed)
  const made = new Map<Fault, number>()
  const tries = new Map<string, number>()

  function nextFault(request: Incoming): Fault | undefined {
    const batch = batchOf(request)
    if (batch === undefined || options.faults.length === 0) return undefined
    const count = (tries.get(batch) ?? 0) + 1
    tries.set(batch, count)
    if (count > disturbedTries) return undefined
    const fault = draw()
    made.set(fault, (made.get(fault) ?? 0) + 1)
    return fault
  }

  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const incoming = await read(request)
      if (certificate !== undefined) incoming.headers['x-forwarded-proto'] = 'https'
      await answer(nextFault(incoming), target, incoming, response)
    } catch {
      // The client or the product is gone: nobody waits for an answer, or the client learns it by the broken connection.
      response.destroy()
    }
  }
  const server =
    certificate === undefined
      ? createHttpServer(listener)
      : createHttpsServer({ key: certificate.key, cert: certificate.certificate }, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const host = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  return {
    host,
    url: `${certificate === undefined ? 'http' : 'https'}://${host}`,
    made: () => made,
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** Draws every fault once before any comes again, each round in an order of its own. */
function createDeck(faults: readonly Fault[], seed: number): () => Fault {
  const random = createRandom(seed)
  let rest: Fault[] = []
  return () => {
    if (rest.length === 0) rest = [...faults]
    const [fault] = rest.splice(random.integer(rest.length), 1)
    // The list is not empty: a proxy without faults never draws.
    return fault!
  }
}

/** What tells a batch that comes again; undefined for a request that carries no messages. */
function batchOf({ headers, body }: Incoming): string | undefined {
  if (body.length === 0) return undefined
  const text = headers['content-encoding'] === 'gzip' ? gunzipSync(body).toString() : body.toString()
  const { batch } = JSON.parse(text) as { batch?: { messageId?: string }[] }
  if (batch === undefined) return undefined
  return batch[0]?.messageId ?? createHash('sha256').update(text).digest('hex')
}

async function read(request: IncomingMessage): Promise<Incoming> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { method = 'GET', url = '/', headers } = request
  return { method, path: url, headers, body: Buffer.concat(chunks) }
}

async function answer(fault: Fault | undefined, target: string, request: Incoming, response: ServerResponse) {
  if (fault === 'reset') return void response.socket?.destroy()
  if (fault === 503 || fault === 429) return refuse(fault, response)
  const { status, headers, body } = await passOn(target, request)
  if (fault === 'lost') return void response.socket?.destroy()
  if (fault === 'slow') await wait(SLOW_MS)
  response.writeHead(status, headers).end(body)
}

function refuse(status: 503 | 429, response: ServerResponse): void {
  const message = 'Come again.'
  const body = JSON.stringify({ success: false, code: 'unavailable', message, error: message })
  response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '1' }).end(body)
}

function passOn(
  target: string,
  { method, path, headers, body }: Incoming,
): Promise<{ status: number; headers: OutgoingHttpHeaders; body: Buffer }> {
  // The body is whole by now, so it goes on with its length, as it came otherwise.
  const { 'transfer-encoding': _, ...passed } = headers
  return new Promise((resolve, reject) => {
    const upstream = sendRequest(
      target + path,
      { method, headers: { ...passed, ...(body.length > 0 ? { 'content-length': body.length } : {}) } },
      async (incoming) => {
        const chunks: Buffer[] = []
        try {
          for await (const chunk of incoming) chunks.push(chunk as Buffer)
          resolve({ status: incoming.statusCode ?? 502, headers: incoming.headers, body: Buffer.concat(chunks) })
        } catch (error) {
          reject(error as Error)
        }
      },
    )
    upstream.on('error', reject).end(body)
  })
}
