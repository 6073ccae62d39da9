import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSentClientSide } from './bundled.ts'

test('a destination that the page has served is recognised by name or id', () => {
  assert.equal(isSentClientSide({ _metadata: { bundled: ['Google Ads'] } }, ['Google Ads']), true)
  assert.equal(isSentClientSide({ _metadata: { bundled: ['Old Name'] } }, ['New Name', 'Old Name']), true)
  assert.equal(isSentClientSide({ _metadata: { bundled: [], bundledIds: ['54521'] } }, ['X'], ['54521']), true)
})

test('a destination that the page has not served is not', () => {
  assert.equal(
    isSentClientSide({ _metadata: { bundled: ['Google Ads'], bundledIds: ['1'] } }, ['google ads'], ['2']),
    false,
  )
  for (const metadata of [
    undefined,
    null,
    {},
    [],
    'X',
    { bundled: 'X' },
    { bundled: { X: true } },
    { unbundled: ['X'] },
    { bundledIds: ['X'] },
  ]) {
    assert.equal(isSentClientSide({ _metadata: metadata }, ['X']), false, JSON.stringify(metadata))
  }
})
