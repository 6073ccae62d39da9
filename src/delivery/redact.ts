import type { ConnectionPlan } from './plan.ts'

export const DETAIL_CHARACTERS_MAX = 4096

/** What we keep of an answer or an error: an excerpt without the secrets of the settings, as they are and as they stand in a URL
 *  or in basic authentication. */
export function excerpt(text: string | undefined, { secrets }: Pick<ConnectionPlan, 'secrets'>): string | undefined {
  if (text === undefined || text === '') return undefined
  // Cut last: a secret that the cut goes through must not be left in half.
  let clean = text.slice(0, 4 * DETAIL_CHARACTERS_MAX)
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]) {
      clean = clean.replaceAll(form, '[secret]')
    }
  }
  return clean.slice(0, DETAIL_CHARACTERS_MAX)
}
