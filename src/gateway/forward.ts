/** Passes requests that are not for the tracking API on to the control process (console, API, metrics), over its unix socket. */
import { request as sendRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { AppError } from '../base/errors.ts'
import { socketPath } from '../base/socket-path.ts'
import { answerError } from './answers.ts'

// Headers that belong to one connection and not to the message (RFC 9110 §7.6.1).
const hopHeaders = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export interface Forwarded {
  /** As this door understood them; the control process believes only these. */
  clientAddress: string | undefined
  protocol: 'http' | 'https'
  host: string | undefined
  /** Ends answers that would never end by themselves. */
  stopping: AbortSignal
}

/** Streams both ways. Answers 503 when the control process is away: it restarts by itself and ingest goes on. */
export function forwardTo(
  controlSocketPath: string,
  request: IncomingMessage,
  response: ServerResponse,
  forwarded: Forwarded,
): void {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !hopHeaders.has(name)) headers[name] = value
  }
  headers['x-forwarded-proto'] = forwarded.protocol
  if (forwarded.clientAddress !== undefined) headers['x-forwarded-for'] = forwarded.clientAddress
  if (forwarded.host !== undefined) headers['x-forwarded-host'] = forwarded.host
  const upstream = sendRequest(
    { socketPath: socketPath(controlSocketPath), path: request.url, method: request.method, headers },
    (answer) => {
      const answered: Record<string, string | string[]> = {}
      for (const [name, value] of Object.entries(answer.headers)) {
        if (value !== undefined && !hopHeaders.has(name)) answered[name] = value
      }
      response.writeHead(answer.statusCode ?? 502, answered)
      answer.pipe(response)
      answer.on('error', () => response.destroy())
      if (answer.headers['content-type']?.startsWith('text/event-stream')) endAt(forwarded.stopping, answer, response)
    },
  )
  upstream.on('error', () => {
    if (response.headersSent) response.destroy()
    else
      answerError(
        request,
        response,
        new AppError('process_away', 503, 'The control process does not answer; it restarts by itself.'),
        { retryAfterSeconds: 2 },
      )
  })
  response.on('close', () => upstream.destroy())
  request.pipe(upstream)
}

/** A stream of events has no end, and a client that is told so comes again. */
function endAt(stopping: AbortSignal, answer: IncomingMessage, response: ServerResponse): void {
  const { socket } = response
  const end = () => {
    answer.unpipe(response)
    response.end(() => socket?.destroySoon())
  }
  if (stopping.aborted) return end()
  stopping.addEventListener('abort', end)
  response.on('close', () => stopping.removeEventListener('abort', end))
}
