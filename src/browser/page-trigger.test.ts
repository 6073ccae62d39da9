import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileTrigger } from '../language/index.ts'
import { browserCatalogue } from './browser-destinations.ts'
import { triggerForPage } from './page-trigger.ts'
import { conditions, messages } from './testing/fql-arbitraries.ts'

/** What the bundles hold: the package that they were built with reads triggers. */
const { parseFql, validate } = createRequire(import.meta.resolve('@segment/browser-destinations'))(
  '@segment/destination-subscriptions',
) as { parseFql: (text: string) => unknown; validate: (tree: unknown, message: unknown) => boolean }

test('whatever reaches a page is decided there as we decide it', () => {
  let compared = 0
  fc.assert(
    fc.property(conditions, fc.array(messages, { minLength: 1, maxLength: 8 }), (text, some) => {
      const forPage = triggerForPage(text)
      if (!forPage.ok) return
      const decide = compileTrigger(text)
      const tree = parseFql(forPage.value)
      for (const message of some) {
        compared += 1
        assert.equal(
          validate(tree, message),
          decide(message),
          `${text} as ${forPage.value}: ${JSON.stringify(message)}`,
        )
      }
    }),
    { numRuns: 10_000 },
  )
  assert.ok(compared > 2_000, `${compared} decisions compared`)
})

test('the triggers of all presets reach the page', () => {
  for (const [slug, { presets }] of Object.entries(browserCatalogue().destinations))
    for (const { trigger } of presets) assert.ok(triggerForPage(trigger).ok, `${slug}: ${trigger}`)
})

const written: [text: string, inPage: string][] = [
  [`event = 'Order Completed'`, 'event = "Order Completed"'],
  ['type = "track" and properties.total >= 10', 'type = "track" and properties.total >= 10'],
  // At one level the page would take the last word for all of them.
  ['type = "track" and event = "A" or event = "B"', '(type = "track" and event = "A") or event = "B"'],
  ['type = "track" and (event = "A" or event = "B")', 'type = "track" and (event = "A" or event = "B")'],
  ['(type = "page")', 'type = "page"'],
  ['type = "track" and (event = "A" and (userId != null))', 'type = "track" and event = "A" and userId != null'],
  ['!contains(event, "Test") and match(name, "Home*")', '!contains(event, "Test") and match(name, "Home*")'],
  ['properties.gift = true', 'properties.gift = true'],
]
for (const [text, inPage] of written) {
  test(`${text} is written for the page as ${inPage}`, () => {
    assert.deepEqual(triggerForPage(text), { ok: true, value: inPage })
  })
}

const refused = [
  '!(type = "track")',
  'event in ["A", "B"]',
  'lowercase(event) = "a"',
  'length(event) > 3',
  'match(event, "A*B")',
  'type = "track" and (contains(event, "A") or event = "B")',
  'type = "track" and (event = "A" or (event = "B" and userId != null))',
  'properties.length = 3',
  'properties.a\\.b = "x"',
  'event = "say \\"hi\\""',
  'properties.total = true and messageId = "x"',
  'event = null',
  'name = 5',
  'not a trigger',
]
for (const text of refused) {
  test(`${text} is refused, for a page would read it otherwise`, () => {
    const forPage = triggerForPage(text)
    assert.ok(!forPage.ok)
    assert.match(forPage.problem, /^(Web pages cannot decide this: |The trigger does not parse: )/)
  })
}
