/** Whether a request may write to a source that is connected to an OAuth app. */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { AppError } from '../../base/errors.ts'
import type { OAuthAppSnapshot, SourceSnapshot } from '../../snapshot/index.ts'
import { hashOfToken, type AccessTokens, type TokenClaims } from './access-token.ts'

/** Throws `unauthorized` when the request's token does not allow it to write to the source, or it has none and needs one. */
export type TokenCheck = (request: IncomingMessage, source: SourceSnapshot) => void

const WRITE_SCOPE = 'tracking_api:write'
/** Tokens that were read lately, so that a busy app costs one signature, not one a request. */
const REMEMBERED_MAX = 1_000

export function createTokenCheck(parts: {
  tokens: AccessTokens
  clock: Clock
  apps: () => readonly OAuthAppSnapshot[]
}): TokenCheck {
  const { tokens, clock, apps } = parts
  const remembered = new Map<string, TokenClaims & { hash: string }>()

  function read(token: string): (TokenClaims & { hash: string }) | undefined {
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
    const claims = token === undefined ? undefined : read(token)
    if (claims === undefined) {
      if (!oauth.isRequired) return
      throw unauthorized('This source takes messages with an access token of its OAuth app only.')
    }
    if (claims.app !== oauth.app)
      throw unauthorized('The access token is of an app that this source is not connected to.')
    if (claims.expiresAt <= clock.now() / 1000) throw unauthorized('The access token has expired.')
    if (!claims.scopes.includes(WRITE_SCOPE)) throw unauthorized(`The access token lacks the scope ${WRITE_SCOPE}.`)
    const app = apps().find(({ id }) => id === claims.app)
    if (app === undefined || app.revokedTokens.includes(claims.hash))
      throw unauthorized('The access token was revoked.')
  }
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^bearer\s+(\S+)\s*$/i.exec(headers.authorization ?? '')?.[1]
}

function unauthorized(message: string): AppError {
  return new AppError('unauthorized', 401, message, { hint: 'Ask POST /token for one.' })
}
