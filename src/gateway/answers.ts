/** What the door answers. Accepted: exactly 200 and `{"success":true}`; every error is a JSON object with `code` and `message`,
 *  because Python, Ruby and Java decide by them whether to send again (contract: sdk-wire.md §4, §7). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AppError } from '../base/errors.ts'

const SUCCESS = '{"success":true}'
const SUCCESS_LENGTH = String(SUCCESS.length)

const allowedHeaders =
  'Authorization, Content-Type, X-Retry-Count, X-Write-Key, X-Tributary-Verbose, AnonymousId, SentAt, X-Enable-Debug, X-IP-Policy'

/** A list of header names. They may have other letters, but none that is used has. */
const headerNames = /^[\w-]+(?:,[ \t]*[\w-]+)*$/

export function answerSuccess(request: IncomingMessage, response: ServerResponse): void {
  const origin = request.headers.origin
  const headers = ['Content-Type', 'application/json', 'Content-Length', SUCCESS_LENGTH]
  if (origin !== undefined) pushCors(headers, origin)
  response.writeHead(200, headers)
  response.end(SUCCESS)
}

export function answerJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  value: unknown,
  extra: string[] = [],
): void {
  if (response.headersSent || response.destroyed) return
  const body = JSON.stringify(value)
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body)), ...extra]
  if (request.headers.origin !== undefined) pushCors(headers, request.headers.origin)
  const hasMore = hasUnreadBody(request)
  // It tells the client to stop sending a body that nobody wants.
  if (hasMore) headers.push('Connection', 'close')
  response.writeHead(status, headers)
  if (hasMore) endWhenRead(request, response, body)
  else response.end(body)
}

function hasUnreadBody({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
}

/** The answer to a body that was not read to its end. Closed with bytes unread, the connection would be reset, and a client that
 *  first sends everything (Python, Node) would see that instead of the answer. So what still comes is thrown away; the server's
 *  time limit for one request bounds it. */
function endWhenRead(request: IncomingMessage, response: ServerResponse, body: string): void {
  response.write(body)
  request.once('end', () => response.end())
  request.resume()
}

export interface ErrorDetails {
  /** A whole number from 1 to 300. */
  retryAfterSeconds?: number
  /** What is wrong with each message. */
  results?: unknown[]
  /** `WWW-Authenticate`: how to prove who one is. */
  authenticate?: string
}

export function answerError(
  request: IncomingMessage,
  response: ServerResponse,
  error: AppError,
  { retryAfterSeconds, results, authenticate }: ErrorDetails = {},
): void {
  const extra: string[] = []
  if (retryAfterSeconds !== undefined) extra.push('Retry-After', String(retryAfterSeconds))
  if (authenticate !== undefined) extra.push('WWW-Authenticate', authenticate)
  if (error.status === 429) extra.push('X-RateLimit-Reset', String(retryAfterSeconds))
  const body = {
    success: false,
    code: error.code,
    message: error.message,
    error: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(results === undefined ? {} : { results }),
  }
  answerJson(request, response, error.status, body, extra)
}

/** Answers a CORS preflight. A star would not cover `Authorization`, so the headers are named and the origin is echoed. Headers that a
 *  page adds by itself (`deliveryStrategy.config.headers`) are let through: here no cookie counts, so they can do nothing. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  const asked = request.headers['access-control-request-headers']
  const headers = [
    'Access-Control-Allow-Methods',
    'GET, POST, OPTIONS',
    'Access-Control-Allow-Headers',
    asked !== undefined && headerNames.test(asked) ? `${allowedHeaders}, ${asked}` : allowedHeaders,
    'Access-Control-Max-Age',
    '86400',
    'Content-Length',
    '0',
  ]
  if (request.headers['access-control-request-private-network'] === 'true')
    headers.push('Access-Control-Allow-Private-Network', 'true')
  pushCors(headers, request.headers.origin ?? '*')
  response.writeHead(200, headers)
  response.end()
}

// Browsers read `Retry-After` only when it is exposed; `Vary` because the origin is echoed. Credentials are allowed since
// `deliveryStrategy.config.credentials` may be "include"; the write key, not a cookie, is what counts here.
function pushCors(headers: string[], origin: string): void {
  headers.push('Access-Control-Allow-Origin', origin, 'Vary', 'Origin', 'Access-Control-Expose-Headers', 'Retry-After')
  if (origin !== '*') headers.push('Access-Control-Allow-Credentials', 'true')
}
