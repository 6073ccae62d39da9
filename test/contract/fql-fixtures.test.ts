/** The trigger language against Segment's own cases (read in place, so not part of `npm test`; `.ci/run` calls it). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileTriggerTree, formatTrigger, parseTrigger, type TriggerGroup } from '../../src/language/trigger.ts'
import { calls } from '../../src/protocol/index.ts'
import { readFixtures, type FixtureCase } from './shared-fixtures.ts'

const { cases } = readFixtures('segment-fql.segment.json')
assert.equal(cases.length, 237, 'the fixtures hold all cases')

for (const [index, fixture] of cases.entries()) {
  test(`${fixture.fn} ${index}: ${fixture.test}`, () => check(fixture))
}

function check({ fn, args: [input, message], toEqual, toMatchObject }: FixtureCase): void {
  const expected = toEqual ?? toMatchObject
  switch (fn) {
    case 'parseFql':
      return checkParse(input as string, expected)
    case 'generateFql':
      return assert.equal(formatTrigger(input as TriggerGroup), expected)
    case 'validate':
      return assert.equal(matches(input, message), expected)
    default:
      assert.fail(`unknown function ${fn}`)
  }
}

function checkParse(text: string, expected: unknown): void {
  const parsed = parseTrigger(text)
  if ((expected as { error?: unknown }).error) {
    assert.equal(parsed.ok, false)
  } else if (text === 'type = ') {
    // Segment's parser takes the end of the text for the string "eos", which no message has as its type. Ours refuses the
    // text, and like there it matches nothing. A tree binds only who keeps it (README of the fixtures).
    const tree = expected as TriggerGroup
    for (const type of calls) assert.equal(compileTriggerTree(tree)({ type }), false)
    assert.equal(parsed.ok, false)
  } else {
    assert.deepEqual(parsed, { ok: true, trigger: expected })
  }
}

/** Segment gives its evaluator what its parser made, an error included, and whatever came as the message. */
function matches(tree: unknown, message: unknown): boolean {
  if (typeof tree !== 'object' || tree === null || 'error' in tree) return false
  return compileTriggerTree(tree as TriggerGroup)(message as Record<string, unknown>)
}
