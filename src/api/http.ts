/**
 * The control process's HTTP side. It listens on a unix socket only; the gateway passes requests on and says who the client is.
 * Every route declares who may call it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { chmod, rm } from 'node:fs/promises'
import { BlockList, isIPv6 } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { socketPath } from '../base/socket-path.ts'
import type { Store } from '../store/index.ts'
import type { DiskUsage } from './disk-usage.ts'
import { createFlowHealth } from './flow-health.ts'
import type { Roles } from './roles.ts'
import { adminRoles, answerError, answerHtml, answerJson, type Access, type Caller, type Route } from './route.ts'
import { readStatus } from './status.ts'
import { renderSignedOut, renderStatus } from './status-page.ts'

export interface ControlHttpParts {
  store: Store
  roles: Roles
  clock: Clock
  log: Logger
  socketPath: string
  disk: () => Promise<DiskUsage>
  /** Those of other files of this room: each makes the routes of one thing. */
  routes: readonly Route[]
}

export interface ControlHttp {
  routes: readonly { method: string; path: string; access: Access }[]
  close(): Promise<void>
}

const SESSION_COOKIE = 'tributary_session'

export async function serveControlHttp(parts: ControlHttpParts): Promise<ControlHttp> {
  const routes = [...routesOf(parts), ...parts.routes]
  const server = createServer((request, response) => {
    handle(parts, routes, request, response).catch((error: unknown) => {
      if (!(error instanceof AppError)) parts.log.error({ err: error }, 'a request to the control process failed')
      answerError(response, error)
    })
  })
  await listenAt(server, parts.socketPath)
  return {
    routes: routes.map(({ method, path, access }) => ({ method, path: path.source, access })),
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

async function listenAt(server: Server, path: string): Promise<void> {
  await rm(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath(path), resolve)
  })
  await chmod(path, 0o600)
}

function routesOf({ store, roles, clock, disk }: ControlHttpParts): Route[] {
  const flow = createFlowHealth(roles, clock)
  return [
    {
      method: 'GET',
      path: /^\/$/,
      access: 'session',
      async run(_request, response) {
        const snapshot = await store.snapshot()
        answerHtml(response, 200, renderStatus(snapshot, await readStatus(snapshot, roles, disk), clock.now()))
      },
    },
    {
      method: 'GET',
      path: /^\/sign-in\/([A-Za-z0-9_-]+)$/,
      access: 'anyone',
      async run(request, response, match) {
        // The pattern has one group, which always takes part in a match.
        const session = await store.useSignInLink(match[1]!)
        if (session === undefined)
          return answerHtml(response, 410, renderSignedOut('This link has been used or has expired.'))
        const secure = request.headers['x-forwarded-proto'] === 'https' ? '; Secure' : ''
        response.writeHead(303, {
          Location: '/',
          'Set-Cookie': `${SESSION_COOKIE}=${session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800${secure}`,
        })
        response.end()
      },
    },
    {
      method: 'GET',
      path: /^\/health\/flow$/,
      access: 'anyone',
      async run(_request, response) {
        const health = await flow.read()
        answerJson(response, health.status === 'stuck' ? 503 : 200, health)
      },
    },
    {
      method: 'GET',
      path: /^\/metrics$/,
      access: 'operator',
      async run(_request, response) {
        const text = await roles.metrics()
        response.writeHead(200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' })
        response.end(text)
      },
    },
  ]
}

async function handle(
  parts: ControlHttpParts,
  routes: Route[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  secureHeaders(request, response)
  const here = routes.filter((route) => route.path.test(path))
  if (here.length === 0) throw new AppError('not_found', 404, 'There is nothing at this path.')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const route = here.find((each) => each.method === method)
  if (route === undefined) {
    const methods = here.map((each) => each.method).join(', ')
    throw new AppError('method_not_allowed', 405, `This path takes ${methods}.`)
  }
  const caller = await callerOf(parts.store, route.access, request)
  if (caller === undefined) return refuse(route.access, response)
  if (route.access === 'admin' && !adminRoles.has(caller.role))
    throw new AppError('forbidden', 403, `The role "${caller.role}" does not allow this change.`, {
      hint: `Use a token of a ${[...adminRoles].join(' or a ')}.`,
    })
  // Found by the same pattern just now.
  await route.run(request, response, route.path.exec(path)!, caller)
}

const owner: Caller = { role: 'Workspace Owner' }

/** Undefined for somebody whom the access does not let in. */
async function callerOf(store: Store, access: Access, request: IncomingMessage): Promise<Caller | undefined> {
  const withSession = async () => ((await store.isSession(cookieOf(request) ?? '')) ? owner : undefined)
  const withToken = () => store.checkToken(bearerOf(request) ?? '')
  switch (access) {
    case 'anyone':
      return { role: undefined }
    case 'session':
      return withSession()
    case 'member':
    case 'admin':
      return (await withSession()) ?? (await withToken())
    case 'operator':
      return isLoopback(request) ? owner : await withToken()
  }
}

function refuse(access: Access, response: ServerResponse): void {
  if (access === 'session') return answerHtml(response, 401, renderSignedOut('You are not signed in.'))
  const who =
    access === 'member' || access === 'admin'
      ? 'members of the workspace, or with a token of it'
      : 'the machine itself, or with a token of the workspace'
  throw new AppError('unauthorized', 401, `This path answers ${who}.`, { hint: 'Send "Authorization: Bearer TOKEN".' })
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** As the gateway, which alone reaches this socket, understood the client's address. */
function isLoopback(request: IncomingMessage): boolean {
  const address = request.headers['x-forwarded-for']
  return typeof address === 'string' && loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

function cookieOf(request: IncomingMessage): string | undefined {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name, value] = pair.trim().split('=')
    if (name === SESSION_COOKIE) return value
  }
  return undefined
}

function bearerOf(request: IncomingMessage): string | undefined {
  return /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

function secureHeaders(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader(
    'Content-Security-Policy',
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  )
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Referrer-Policy', 'no-referrer')
  response.setHeader('Cache-Control', 'no-store')
  if (request.headers['x-forwarded-proto'] === 'https')
    response.setHeader('Strict-Transport-Security', 'max-age=31536000')
}
