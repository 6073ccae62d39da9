/** What a person has agreed to, as a message carries it (contract: privacy.md §4). */
import { isJsonObject } from './json-values.ts'
import type { JsonObject } from './message.ts'

/** Tells of a person's choices; it goes to whoever maps it, so that tools learn of a withdrawal too. */
export const CONSENT_EVENT = 'Segment Consent Preference Updated'

/**
 * True when the message may go to a destination of these categories: each must be agreed to. A message that says nothing of
 * consent may go anywhere. Preferences that are empty, or no preferences at all in form, agree to nothing.
 */
export function isConsentedTo(message: JsonObject, categories: readonly string[]): boolean {
  if (categories.length === 0 || (message['type'] === 'track' && message['event'] === CONSENT_EVENT)) return true
  const context = message['context']
  const consent = isJsonObject(context) ? context['consent'] : undefined
  const preferences = isJsonObject(consent) ? consent['categoryPreferences'] : undefined
  if (preferences === undefined) return true
  if (!isJsonObject(preferences)) return false
  return categories.every((category) => Object.hasOwn(preferences, category) && preferences[category] === true)
}
