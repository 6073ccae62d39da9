/** A route of the control process's HTTP side, and how it answers. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError, messageOf } from '../base/errors.ts'

/** `anyone`: no credential. `operator`: loopback, or a Bearer token of the workspace. `session`: signed in. `member`: signed in, or a
 *  Bearer token of the workspace. `admin`: a member who may change things, see `adminRoles`. */
export type Access = 'anyone' | 'operator' | 'session' | 'member' | 'admin'

/** Roles that may change sources and what they send. */
export const adminRoles: ReadonlySet<string | undefined> = new Set(['Workspace Owner', 'Source Admin'])

/** Who calls. */
export interface Caller {
  /** Of the token. Whoever is signed in is an owner, and so is the machine itself; nobody has a route for anyone. */
  role: string | undefined
}

export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Of the path alone, without the query; its groups reach `run`. */
  path: RegExp
  access: Access
  /** Answers. Throws `AppError` for wrong input. */
  run(request: IncomingMessage, response: ServerResponse, match: RegExpExecArray, caller: Caller): Promise<void>
}

/** Our own API lives under this prefix; `/api` is the reference product's. */
export const ownPrefix = '/tributary/v1'

const bodyBytesMax = 1024 * 1024

/** The body as JSON. Throws `bad_request` when it is none, `request_too_large` above 1 MiB. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.byteLength
    if (bytes > bodyBytesMax) throw new AppError('request_too_large', 413, 'The body is larger than 1 MiB.')
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch (error) {
    throw new AppError('bad_request', 400, `The body is not JSON: ${messageOf(error)}`)
  }
}

/** The query of the request's target. */
export function queryOf(request: IncomingMessage): URLSearchParams {
  return new URL(request.url ?? '/', 'http://localhost').searchParams
}

export function answerHtml(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' })
  response.end(html)
}

export function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(value))
}

export function answerError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy()
  if (error instanceof AppError) {
    answerJson(response, error.status, {
      success: false,
      code: error.code,
      message: error.message,
      error: error.message,
      hint: error.hint,
    })
  } else
    answerJson(response, 500, {
      success: false,
      code: 'internal',
      message: 'This request failed.',
      error: messageOf(error),
    })
}
