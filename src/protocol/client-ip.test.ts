import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maskIp } from './client-ip.ts'

test('a masked address keeps its network and loses its host', () => {
  const cases: [unknown, string | undefined][] = [
    ['203.0.113.77', '203.0.113.0'],
    ['0.0.0.0', '0.0.0.0'],
    ['::ffff:203.0.113.77', '203.0.113.0'],
    ['2001:db8:85a3:8d3:1319:8a2e:370:7348', '2001:db8:85a3::'],
    ['2001:0DB8::1', '2001:db8:0::'],
    ['::1', '0:0:0::'],
    ['::', '0:0:0::'],
    ['fe80::', 'fe80:0:0::'],
    ['1:2:3:4:5:6:7::', '1:2:3::'],
  ]
  for (const [address, expected] of cases) assert.equal(maskIp(address), expected, String(address))
})

test('what is not an address is not kept under a mask', () => {
  for (const address of [
    '',
    'unknown',
    '203.0.113',
    'a.b.c.d',
    '203.0.113.77, 10.0.0.1',
    'jane@example.com',
    '12:30',
    7,
    null,
    {},
    [],
  ]) {
    assert.equal(maskIp(address), undefined, String(address))
  }
})
