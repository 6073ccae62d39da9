/** `POST /token`: an app's signed assertion against an access token (contract: ingest.md, OAuth 2.0; RFC 6749 §4.4 and §5). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { answerJson } from '../answers.ts'
import { readBody, type InFlight } from '../read-body.ts'
import type { Clock } from '../../base/clock.ts'
import { AppError } from '../../base/errors.ts'
import type { OAuthAppSnapshot } from '../../snapshot/index.ts'
import type { AccessTokens } from './access-token.ts'
import type { AssertionVerifier } from './assertion.ts'

const GRANT = 'client_credentials'
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const BODY_BYTES_MAX = 16 * 1024

export interface TokenEndpointParts {
  tokens: AccessTokens
  assertions: AssertionVerifier
  clock: Clock
  inFlight: InFlight
  inFlightBytesMax: () => number
  /** Where the client reaches this door, without a slash at the end; undefined when the request names no usable host. */
  addressOf: (request: IncomingMessage) => string | undefined
}

/** An answer of the endpoint that is no token. */
interface Refusal {
  status: 400 | 401
  error: 'invalid_request' | 'invalid_client' | 'unsupported_grant_type' | 'invalid_scope'
  description: string
}

const paths = new Set(['/token', '/token/', '/oauth/token', '/v1/token', '/v1/token/'])

export function isTokenPath(path: string): boolean {
  return paths.has(path)
}

/** Answers a request for a token. */
export async function answerToken(
  parts: TokenEndpointParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const form = await readForm(parts, request)
  const granted =
    form === undefined ? badRequest('The body is no form, or too long.') : await grant(parts, form, request)
  const noStore = ['Cache-Control', 'no-store', 'Pragma', 'no-cache']
  if ('error' in granted) {
    const { status, error, description } = granted
    const body = { success: false, error, error_description: description, code: error, message: description }
    return answerJson(request, response, status, body, noStore)
  }
  answerJson(request, response, 200, granted, noStore)
}

async function readForm(parts: TokenEndpointParts, request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const limits = { bytesMax: BODY_BYTES_MAX, inFlightBytesMax: parts.inFlightBytesMax() }
  try {
    const body = await readBody(request, limits, parts.inFlight, parts.clock)
    parts.inFlight.bytes -= body.byteLength
    return new URLSearchParams(body.toString('utf8'))
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

async function grant(
  { tokens, assertions, clock, addressOf }: TokenEndpointParts,
  form: URLSearchParams,
  request: IncomingMessage,
): Promise<Refusal | { access_token: string; token_type: 'Bearer'; expires_in: number; scope: string }> {
  if (form.get('grant_type') !== GRANT) {
    const description = `The grant_type is ${GRANT}.`
    return { status: 400, error: 'unsupported_grant_type', description }
  }
  const assertion = form.get('client_assertion')
  if (assertion === null || form.get('client_assertion_type') !== ASSERTION_TYPE)
    return badRequest(`Send client_assertion, a JWT, and client_assertion_type=${ASSERTION_TYPE}.`)
  const address = addressOf(request)
  if (address === undefined) return badRequest('The request names no host.')
  const verified = await assertions.verify(assertion, [address, `${address}/`, `${address}/token`])
  if ('problem' in verified) return { status: 401, error: 'invalid_client', description: verified.problem }
  const scopes = scopesOf(form.get('scope'), verified.app)
  if (scopes === undefined)
    return { status: 400, error: 'invalid_scope', description: `The app may have ${verified.app.scopes.join(', ')}.` }
  const { id, tokenLifetimeSeconds } = verified.app
  const expiresAt = Math.floor(clock.now() / 1000) + tokenLifetimeSeconds
  return {
    access_token: tokens.sign({ app: id, scopes, expiresAt }),
    token_type: 'Bearer',
    expires_in: tokenLifetimeSeconds,
    scope: scopes.join(' '),
  }
}

/** Those that were asked for, or all; undefined when one of them is not the app's. */
function scopesOf(asked: string | null, app: OAuthAppSnapshot): string[] | undefined {
  if (asked === null || asked.trim() === '') return app.scopes
  const scopes = asked.trim().split(/[\s,]+/)
  return scopes.every((scope) => app.scopes.includes(scope)) ? scopes : undefined
}

function badRequest(description: string): Refusal {
  return { status: 400, error: 'invalid_request', description }
}
