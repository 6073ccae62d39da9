/** Who may come in: sign-in links, sessions, Public API tokens. Only hashes are kept; the tokens are random enough that a fast hash
 *  is safe. */
import { createHash } from 'node:crypto'
import type { ControlDatabase } from './control-database.ts'

const HOUR_MS = 3_600_000
const LINK_LIFE_MS = 24 * HOUR_MS
const SESSION_LIFE_MS = 30 * 24 * HOUR_MS

interface AccessParts {
  newId: () => string
  now: () => number
}

export interface Access {
  /** A token that signs a person in, once, within 24 hours. */
  createSignInLink(): Promise<string>
  /** A session token for it; undefined when it is unknown, used or too old. */
  useSignInLink(token: string): Promise<string | undefined>
  isSession(token: string): Promise<boolean>
  /** Whose Public API token it is; undefined when nobody's. */
  checkToken(token: string): Promise<{ name: string; role: string; workspace: number } | undefined>
}

export function createAccess(db: ControlDatabase, { newId, now }: AccessParts): Access {
  return {
    async createSignInLink() {
      const token = newId() + newId()
      await db.deleteFrom('sign_in_links').where('expires_at', '<', now()).execute()
      const row = { hash: hashToken(token), expires_at: now() + LINK_LIFE_MS, used_at: null }
      await db.insertInto('sign_in_links').values(row).execute()
      return token
    },
    useSignInLink: (token) =>
      db.transaction().execute(async (trx) => {
        // The condition and the mark are one statement: of two clicks at once, one gets in.
        const used = await trx
          .updateTable('sign_in_links')
          .set({ used_at: now() })
          .where('hash', '=', hashToken(token))
          .where('used_at', 'is', null)
          .where('expires_at', '>', now())
          .returning('hash')
          .executeTakeFirst()
        if (used === undefined) return undefined
        const session = newId() + newId()
        await trx.deleteFrom('sessions').where('expires_at', '<', now()).execute()
        const row = { hash: hashToken(session), expires_at: now() + SESSION_LIFE_MS }
        await trx.insertInto('sessions').values(row).execute()
        return session
      }),
    async isSession(token) {
      const query = db.selectFrom('sessions').select('hash').where('hash', '=', hashToken(token))
      return (await query.where('expires_at', '>', now()).executeTakeFirst()) !== undefined
    },
    checkToken: (token) =>
      db
        .selectFrom('tokens')
        .select(['name', 'role', 'workspace'])
        .where('hash', '=', hashToken(token))
        .executeTakeFirst(),
  }
}

/** SHA-256, hex. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
