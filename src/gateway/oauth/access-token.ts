/**
 * Access tokens: what an app gets for a signed assertion, and shows at the door. A token says itself what it is good for and is
 * signed with a key that every process of the installation comes to, so that the door needs no database and a restart changes
 * nothing. Form: `trb_<payload>.<signature>`, both base64url.
 */
import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { KeyRing } from '../../base/secrets.ts'

export interface TokenClaims {
  /** Id of the OAuth app. */
  app: string
  /** `kid` of the app's key that it was asked for with: a key that is taken from the app takes its tokens along. */
  keyId: string
  scopes: readonly string[]
  /** Seconds since 1970. */
  expiresAt: number
}

export interface AccessTokens {
  sign(claims: TokenClaims): string
  /** What a token of ours says, expired or not; undefined for any other text. */
  read(token: string): TokenClaims | undefined
}

const PREFIX = 'trb_'
/** An id of a key has up to 200 characters, which may be of any kind. */
const TOKEN_CHARACTERS_MAX = 4096

/** The first key signs; tokens of the others are still read. `newId` makes equal claims different tokens. */
export function createAccessTokens(keys: KeyRing, newId: () => string): AccessTokens {
  const derived = keys.map(({ bytes }) => Buffer.from(hkdfSync('sha256', bytes, '', 'tributary access token', 32)))
  // A key ring has at least one key.
  const signingKey = derived[0]!
  return {
    sign({ app, keyId, scopes, expiresAt }) {
      const payload = Buffer.from(JSON.stringify([app, keyId, scopes, expiresAt, newId()])).toString('base64url')
      return `${PREFIX}${payload}.${signatureOf(payload, signingKey)}`
    },
    read(token) {
      if (!token.startsWith(PREFIX) || token.length > TOKEN_CHARACTERS_MAX) return undefined
      const dot = token.indexOf('.')
      if (dot < 0) return undefined
      const payload = token.slice(PREFIX.length, dot)
      const signature = token.slice(dot + 1)
      if (!derived.some((key) => isSame(signature, signatureOf(payload, key)))) return undefined
      // Signed by us, so the shape is that of `sign`.
      const [app, keyId, scopes, expiresAt] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [
        string,
        string,
        string[],
        number,
      ]
      return { app, keyId, scopes, expiresAt }
    },
  }
}

/** How a token that was revoked is named in the configuration. */
export function hashOfToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function signatureOf(payload: string, key: Buffer): string {
  return createHmac('sha256', key).update(payload).digest('base64url')
}

/** Compares the texts, not the bytes that they stand for: those have several spellings, and a token that was revoked must not come
 *  back under another hash. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}
