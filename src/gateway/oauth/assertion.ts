/** The signed assertion of an app that asks for a token: a JWT with RS256 (contract: ingest.md, OAuth 2.0; RFC 7523). */
import { errors, importSPKI, jwtVerify, decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose'
import type { Clock } from '../../base/clock.ts'
import type { OAuthAppSnapshot } from '../../snapshot/index.ts'

/** What clocks may differ by. */
const TOLERANCE_SECONDS = 60
/** Between `iat` and `exp`; clients stay within a minute. */
const LIFETIME_SECONDS_MAX = 300
const ASSERTION_CHARACTERS_MAX = 8 * 1024
/** Ids of assertions that were used and have not expired. */
const USED_MAX = 10_000

export interface AssertionVerifier {
  /** The app that signed it, or why it does not count, for the one who sent it. */
  verify(assertion: string, audiences: readonly string[]): Promise<{ app: OAuthAppSnapshot } | { problem: string }>
}

export function createAssertionVerifier(parts: {
  clock: Clock
  apps: () => readonly OAuthAppSnapshot[]
}): AssertionVerifier {
  const { clock, apps } = parts
  // Id -> when it expires, in seconds.
  const used = new Map<string, number>()

  /** False when the assertion has been used, or too many are remembered to tell. */
  function use(id: string, expiresAt: number): boolean {
    const nowSeconds = clock.now() / 1000
    if (used.size >= USED_MAX) for (const [key, end] of used) if (end < nowSeconds) used.delete(key)
    if (used.size >= USED_MAX || (used.get(id) ?? 0) >= nowSeconds) return false
    used.set(id, expiresAt)
    return true
  }

  return {
    async verify(assertion, audiences) {
      if (assertion.length > ASSERTION_CHARACTERS_MAX) return { problem: 'The assertion is too long.' }
      const claimed = readClaims(assertion)
      if (claimed === undefined) return { problem: 'The assertion is not a JWT.' }
      const app = appOf(claimed.subject, apps())
      const pem =
        app !== undefined && Object.hasOwn(app.publicKeys, claimed.keyId) ? app.publicKeys[claimed.keyId] : undefined
      if (app === undefined || pem === undefined)
        return { problem: 'No app has this id (sub) and a key with this id (kid).' }
      const verified = await verifySignature(assertion, pem, audiences, clock)
      if (typeof verified === 'string') return { problem: verified }
      const problem = problemOf(verified, app, audiences, clock.now() / 1000)
      if (problem !== undefined) return { problem }
      // `problemOf` has found both.
      if (!use(`${app.id} ${verified.jti!}`, verified.exp! + TOLERANCE_SECONDS))
        return { problem: 'The assertion was used before (jti).' }
      return { app }
    },
  }
}

/** By id, or by name where that is not ambiguous. */
function appOf(subject: string, apps: readonly OAuthAppSnapshot[]): OAuthAppSnapshot | undefined {
  const byId = apps.find(({ id }) => id === subject)
  if (byId !== undefined) return byId
  const named = apps.filter(({ name }) => name === subject)
  return named.length === 1 ? named[0] : undefined
}

function readClaims(assertion: string): { subject: string; keyId: string } | undefined {
  try {
    const { kid } = decodeProtectedHeader(assertion)
    const { sub } = decodeJwt(assertion)
    return typeof kid === 'string' && typeof sub === 'string' ? { subject: sub, keyId: kid } : undefined
  } catch {
    return undefined
  }
}

async function verifySignature(
  assertion: string,
  pem: string,
  audiences: readonly string[],
  clock: Clock,
): Promise<JWTPayload | string> {
  try {
    const key = await importSPKI(pem, 'RS256')
    const { payload } = await jwtVerify(assertion, key, {
      algorithms: ['RS256'],
      audience: [...audiences],
      clockTolerance: TOLERANCE_SECONDS,
      currentDate: new Date(clock.now()),
      requiredClaims: ['iat', 'exp', 'jti', 'sub', 'aud'],
    })
    return payload
  } catch (error) {
    if (error instanceof errors.JOSEError) return `The assertion does not hold: ${error.message}.`
    throw error
  }
}

function problemOf(
  { iat = 0, exp = 0, iss, jti }: JWTPayload,
  { id, name }: OAuthAppSnapshot,
  audiences: readonly string[],
  nowSeconds: number,
): string | undefined {
  if (iat > nowSeconds + TOLERANCE_SECONDS) return 'The assertion was issued in the future (iat).'
  if (typeof jti !== 'string' || jti === '' || jti.length > 256) return 'The assertion has no id (jti).'
  if (exp - iat > LIFETIME_SECONDS_MAX) return `The assertion is good for longer than ${LIFETIME_SECONDS_MAX} seconds.`
  if (iss !== undefined && ![id, name, ...audiences].includes(iss)) return 'The issuer (iss) is another one.'
  return undefined
}
