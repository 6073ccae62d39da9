import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkTrigger, compileTrigger, formatTrigger, parseTrigger, triggerNeedsOnlyType } from './trigger.ts'

const message = {
  type: 'track',
  event: 'Order Completed',
  userId: 'u1',
  properties: { total: 5, text: '5', gift: true, gone: null, 'a.b': 'dotted', coupon: 'X*1' },
  context: { ip: '1.2.3.4' },
}

const answers: [text: string, expected: boolean][] = [
  ['event = "Order Completed"', true],
  ["event != 'Order Completed'", false],
  ['name != "Home"', true],
  ['properties.total = 5', true],
  ['properties.text = 5', false],
  ['properties.text = "5"', true],
  ['properties.total = "5"', false],
  ['properties.total != 6', true],
  ['properties.missing != 6', false],
  ['properties.missing != "x"', true],
  ['properties.total >= 5 and properties.total < 6', true],
  ['properties.text >= 5', false],
  ['contains(event, "Order")', true],
  ['!contains(event, "Order")', false],
  ['!contains(properties.missing, "x")', false],
  ['!match(properties.total, "x*")', false],
  ['match(event, "Order*") and match(event, "*Completed")', true],
  ['match(event, "O*d")', true],
  ['match(properties.coupon, "X\\**")', true],
  ['match(properties.coupon, "X1*")', false],
  ['properties.gone = null and properties.missing = null', true],
  ['properties.gone != null', false],
  ['userId != null', true],
  ['properties.gift = true', true],
  ['properties.gift = "true"', false],
  ['properties.a\\.b = "dotted"', true],
  ['context.ip = "1.2.3.4"', true],
  ['type = "track" and (event = "x" or event = "Order Completed")', true],
  ['type = "page" or type = "track" and event = "Order Completed"', true],
  // Whatever else FQL can say.
  ['type in ["track", "page"] and lowercase(event) = "order completed"', true],
  ['properties.gift and anonymousId = null', true],
]

for (const [text, expected] of answers) {
  test(`${text} ${expected ? 'matches' : 'does not match'}`, () => {
    assert.equal(compileTrigger(text)(message), expected)
    const parsed = parseTrigger(text)
    assert.ok(parsed.ok)
    assert.equal(compileTrigger(formatTrigger(parsed.trigger))(message), expected, 'and so does its printed form')
  })
}

test('a trigger that does not parse matches nothing, and says why when it is checked', () => {
  for (const text of ['', 'typo', 'type', 'type = ', 'type * "x"']) {
    assert.equal(compileTrigger(text)(message), false)
    assert.match(checkTrigger(text) ?? '', /^The trigger does not parse at character \d+: .+\.$/)
  }
  assert.equal(checkTrigger('type = "track"'), undefined)
})

test('a trigger that cannot be decided does not match', () => {
  assert.equal(compileTrigger('length(properties) > 1')(message), false)
  assert.equal(compileTrigger('type = "track" and lowercase(properties.total) = "5"')(message), false)
})

test('a trigger about the type alone is known without the message', () => {
  const callsOf = (text: string): string[] | undefined => {
    const types = triggerNeedsOnlyType(text)
    return types && [...types]
  }
  assert.deepEqual(callsOf('type = "track"'), ['track'])
  assert.deepEqual(callsOf('type = "track" or type = "page"'), ['track', 'page'])
  assert.deepEqual(callsOf('type != "alias"'), ['identify', 'track', 'page', 'screen', 'group'])
  assert.deepEqual(callsOf('type in ["group"] or match(type, "s*")'), ['screen', 'group'])
  assert.deepEqual(callsOf('not FQL'), [])
  assert.equal(callsOf('type = "track" and event = "x"'), undefined)
  assert.equal(callsOf('properties.type = "track"'), undefined)
})

test('deciding any text for any message gives true or false, and its printed form decides alike', () => {
  const parts = [
    'type',
    'properties.x',
    'event',
    ' = ',
    '!=',
    '<',
    '"a*"',
    '5',
    'null',
    ' and ',
    ' or ',
    '!',
    'contains(',
    'match(',
    ',',
    ')',
    '(',
    '[',
    ']',
    ' in ',
  ]
  const text = fc.array(fc.constantFrom(...parts), { maxLength: 12 }).map((chosen) => chosen.join(''))
  const about = fc.record(
    { type: fc.jsonValue(), event: fc.jsonValue(), properties: fc.record({ x: fc.jsonValue() }) },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(text, about, (trigger, subject) => {
      const decided = compileTrigger(trigger)(subject)
      assert.equal(typeof decided, 'boolean')
      const parsed = parseTrigger(trigger)
      if (parsed.ok) assert.equal(compileTrigger(formatTrigger(parsed.trigger))(subject), decided)
    }),
    { numRuns: 5000 },
  )
})
