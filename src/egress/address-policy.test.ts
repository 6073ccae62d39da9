import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createAddressPolicy, isAddressRange } from './address-policy.ts'

const policy = createAddressPolicy([])

const refused: Record<string, string[]> = {
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '0:0:0:0:0:0:0:0'],
  'private network': [
    ...['10.0.0.0', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255'],
    ...['fc00::1', 'fd00:ec2::254', 'fdff:ffff::1', '::ffff:10.0.0.1', '::ffff:c0a8:101'],
  ],
  'shared address space': ['100.64.0.0', '100.100.100.200', '100.127.255.255'],
  loopback: ['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '0:0:0:0:0:ffff:7f00:1', '::1%lo'],
  'link-local, metadata service': ['169.254.0.1', '169.254.169.254', '169.254.170.2', '::ffff:169.254.169.254'],
  'link-local': ['fe80::1', 'fe80::1%eth0', 'febf::1'],
  'metadata service': ['168.63.129.16'],
  multicast: ['224.0.0.1', '239.255.255.250', 'ff02::1', 'ff0e::1'],
  'reserved, broadcast': ['240.0.0.1', '255.255.255.255'],
  reserved: ['192.0.0.192', '192.88.99.1', '2001::1', '2001:0:7f00:1::', '2001:2::1', '2001:10::1', '2001:20::1'],
  documentation: ['192.0.2.1', '198.51.100.7', '203.0.113.9', '2001:db8::1', '3fff::1'],
  benchmarking: ['198.18.0.1', '198.19.255.255'],
  'loopback, inside an IPv6 address': [
    ...['64:ff9b::127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '2002:7f00:0001::1'],
    ...['2600::5efe:127.0.0.1', '2600::200:5efe:7f00:1'],
  ],
  'private network, inside an IPv6 address': ['64:ff9b::10.1.2.3', '2002:c0a8:101::1', '2600::5efe:10.0.0.1'],
  'link-local, metadata service, inside an IPv6 address': ['64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::1'],
  'not a global address': [
    ...[
      '::127.0.0.1',
      '::8.8.8.8',
      '::2',
      '::ffff:0:127.0.0.1',
      '64:ff9b:1::1',
      '100::1',
      '5f00::1',
      'fec0::1',
      '4000::1',
    ],
  ],
  'not an address': ['', 'localhost', '127.1', '0x7f000001', '2130706433', '1.2.3.4.5', '1.2.3.4/32', '[::1]', '::1::'],
}

for (const [reason, addresses] of Object.entries(refused)) {
  test(`refused as ${reason}: ${addresses.join(', ')}`, () => {
    for (const address of addresses) assert.equal(policy.refusal(address), reason, address)
  })
}

test('public addresses are reachable, in every form that a network translates', () => {
  const reachable = [
    ...[
      '1.1.1.1',
      '8.8.8.8',
      '9.255.255.255',
      '11.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '126.255.255.255',
      '128.0.0.1',
    ],
    ...[
      '169.253.255.255',
      '169.255.0.0',
      '172.15.255.255',
      '172.32.0.0',
      '192.167.255.255',
      '192.169.0.0',
      '223.255.255.255',
    ],
    ...['2606:4700::1111', '2600::1', '2a00:1450:4001::200e', '::ffff:8.8.8.8', '64:ff9b::8.8.8.8', '2002:808:808::1'],
  ]
  for (const address of reachable) assert.equal(policy.refusal(address), undefined, address)
})

test('the operator opens ranges, and only those', () => {
  const opened = createAddressPolicy(['127.0.0.1/32', '10.1.0.0/16', 'fd00:1::/32', '192.168.7.7', ' ::1/128 '])
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '10.1.255.255', 'fd00:1::9', '192.168.7.7', '::1']) {
    assert.equal(opened.refusal(address), undefined, address)
  }
  for (const address of ['127.0.0.2', '10.2.0.0', 'fd00:2::9', '192.168.7.8', '64:ff9b::7f00:1', '169.254.169.254']) {
    assert.notEqual(opened.refusal(address), undefined, address)
  }
})

test('one range opens a whole family, and not the other', () => {
  const opened = createAddressPolicy(['0.0.0.0/0'])
  assert.equal(opened.refusal('169.254.169.254'), undefined)
  assert.notEqual(opened.refusal('::1'), undefined)
})

test('a range that cannot be read is not a range and allows nothing', () => {
  const bad = [
    '',
    'localhost',
    '127.0.0.1/33',
    '127.0.0.1/-1',
    '127.0.0.1/8/8',
    '10.0.0/8',
    '::/129',
    '*',
    '0x7f.0.0.1/8',
    '1.2.3.4/',
  ]
  for (const text of bad) assert.equal(isAddressRange(text), false, text)
  const opened = createAddressPolicy(bad)
  assert.equal(opened.refusal('127.0.0.1'), 'loopback')
  for (const text of ['10.0.0.0/8', '127.0.0.1', '::1', 'fd00::/8', '::ffff:10.0.0.1/32'])
    assert.ok(isAddressRange(text), text)
})

test('an IPv4 address is judged alike in its mapped forms', () => {
  const octet = fc.integer({ min: 0, max: 255 })
  fc.assert(
    fc.property(octet, octet, octet, octet, (a, b, c, d) => {
      const dotted = [a, b, c, d].join('.')
      const hex = `::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      assert.equal(policy.refusal(`::ffff:${dotted}`), policy.refusal(dotted))
      assert.equal(policy.refusal(hex), policy.refusal(dotted))
      const isRefused = policy.refusal(dotted) !== undefined
      assert.equal(policy.refusal(`64:ff9b::${dotted}`) !== undefined, isRefused)
      assert.equal(policy.refusal(`2002${hex.slice(6)}::1`) !== undefined, isRefused)
    }),
  )
})
