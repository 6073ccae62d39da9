/**
 * Calls between the processes of one installation, over unix sockets in `<data>/run` (mode 0600: who may open the socket may
 * call). One connection is one call: a line of JSON with the method and its parameters goes in; lines `{"item":…}` of a stream,
 * then one line `{"result":…}` or `{"error":{code,status,message,hint}}` come out.
 */
import { chmod, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { AppError, codeOf, messageOf } from './errors.ts'
import { socketPath } from './socket-path.ts'

/** Parameters are checked by the handler: they come from another process of ours, perhaps of another version. */
export type LocalHandler = (params: unknown) => Promise<unknown> | AsyncIterable<unknown>
export type LocalHandlers = Record<string, LocalHandler>

/** One call may carry a config file, not more. */
const REQUEST_BYTES_MAX = 16 * 1024 * 1024

export interface LocalServer {
  close(): Promise<void>
}

/** Serves `handlers` at `path`. A stale socket file of a killed process is replaced. */
export async function serveLocal(path: string, handlers: LocalHandlers): Promise<LocalServer> {
  await rm(path, { force: true })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    answer(socket, handlers).catch(() => socket.destroy())
  })
  await listen(server, path)
  await chmod(path, 0o600)
  return {
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath(path), () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function answer(socket: Socket, handlers: LocalHandlers): Promise<void> {
  const { method, params } = JSON.parse(await readLine(socket)) as { method: string; params: unknown }
  try {
    const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined
    if (handler === undefined) throw new AppError('unknown_method', 404, `This process has no method "${method}".`)
    const answered = handler(params)
    if (Symbol.asyncIterator in answered) {
      for await (const item of answered) await writeLine(socket, { item })
      await writeLine(socket, { result: null })
    } else {
      await writeLine(socket, { result: (await answered) ?? null })
    }
  } catch (error) {
    await writeLine(socket, { error: describe(error) })
  }
  socket.end()
}

function describe(error: unknown) {
  if (error instanceof AppError)
    return { code: error.code, status: error.status, message: error.message, hint: error.hint }
  return { code: codeOf(error) ?? 'internal', status: 500, message: messageOf(error) }
}

function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    socket.on('data', (chunk: Buffer) => {
      const end = chunk.indexOf(10)
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end))
      length += chunk.byteLength
      if (end >= 0) resolve(Buffer.concat(chunks).toString())
      else if (length > REQUEST_BYTES_MAX)
        reject(new AppError('request_too_large', 413, 'The call is larger than 16 MiB.'))
    })
    socket.on('close', () => reject(new AppError('connection_closed', 503, 'The caller hung up.')))
  })
}

function writeLine(socket: Socket, value: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(new AppError('connection_closed', 503, 'The caller hung up.'))
    const done = (error?: Error | null) => (error ? reject(error) : resolve())
    socket.write(JSON.stringify(value) + '\n', done)
  })
}

/** Calls a method and returns its result. Throws the `AppError` of the other side, or `process_away` when nobody listens. */
export async function callLocal(path: string, method: string, params: unknown = null): Promise<unknown> {
  for await (const line of exchange(path, method, params)) {
    if ('result' in line) return line.result
    if ('error' in line) throw toAppError(line.error)
  }
  throw processAway(path)
}

/** Calls a method that streams and yields its items. */
export async function* streamLocal(path: string, method: string, params: unknown = null): AsyncGenerator<unknown> {
  for await (const line of exchange(path, method, params)) {
    if ('item' in line) yield line.item
    else if ('error' in line) throw toAppError(line.error)
    else return
  }
  throw processAway(path)
}

type Line =
  { item: unknown } | { result: unknown } | { error: { code: string; status: number; message: string; hint?: string } }

async function* exchange(path: string, method: string, params: unknown): AsyncGenerator<Line> {
  const socket = connect(socketPath(path))
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', (error) => reject(processAway(path, error)))
    })
    socket.on('error', () => socket.destroy())
    socket.write(JSON.stringify({ method, params }) + '\n')
    // The other end of the socket is this file, which writes one `Line` a line.
    for await (const text of createInterface({ input: socket, crlfDelay: Infinity })) yield JSON.parse(text) as Line
  } finally {
    socket.destroy()
  }
}

function toAppError(error: { code: string; status: number; message: string; hint?: string }): AppError {
  return new AppError(error.code, error.status, error.message, error.hint === undefined ? {} : { hint: error.hint })
}

function processAway(path: string, cause?: unknown): AppError {
  const role = path.split('/').at(-1)?.replace('.sock', '')
  return new AppError('process_away', 503, `The ${role} process does not answer.`, {
    cause,
    hint: 'It restarts by itself; try again in a few seconds.',
  })
}
