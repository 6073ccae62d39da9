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
  scopes: string[]
  /** Seconds since 1970. */
  expiresAt: number
}

export interface AccessTokens {
  sign(claims: TokenClaims): string
  /** What a token of ours says, expired or not; undefined for any other text. */
  read(token: string): TokenClaims | undefined
}

const PREFIX = 'trb_'
const TOKEN_CHARACTERS_MAX = 1024

/** The first key signs; tokens of the others are still read. `random` makes equal claims different tokens. */
export function createAccessTokens(keys: KeyRing, random: () => string): AccessTokens {
  const derived = keys.map(({ bytes }) => Buffer.from(hkdfSync('sha256', bytes, '', 'tributary access token', 32)))
  // A key ring has at least one key.
  const signingKey = derived[0]!
  return {
    sign({ app, scopes, expiresAt }) {
      const payload = Buffer.from(JSON.stringify([app, scopes, expiresAt, random()])).toString('base64url')
      return `${PREFIX}${payload}.${signatureOf(payload, signingKey).toString('base64url')}`
    },
    read(token) {
      if (!token.startsWith(PREFIX) || token.length > TOKEN_CHARACTERS_MAX) return undefined
      const [payload = '', signature = '', ...rest] = token.slice(PREFIX.length).split('.')
      const given = Buffer.from(signature, 'base64url')
      const isOurs = derived.some((key) => isSame(given, signatureOf(payload, key)))
      if (!isOurs || rest.length > 0) return undefined
      // Signed by us, so the shape is that of `sign`.
      const [app, scopes, expiresAt] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [
        string,
        string[],
        number,
      ]
      return { app, scopes, expiresAt }
    },
  }
}

/** How a token that was revoked is named in the configuration. */
export function hashOfToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function signatureOf(payload: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(payload).digest()
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}
