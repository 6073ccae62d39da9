import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeVendor } from '../../test/support/fake-vendor.ts'
import { openStage } from './testing/stage.ts'

test('each message of the source goes out whole, and is delivered once it was answered', async (t) => {
  const vendor = await fakeVendor()
  t.after(() => vendor.close())
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  const ids = await stage.emit(50)
  const status = await stage.until(({ delivered }) => delivered === 50)
  assert.deepEqual(
    vendor
      .messages()
      .map(({ messageId }) => messageId)
      .sort(),
    ids.sort(),
  )
  assert.deepEqual([status.received, status.waiting], [50, 0])
})
