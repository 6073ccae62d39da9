import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeVendor } from '../../test/support/fake-vendor.ts'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { createEgress } from './egress.ts'

test('a request arrives as it was given, with our user agent', async () => {
  const vendor = await fakeVendor()
  const settings = { allow: ['127.0.0.1/32'] }
  const egress = createEgress({ policy: () => settings, clock: systemClock, log: silentLogger, version: '1.2.3' })
  const response = await egress.send(vendor.url + '?a=1', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"type":"track"}',
    timeoutMs: 1000,
  })
  assert.equal(response.status, 200)
  console.log(vendor.requests)
  await egress.close()
  await vendor.close()
})
