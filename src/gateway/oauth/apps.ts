/** The OAuth apps as of the newest snapshot, prepared for look-ups: keys are read once, revoked tokens are found without a search. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import type { OAuthAppSnapshot, SnapshotSource } from '../../snapshot/index.ts'

export interface KnownApp {
  id: string
  name: string
  /** `kid` -> key. */
  keys: ReadonlyMap<string, KeyObject>
  tokenLifetimeSeconds: number
  scopes: readonly string[]
  /** Hashes of tokens. */
  revoked: ReadonlySet<string>
}

export interface OAuthApps {
  byId(id: string): KnownApp | undefined
  /** By id, or by a name that one app alone has. */
  bySubject(subject: string): KnownApp | undefined
  close(): void
}

export function createOAuthApps(snapshots: SnapshotSource): OAuthApps {
  let apps = indexApps(snapshots.current.oauthApps)
  const stop = snapshots.onChange((changed) => {
    apps = indexApps(changed.oauthApps)
  })
  return {
    byId: (id) => apps.get(id),
    bySubject(subject) {
      const byId = apps.get(subject)
      if (byId !== undefined) return byId
      const named = [...apps.values()].filter(({ name }) => name === subject)
      return named.length === 1 ? named[0] : undefined
    },
    close: stop,
  }
}

function indexApps(apps: readonly OAuthAppSnapshot[] = []): Map<string, KnownApp> {
  return new Map(
    apps.map(({ id, name, publicKeys, tokenLifetimeSeconds, scopes, revokedTokens }) => {
      const keys = new Map(Object.entries(publicKeys).flatMap(([kid, pem]) => keyOf(kid, pem)))
      return [id, { id, name, keys, tokenLifetimeSeconds, scopes, revoked: new Set(revokedTokens) }]
    }),
  )
}

/** RFC 7518 §3.3: a shorter RSA key must not be used. */
const KEY_BITS_MIN = 2048

/** Nothing for a key that cannot be used: the config file was checked when it was applied, so only one that an earlier version let
 *  pass can come here, and then the app has no such key. */
function keyOf(kid: string, pem: string): [string, KeyObject][] {
  try {
    const key = createPublicKey(pem)
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
    return key.asymmetricKeyType === 'rsa' && bits >= KEY_BITS_MIN ? [[kid, key]] : []
  } catch {
    return []
  }
}
