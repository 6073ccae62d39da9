/** A server of bare sockets, for answers that no HTTP library would give, and a clock that the test moves. */
import { createServer, type Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'

export interface RawServer {
  port: number
  url: string
  /** Connections that were ever made. */
  connections: number
  /** What came in, over all connections. */
  received: string
  close(): Promise<void>
}

/** Listens on 127.0.0.1 and calls `answer` when the first bytes of each request have come. */
export async function rawServer(answer: (socket: Socket, text: string) => void): Promise<RawServer> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    raw.connections += 1
    sockets.add(socket)
    // The client hangs up on many of these answers.
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      raw.received += chunk.toString()
      answer(socket, chunk.toString())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const raw: RawServer = {
    port,
    url: `http://127.0.0.1:${port}/`,
    connections: 0,
    received: '',
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return raw
}

export interface TestClock extends Clock {
  /** Moves time on, and runs what falls due, in order. */
  advance(ms: number): void
}

export function testClock(): TestClock {
  let nowMs = 0
  let timers: { dueMs: number; run: () => void }[] = []
  return {
    now: () => nowMs,
    after(ms, run) {
      const timer = { dueMs: nowMs + ms, run }
      timers.push(timer)
      return { timer }
    },
    clear({ timer }) {
      timers = timers.filter((each) => each !== timer)
    },
    advance(ms) {
      const endMs = nowMs + ms
      for (;;) {
        const next = timers.filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0]
        if (next === undefined) break
        timers = timers.filter((each) => each !== next)
        nowMs = next.dueMs
        next.run()
      }
      nowMs = endMs
    },
  }
}
