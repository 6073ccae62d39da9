/** The signed assertion of an app that asks for a token: a JWT with RS256 (contract: ingest.md, OAuth 2.0; RFC 7523). */
import type { KeyObject } from 'node:crypto'
import { compactVerify, decodeJwt, decodeProtectedHeader, errors, type JWTPayload } from 'jose'
import type { Clock } from '../../base/clock.ts'
import type { KnownApp, OAuthApps } from './apps.ts'
import { createUsedIds } from './used-ids.ts'

/** What clocks may differ by. */
const TOLERANCE_SECONDS = 60
/** Between `iat` and `exp`; clients stay within a minute. */
const LIFETIME_SECONDS_MAX = 300
const ASSERTION_CHARACTERS_MAX = 8 * 1024
const ID_CHARACTERS_MAX = 256

/** Whose assertion it is, or why it does not count. `clock`: the times in it do not fit our clock, and the client may know ours from
 *  the answer's `Date` next time. `busy`: the app asks too often. */
export type Verified =
  { app: KnownApp; keyId: string } | { problem: string; kind: 'invalid' | 'clock' } | { retryAfterSeconds: number }

export interface AssertionVerifier {
  /** `isAudience`: whether `aud` means this server. */
  verify(assertion: string, isAudience: (audience: string) => boolean): Promise<Verified>
}

export function createAssertionVerifier({ clock, apps }: { clock: Clock; apps: OAuthApps }): AssertionVerifier {
  const used = createUsedIds()
  return {
    async verify(assertion, isAudience) {
      if (assertion.length > ASSERTION_CHARACTERS_MAX) return invalid('The assertion is too long.')
      const read = readParts(assertion)
      if (read === undefined) return invalid('The assertion is not a JWT with kid and sub.')
      const { keyId, payload } = read
      const app = apps.bySubject(read.subject)
      const key = app?.keys.get(keyId)
      if (app === undefined || key === undefined)
        return invalid('No app has this id or name (sub) and a key with this id (kid).')
      if (!(await isSigned(assertion, key))) return invalid('The signature is not one of this key with RS256.')
      const nowSeconds = clock.now() / 1000
      const problem = problemOf(payload, app, isAudience) ?? problemOfTime(payload, nowSeconds)
      if (problem !== undefined) return problem
      // `problemOf` has found both.
      const answer = used.use(app.id, payload.jti!, payload.exp! + TOLERANCE_SECONDS, nowSeconds)
      if (answer === 'used') return invalid('The assertion was used before (jti).')
      return answer === 'full' ? { retryAfterSeconds: TOLERANCE_SECONDS } : { app, keyId }
    },
  }
}

function invalid(problem: string): Verified {
  return { problem, kind: 'invalid' }
}

/** What it says, before anybody has looked at the signature. */
function readParts(assertion: string): { subject: string; keyId: string; payload: JWTPayload } | undefined {
  try {
    const { kid } = decodeProtectedHeader(assertion)
    const payload = decodeJwt(assertion)
    if (typeof kid !== 'string' || typeof payload.sub !== 'string') return undefined
    return { subject: payload.sub, keyId: kid, payload }
  } catch {
    return undefined
  }
}

/** Times are judged apart, by our clock: it matters which of them does not fit. */
async function isSigned(assertion: string, key: KeyObject): Promise<boolean> {
  try {
    await compactVerify(assertion, key, { algorithms: ['RS256'] })
    return true
  } catch (error) {
    if (error instanceof errors.JOSEError) return false
    throw error
  }
}

function problemOf(
  { iat, exp, iss, aud, jti }: JWTPayload,
  { id, name }: KnownApp,
  isAudience: (audience: string) => boolean,
): Verified | undefined {
  if (!isTime(iat) || !isTime(exp)) return invalid('The assertion has no times in seconds (iat, exp).')
  if (typeof jti !== 'string' || jti === '' || jti.length > ID_CHARACTERS_MAX)
    return invalid(`The assertion has no id of at most ${ID_CHARACTERS_MAX} characters (jti).`)
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud]
  if (!audiences.some((audience) => typeof audience === 'string' && isAudience(audience)))
    return invalid('The audience (aud) is not the address of this server.')
  const issuer: unknown = iss
  const isKnown = issuer === id || issuer === name || (typeof issuer === 'string' && isAudience(issuer))
  if (issuer !== undefined && !isKnown) return invalid('The issuer (iss) is neither the app nor this server.')
  if (exp <= iat || exp - iat > LIFETIME_SECONDS_MAX)
    return invalid(`The assertion is good for longer than ${LIFETIME_SECONDS_MAX} seconds, or never.`)
  return undefined
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** The sentences are part of the wire: at these two the Python SDK tries again, with our clock. */
function problemOfTime({ iat = 0, exp = 0, nbf }: JWTPayload, nowSeconds: number): Verified | undefined {
  if (exp <= nowSeconds - TOLERANCE_SECONDS) return { problem: 'Token is expired', kind: 'clock' }
  const startsAt = Math.max(iat, isTime(nbf) ? nbf : iat)
  if (startsAt > nowSeconds + TOLERANCE_SECONDS) return { problem: 'Token used before issued', kind: 'clock' }
  return undefined
}
