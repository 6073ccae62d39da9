import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createBed, type Bed, type BedOptions } from './testing/loader-bed.ts'

async function aBed(t: TestContext, options?: BedOptions): Promise<Bed> {
  const bed = await createBed(options)
  t.after(() => bed.end())
  return bed
}

const orderCompleted = {
  type: 'track',
  event: 'Order Completed',
  messageId: 'm-1',
  userId: 'u1',
  anonymousId: 'a1',
  originalTimestamp: '2024-03-01T10:00:00.000Z',
  sentAt: '2024-03-01T10:00:05.000Z',
  context: { app: { version: '2.1' }, tags: ['x', 'y'] },
  properties: {
    orderId: 'o9',
    total: 30,
    shipTo: { zipCode: '94103' },
    products: [{ sku: 'G' }],
    userId: 'evil',
    note: null,
  },
}

test('a track call becomes a row in tracks and in the table of its event (contract §2.3)', async (t) => {
  const bed = await aBed(t)
  await bed.send([orderCompleted])
  const record = await bed.sync()
  assert.deepEqual(record.rows, { 'web.order_completed': 1, 'web.tracks': 1 })
  const common = {
    id: 'm-1',
    event: 'order_completed',
    event_text: 'Order Completed',
    user_id: 'u1',
    anonymous_id: 'a1',
    timestamp: '2024-03-01T10:00:02.000Z',
    original_timestamp: '2024-03-01T10:00:00.000Z',
    sent_at: '2024-03-01T10:00:05.000Z',
    received_at: '2024-03-01T10:00:07.000Z',
    context_app_version: '2.1',
    context_tags: '["x","y"]',
  }
  const [tracks] = await bed.sql('SELECT * EXCLUDE (uuid_ts) FROM web.tracks')
  assert.deepEqual(tracks, common)
  const [own] = await bed.sql('SELECT * EXCLUDE (uuid_ts) FROM web.order_completed')
  assert.deepEqual(own, {
    ...common,
    order_id: 'o9',
    total: 30,
    ship_to_zip_code: '94103',
    products: '[{"sku":"G"}]',
    _unmapped: '{"properties.userId":"evil"}',
  })
})
