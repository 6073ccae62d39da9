import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isConsentedTo } from './consent.ts'
import type { JsonObject } from './message.ts'

const withPreferences = (categoryPreferences: unknown): JsonObject => ({
  context: { consent: { categoryPreferences } },
})

const cases: [what: string, message: JsonObject, categories: string[], expected: boolean][] = [
  ['nothing is said of consent', {}, ['ad'], true],
  ['the consent object is empty', { context: { consent: {} } }, ['ad'], true],
  ['the destination has no categories', withPreferences({ ad: false }), [], true],
  ['the one category is agreed to', withPreferences({ ad: true, analytics: false }), ['ad'], true],
  ['the one category is refused', withPreferences({ ad: false, analytics: true }), ['ad'], false],
  ['one of two is refused', withPreferences({ ad: true, analytics: false }), ['ad', 'analytics'], false],
  ['both are agreed to', withPreferences({ ad: true, analytics: true, more: false }), ['ad', 'analytics'], true],
  ['the category is missing', withPreferences({ analytics: true }), ['ad'], false],
  ['the preferences are empty', withPreferences({}), ['ad'], false],
  ['the preferences are no object', withPreferences('all'), ['ad'], false],
  ['a value is not quite true', withPreferences({ ad: 'true' }), ['ad'], false],
  ['a category is called as something every object has', withPreferences({}), ['constructor'], false],
  [
    'the event tells of the choice itself',
    { type: 'track', event: 'Segment Consent Preference Updated', ...withPreferences({ ad: false }) },
    ['ad'],
    true,
  ],
]
for (const [what, message, categories, expected] of cases) {
  test(`when ${what}, the message ${expected ? 'goes' : 'does not go'} out`, () => {
    assert.equal(isConsentedTo(message, categories), expected)
  })
}
