/** A destination's server over real HTTP: records what it is sent and answers as it is told. */
import { createServer, type IncomingHttpHeaders } from 'node:http'

export interface VendorRequest {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
  atMs: number
}

/** What to do with a request: a status, a status with headers and body, never answer, or cut the connection. */
export type VendorAnswer =
  number | { status: number; headers?: Record<string, string>; body?: string } | 'hang' | 'reset'

export interface FakeVendor {
  url: string
  port: number
  requests: VendorRequest[]
  /** Messages received, batches taken apart. */
  messages(): { messageId: string; [key: string]: unknown }[]
  answerWith(answer: VendorAnswer | ((request: VendorRequest) => VendorAnswer)): void
  /** Resolves when `predicate` holds; rejects after `timeoutMs`. Checked after each request. */
  until(predicate: (vendor: FakeVendor) => boolean, timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

export async function fakeVendor(): Promise<FakeVendor> {
  let answer: (request: VendorRequest) => VendorAnswer = () => 200
  const waiting = new Set<() => void>()
  const requests: VendorRequest[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const recorded: VendorRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
        atMs: Date.now(),
      }
      requests.push(recorded)
      const given = answer(recorded)
      for (const check of waiting) check()
      if (given === 'hang') return
      if (given === 'reset') return void request.socket.destroy()
      const { status, headers = {}, body = '' } = typeof given === 'number' ? { status: given } : given
      response.writeHead(status, headers)
      response.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const vendor: FakeVendor = {
    url: `http://127.0.0.1:${port}/hook`,
    port,
    requests,
    // Whatever the product sends here is a message or an array of them.
    messages: () => requests.flatMap(({ body }) => [JSON.parse(body) as { messageId: string }].flat()),
    answerWith(given) {
      answer = typeof given === 'function' ? given : () => given
    },
    until(predicate, timeoutMs = 20_000) {
      if (predicate(vendor)) return Promise.resolve()
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`Not so after ${timeoutMs} ms; ${requests.length} requests came`))
        }, timeoutMs)
        const check = () => {
          if (!predicate(vendor)) return
          waiting.delete(check)
          clearTimeout(timer)
          resolve()
        }
        waiting.add(check)
      })
    },
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return vendor
}
