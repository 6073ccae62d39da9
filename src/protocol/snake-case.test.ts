import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { snakeCase } from './snake-case.ts'

test('names become what Segment makes of them', () => {
  const cases: [string, string][] = [
    ['Order Completed', 'order_completed'],
    ['SIGNED UP', 'signed_up'],
    ['utm_source', 'utm_source'],
    ['page.url', 'page_url'],
    ['Total $ Spent', 'total_spent'],
    ['A/B Test', 'a_b_test'],
    ['HTMLPage', 'htmlpage'],
    ['iOSVersion', 'i_osversion'],
    ['v2APIKey', 'v2_apikey'],
    ['samPLE text', 'sam_ple_text'],
    ['_private', 'private'],
    ['edf_6N', 'edf_6n'],
    ['5TEst', '5test'],
    ['Café Visited', 'caf_visited'],
    ['orderCompleted', 'order_completed'],
    ['userID', 'user_id'],
    ['utm__source', 'utm_source'],
    ['product-id', 'product_id'],
    ['10% Off', '10_off'],
    ['Sign-Up (Web)', 'sign_up_web'],
    ['eventURLPath', 'event_urlpath'],
    ['isVIP', 'is_vip'],
    ['a1B2c3', 'a1_b2c3'],
    ['CStringRef', 'cstring_ref'],
    ['trailing_', 'trailing'],
    ['f_pX9', 'f_p_x9'],
    ['2FA Enabled', '2fa_enabled'],
    ['日本語', ''],
    ['', ''],
    ['___', ''],
    ['nestedA', 'nested_a'],
    ['nestedB', 'nested_b'],
  ]
  for (const [name, expected] of cases) assert.equal(snakeCase(name), expected, name)
})

test('a name in snake case stays as it is, so naming twice changes nothing', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9 _.$-]{0,20}$/)
  fc.assert(
    fc.property(fc.oneof(name, fc.string({ unit: 'grapheme' })), (text) => {
      const once = snakeCase(text)
      assert.match(once, /^(?:[a-z0-9]+(?:_[a-z0-9]+)*)?$/)
      assert.equal(snakeCase(once), once)
    }),
  )
})
