/** The listener: one port for everything. Tracking calls, and what pages fetch before they make
 *  them, are answered here; what is for people and machines that administer
 *  (console, API, metrics page) is passed on to the control process. */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Logger } from '../base/logger.ts'
import { AppError } from '../base/errors.ts'
import { accept, unavailable, type Door } from './accept.ts'
import { answerError, answerJson, answerPreflight, answerSuccess } from './answers.ts'
import { clientAddress } from './client-address.ts'
import { forwardTo } from './forward.ts'
import { answerToken, isTokenPath, type TokenEndpointParts } from './oauth/token-endpoint.ts'
import { acceptPixel } from './pixel.ts'
import { isMetricsPath, isPixelPath, isTrackingPath, pathOf, pixelCallOf, routeOf, webhookNameOf } from './routes.ts'
import { acceptWebhook } from './webhook.ts'
import type { WebPages } from './web-pages.ts'
import { webRouteOf } from './web-routes.ts'

export interface ListenOptions {
  host: string
  port: number
  tls?: { certificate: string; key: string }
  controlSocketPath: string
  /** Open at the same time; further ones are closed at once. Default 10,000: about 150 MB when each is in use, 300 MB when
   *  each has sent as much of its headers as it may. */
  connectionsMax?: number
}

export interface GatewayServer {
  readonly port: number
  /** Answers what is in flight, refuses what is new with 503, and resolves when all connections are closed. */
  stop(): Promise<void>
}

// Slow clients hold a socket and a little memory, nothing else; these bound how long.
const HEADERS_TIMEOUT_MS = 15_000
const REQUEST_TIMEOUT_MS = 60_000
const KEEP_ALIVE_MS = 65_000
const HANDSHAKE_TIMEOUT_MS = 15_000
const HEADER_BYTES_MAX = 16 * 1024
const CONNECTIONS_MAX = 10_000
const DROP_IDLE_EVERY_MS = 1_000

interface State {
  isStopping: boolean
  /** Aborted when it stops. */
  streams: AbortController
}

export async function listen(
  door: Door,
  pages: WebPages,
  tokenEndpoint: TokenEndpointParts,
  options: ListenOptions,
  log: Logger,
): Promise<GatewayServer> {
  const state: State = { isStopping: false, streams: new AbortController() }
  const latest = new WeakMap<Socket, ServerResponse>()
  const handle: RequestListener = (request, response) => {
    latest.set(request.socket, response)
    dispatch(door, pages, tokenEndpoint, options, state, request, response).catch((error: unknown) => {
      log.error({ err: error, path: pathOf(request.url ?? '') }, 'a request failed in a way nobody foresaw')
      answerError(request, response, unavailable('The request could not be handled now.'), {
        retryAfterSeconds: 5,
      })
    })
  }
  const server = createServer(options, handle)
  // RFC 9110 §10.1.1 lets a server overlook an expectation that it does not know; Node's own answer has no body.
  server.on('checkExpectation', handle)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const answered = latest.get(socket)
    if (socket.writable && (answered === undefined || isOver(answered))) answerBrokenRequest(error, socket)
    else socket.destroy()
  })
  bound(server, options.connectionsMax ?? CONNECTIONS_MAX, door)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, 4096, () => resolve())
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  return { port, stop: () => stop(server, state) }
}

function createServer(options: ListenOptions, handle: RequestListener): Server {
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 5_000,
    noDelay: true,
    // Refused in `dispatch`, with a body.
    requireHostHeader: false,
  }
  if (options.tls === undefined) return createHttpServer(limits, handle)
  return createTlsServer(
    { ...limits, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, cert: options.tls.certificate, key: options.tls.key },
    handle,
  )
}

async function dispatch(
  door: Door,
  pages: WebPages,
  tokenEndpoint: TokenEndpointParts,
  options: ListenOptions,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
) {
  // RFC 9112 §3.2.
  if (request.headers.host === undefined && request.httpVersion === '1.1') return answerWithoutHost(request, response)
  const askedPath = pathOf(request.url ?? '/')
  let route = routeOf(askedPath)
  const webRoute = route === undefined ? (webRouteOf(askedPath) ?? pages.neutralRouteOf(askedPath)) : undefined
  if (webRoute !== undefined && webRoute.kind !== 'tracking') return pages.answer(webRoute, request, response)
  const path = webRoute?.path ?? askedPath
  if (webRoute !== undefined) route = routeOf(path)
  if (route !== undefined && request.method === 'POST') {
    if (state.isStopping)
      return answerError(request, response, unavailable('The server is stopping.'), { retryAfterSeconds: 1 })
    return accept(door, route, request, response)
  }
  if (path === '/health/live') return answerJson(request, response, 200, { status: 'live' })
  if (path === '/health/ready') return answerReady(door, state, request, response)
  if (isTokenPath(path)) {
    // This door is closed to pages (contract: README.md §3), so no answer names their origin.
    delete request.headers.origin
    if (request.method !== 'POST') return answerWrongMethod('POST', request, response)
    return answerToken(tokenEndpoint, request, response)
  }
  const webhookName = webhookNameOf(path)
  if (webhookName !== undefined) return answerWebhook(door, webhookName, state, request, response)
  if (isPixelPath(path)) return answerPixel(door, path, state, request, response)
  if (isTrackingPath(path)) return answerTracking(path, request, response)
  // Paths without `/v1` are the console's too, for everything but what a tracking client sends.
  const isClient = request.method === 'OPTIONS' || request.method === 'POST'
  if (isClient && (route !== undefined || isMetricsPath(path))) return answerTracking(path, request, response)
  passOn(door, options, state, request, response)
}

/** The paths of the tracking API, but for those that take messages. */
function answerTracking(path: string, request: IncomingMessage, response: ServerResponse): void {
  if (request.method === 'OPTIONS') return answerPreflight(request, response)
  if (routeOf(path) !== undefined) return answerWrongMethod('POST', request, response)
  if (!isMetricsPath(path)) return answerUnknownPath(request, response)
  if (request.method !== 'POST') return answerWrongMethod('POST', request, response)
  request.resume()
  answerSuccess(request, response)
}

function answerPixel(
  door: Door,
  path: string,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> | void {
  if (request.method === 'OPTIONS') return answerPreflight(request, response)
  if (request.method !== 'GET' && request.method !== 'HEAD') return answerWrongMethod('GET', request, response)
  return acceptPixel(door, pixelCallOf(path), state.isStopping, request, response)
}

function passOn(
  door: Door,
  options: ListenOptions,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const isTrusted = door.isTrustedProxy(request.socket.remoteAddress?.replace('::ffff:', '') ?? '')
  const protocol = isTrusted ? request.headers['x-forwarded-proto'] : undefined
  const forwardedHost = isTrusted ? request.headers['x-forwarded-host'] : undefined
  forwardTo(options.controlSocketPath, request, response, {
    clientAddress: clientAddress(request, door.isTrustedProxy),
    protocol: protocol === 'https' || options.tls !== undefined ? 'https' : 'http',
    host: typeof forwardedHost === 'string' ? forwardedHost : request.headers.host,
    stopping: state.streams.signal,
  })
}

function answerWebhook(
  door: Door,
  name: string,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> | void {
  if (request.method !== 'POST') return answerWrongMethod('POST', request, response)
  if (state.isStopping)
    return answerError(request, response, unavailable('The server is stopping.'), { retryAfterSeconds: 1 })
  return acceptWebhook(door, name, request, response)
}

function answerReady(door: Door, state: State, request: IncomingMessage, response: ServerResponse): void {
  const isReady = door.received.isWritable && !state.isStopping
  const reason = state.isStopping
    ? 'stopping'
    : 'the journal takes nothing now (disk reserve reached, or a disk failure)'
  answerJson(request, response, isReady ? 200 : 503, isReady ? { status: 'ready' } : { status: 'not ready', reason })
}

function answerUnknownPath(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  const error = new AppError('not_found', 404, 'There is nothing at this path.', {
    hint: 'Messages go to /v1/track, /v1/batch and the other paths of the tracking API.',
  })
  answerError(request, response, error)
}

function answerWrongMethod(allowed: 'POST' | 'GET', request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  response.setHeader('Allow', allowed)
  answerError(request, response, new AppError('method_not_allowed', 405, `This path takes ${allowed}.`))
}

function answerWithoutHost(request: IncomingMessage, response: ServerResponse): void {
  answerError(request, response, new AppError('bad_request', 400, 'The request has no Host header.'))
}

/** True when nothing of a response, or of one before it on its connection, is still to come: then an answer by hand may follow. */
function isOver(response: ServerResponse): boolean {
  if (response.writableFinished) return true
  // A response has the socket when it is its turn. One whose request is still coming will never be written.
  return response.socket !== null && !response.headersSent && !response.req.complete
}

/** Connections beyond the bound are closed as they come, and those that idle make room for the next ones. */
function bound(server: Server, connectionsMax: number, door: Door): void {
  server.maxConnections = connectionsMax
  let droppedAtMs = -Infinity
  server.on('drop', () => {
    door.counters.dropped()
    const nowMs = door.clock.now()
    if (Math.abs(nowMs - droppedAtMs) < DROP_IDLE_EVERY_MS) return
    droppedAtMs = nowMs
    server.closeIdleConnections()
  })
}

/** What Node could not read as HTTP: too large headers, a time-out, garbage. Answered by hand, since there is no response object. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  const message = 'The request is not valid HTTP, too slow, or its headers are too large.'
  const body = JSON.stringify({ success: false, code: 'bad_request', message, error: message })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

async function stop(server: Server, state: State): Promise<void> {
  state.isStopping = true
  state.streams.abort()
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  // Whoever is still sending after this has had its chance; its messages were not acknowledged and will come again.
  const force = setTimeout(() => server.closeAllConnections(), 3_000)
  await closed
  clearTimeout(force)
}
