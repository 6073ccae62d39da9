/** `POST /token`: an app's signed assertion against an access token (contract: ingest.md, OAuth 2.0; RFC 6749 §4.4 and §5). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { AppError } from '../../base/errors.ts'
import { answerJson } from '../answers.ts'
import { readBody, type InFlight } from '../read-body.ts'
import type { AccessTokens } from './access-token.ts'
import type { AssertionVerifier } from './assertion.ts'

const GRANT = 'client_credentials'
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const BODY_BYTES_MAX = 16 * 1024
/** After which a client that was refused for want of room should come again. */
const UNAVAILABLE_RETRY_SECONDS = 5

export interface TokenEndpointParts {
  tokens: AccessTokens
  assertions: AssertionVerifier
  clock: Clock
  inFlight: InFlight
  inFlightBytesMax: () => number
  /** Where the client reaches this door, without a slash at the end; undefined when the request names no usable host. */
  addressOf: (request: IncomingMessage) => string | undefined
  /** Each answer, by its error; `issued` for a token. */
  count: (result: string) => void
}

interface Token {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  scope: string
}

type ErrorName =
  | 'invalid_request'
  | 'invalid_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  // Not in RFC 6749 §5.2, which knows no transient failure here; the name is that of §4.1.2.1.
  | 'temporarily_unavailable'

/** An answer of the endpoint that is no token. */
interface Refusal {
  status: 400 | 401 | 429 | 503
  error: ErrorName
  description: string
  retryAfterSeconds?: number
}

// An SDK whose auth server was given with a slash at its end asks at two slashes; one that was given the address with `/v1`, below it.
const paths = new Set(['/token', '//token', '/v1/token', '/v1//token'].flatMap((path) => [path, `${path}/`]))

export function isTokenPath(path: string): boolean {
  return paths.has(path)
}

/** Answers a request for a token. Rejects on what nobody foresaw only. */
export async function answerToken(
  parts: TokenEndpointParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const form = await readForm(parts, request)
  const granted = form instanceof URLSearchParams ? await grant(parts, form, request) : form
  const headers = ['Cache-Control', 'no-store', 'Pragma', 'no-cache']
  if (!('error' in granted)) {
    parts.count('issued')
    return answerJson(request, response, 200, granted, headers)
  }
  const { status, error, description, retryAfterSeconds } = granted
  parts.count(error)
  if (retryAfterSeconds !== undefined) headers.push('Retry-After', String(retryAfterSeconds))
  if (status === 429) headers.push('X-RateLimit-Reset', String(retryAfterSeconds))
  const code = status === 429 ? 'too_many_requests' : status === 503 ? 'unavailable' : error
  const body = { success: false, error, error_description: description, code, message: description }
  answerJson(request, response, status, body, headers)
}

async function readForm(parts: TokenEndpointParts, request: IncomingMessage): Promise<URLSearchParams | Refusal> {
  const limits = { bytesMax: BODY_BYTES_MAX, inFlightBytesMax: parts.inFlightBytesMax() }
  try {
    const body = await readBody(request, limits, parts.inFlight, parts.clock)
    parts.inFlight.bytes -= body.byteLength
    return new URLSearchParams(body.toString('utf8'))
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    // An SDK gives up at a 400, so what passes by itself must not be one.
    return error.status === 503 ? unavailable(error.message) : badRequest('The body is no form, or too long.')
  }
}

async function grant(
  { tokens, assertions, clock, addressOf }: TokenEndpointParts,
  form: URLSearchParams,
  request: IncomingMessage,
): Promise<Refusal | Token> {
  if (form.get('grant_type') !== GRANT) {
    const description = `The grant_type is ${GRANT}.`
    return { status: 400, error: 'unsupported_grant_type', description }
  }
  const assertion = form.get('client_assertion')
  if (assertion === null || form.get('client_assertion_type') !== ASSERTION_TYPE)
    return badRequest(`Send client_assertion, a JWT, and client_assertion_type=${ASSERTION_TYPE}.`)
  const address = addressOf(request)
  if (address === undefined) return badRequest('The request names no host.')
  const verified = await assertions.verify(assertion, (audience) => isAddress(audience, address))
  if ('retryAfterSeconds' in verified) {
    const description = 'The app asks for too many tokens.'
    return { status: 429, error: 'temporarily_unavailable', description, ...verified }
  }
  if ('problem' in verified) {
    const { kind, problem } = verified
    return kind === 'clock' ? badRequest(problem) : { status: 401, error: 'invalid_client', description: problem }
  }
  const { app, keyId } = verified
  const scopes = scopesOf(form.get('scope'), app.scopes)
  if (scopes === undefined)
    return { status: 400, error: 'invalid_scope', description: `The app may have ${app.scopes.join(', ')}.` }
  const expiresAt = Math.floor(clock.now() / 1000) + app.tokenLifetimeSeconds
  return {
    access_token: tokens.sign({ app: app.id, keyId, scopes, expiresAt }),
    token_type: 'Bearer',
    expires_in: app.tokenLifetimeSeconds,
    scope: scopes.join(' '),
  }
}

/** Whether `audience` is the address of this server, or that of its token endpoint, which is what other clients write there. */
function isAddress(audience: string, address: string): boolean {
  return audience.startsWith(address) && /^(?:\/v1)?\/?(?:\/token)?\/?$/.test(audience.slice(address.length))
}

/** Those that were asked for, or all; undefined when one of them is not the app's. */
function scopesOf(asked: string | null, allowed: readonly string[]): readonly string[] | undefined {
  const scopes = new Set((asked ?? '').split(/[\s,]+/).filter((scope) => scope !== ''))
  if (scopes.size === 0) return allowed
  return [...scopes].every((scope) => allowed.includes(scope)) ? [...scopes] : undefined
}

function badRequest(description: string): Refusal {
  return { status: 400, error: 'invalid_request', description }
}

function unavailable(description: string): Refusal {
  return {
    status: 503,
    error: 'temporarily_unavailable',
    description,
    retryAfterSeconds: UNAVAILABLE_RETRY_SECONDS,
  }
}
