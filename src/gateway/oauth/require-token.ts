/** Whether a request may write to a source that is connected to an OAuth app. */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { AppError } from '../../base/errors.ts'
import type { SourceSnapshot } from '../../snapshot/index.ts'
import { hashOfToken, type AccessTokens, type TokenClaims } from './access-token.ts'
import type { OAuthApps } from './apps.ts'

/** Throws `unauthorized` when the request's token does not allow it to write to the source, or it has none and needs one. A source
 *  that is not connected to an app is written to with the key alone, whatever token comes along. */
export type TokenCheck = (request: IncomingMessage, source: SourceSnapshot) => void

const WRITE_SCOPE = 'tracking_api:write'
/** Tokens that were read lately, so that a busy app costs one signature, not one a request. At most 5 MB. */
const REMEMBERED_MAX = 1_000

interface KnownToken extends TokenClaims {
  hash: string
}

export function createTokenCheck(parts: { tokens: AccessTokens; clock: Clock; apps: OAuthApps }): TokenCheck {
  const { tokens, clock, apps } = parts
  const remembered = new Map<string, KnownToken>()

  function read(token: string): KnownToken | undefined {
    const known = remembered.get(token)
    if (known !== undefined) return known
    const claims = tokens.read(token)
    if (claims === undefined) return undefined
    // The one that came first goes first.
    if (remembered.size >= REMEMBERED_MAX) remembered.delete(remembered.keys().next().value!)
    const entry = { ...claims, hash: hashOfToken(token) }
    remembered.set(token, entry)
    return entry
  }

  return (request, { oauth }) => {
    if (oauth === undefined) return
    const token = bearerOf(request)
    const known = token === undefined ? undefined : read(token)
    if (known === undefined) {
      if (!oauth.isRequired) return
      throw new Unauthorized('This source takes messages with an access token of its OAuth app only.')
    }
    if (known.app !== oauth.app)
      throw new Unauthorized('The access token is of an app that this source is not connected to.')
    if (known.expiresAt <= clock.now() / 1000) throw new Unauthorized('The access token has expired.')
    if (!known.scopes.includes(WRITE_SCOPE)) throw new Unauthorized(`The access token lacks the scope ${WRITE_SCOPE}.`)
    const app = apps.byId(known.app)
    if (app === undefined || !app.keys.has(known.keyId) || app.revoked.has(known.hash))
      throw new Unauthorized('The access token was revoked, or the key that it was asked for with.')
  }
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  const { authorization } = headers
  // Nearly every request is Basic, and this is asked for each one of a connected source.
  return authorization === undefined ? undefined : /^bearer\s+(\S+)\s*$/i.exec(authorization)?.[1]
}

/** Answered with `WWW-Authenticate: Bearer` (RFC 6750 §3). */
export class Unauthorized extends AppError {
  constructor(message: string) {
    super('unauthorized', 401, message, { hint: 'Ask POST /token for one.' })
  }
}
