import type { ConnectionPlan } from './plan.ts'

export const DETAIL_CHARACTERS_MAX = 4096

/** What we keep of an answer or an error: an excerpt without the secrets of the settings, as they are and as they stand in a URL
 *  or in basic authentication. */
export function excerpt(
  text: string | undefined,
  { secrets }: Pick<ConnectionPlan, 'secrets'>,
  charactersMax = DETAIL_CHARACTERS_MAX,
): string | undefined {
  if (text === undefined || text === '') return undefined
  // Cut last: a secret that the cut goes through must not be left in half.
  let clean = text.slice(0, 4 * DETAIL_CHARACTERS_MAX)
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]) {
      clean = clean.replaceAll(form, '[secret]')
    }
  }
  return clean.slice(0, charactersMax)
}

/** A failing destination says the same thousands of times a second. So many long excerpts a second are enough to tell why; the others
 *  are kept short, which bounds what an outage writes. */
const LONG_PER_SECOND = 20
const SHORT_CHARACTERS_MAX = 256

/** Says how long the next excerpt may be. */
export function createExcerptBudget(): (nowMs: number) => number {
  let second = 0
  let used = 0
  return (nowMs) => {
    const current = Math.floor(nowMs / 1000)
    if (current !== second) used = 0
    second = current
    return ++used <= LONG_PER_SECOND ? DETAIL_CHARACTERS_MAX : SHORT_CHARACTERS_MAX
  }
}
