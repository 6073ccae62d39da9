import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import webhook from '../../connectors/destinations/webhook/index.ts'
import { fakeVendor, type FakeVendor, type VendorRequest } from '../../test/support/fake-vendor.ts'
import { eventFlags } from '../journal/index.ts'
import { field } from '../kit/index.ts'
import type { FilterSnapshot, MappingSnapshot } from '../snapshot/index.ts'

import { openStage, SOURCE } from './testing/stage.ts'

async function vendorOf(t: TestContext): Promise<FakeVendor> {
  const vendor = await fakeVendor()
  t.after(() => vendor.close())
  return vendor
}

function idsIn({ body }: VendorRequest): string[] {
  return [JSON.parse(body) as { messageId: string }].flat().map(({ messageId }) => messageId)
}

/** How often each message came. */
function timesSeen(vendor: FakeVendor): Map<string, number> {
  const seen = new Map<string, number>()
  for (const id of vendor.requests.flatMap(idsIn)) seen.set(id, (seen.get(id) ?? 0) + 1)
  return seen
}

function mapping(fields: Record<string, unknown>, more: Partial<MappingSnapshot> = {}): MappingSnapshot {
  return { id: 'map_1', name: 'Send', action: 'send', trigger: 'type = "track"', fields, isEnabled: true, ...more }
}

function dropFilter(condition: string): FilterSnapshot {
  return { title: 'no', if: condition, actions: [{ type: 'DROP' }], isEnabled: true }
}

test('each message of the source goes out whole and once, and counts as delivered', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  const ids = await stage.emit(200)
  await stage.emit(10, () => ({ source: SOURCE + 1 }))
  const status = await stage.until(({ delivered }) => delivered === 200)
  assert.deepEqual([...timesSeen(vendor)].sort(), ids.map((id) => [id, 1]).sort())
  assert.deepEqual([status.received, status.waiting], [200, 0])
})

test('decisions of the pipeline count without being sent', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(2, () => ({ type: 'rejected', message: { code: 'bad_request' } }))
  await stage.emit(3, () => ({ type: 'duplicate', message: { code: 'duplicate' } }))
  await stage.emit(1, () => ({ type: 'dropped', message: { code: 'JOURNAL_CORRUPT' } }))
  await stage.emit(4)
  const status = await stage.until(({ delivered }) => delivered === 4)
  assert.deepEqual(
    [status.received, status.rejected, status.duplicate, status.dropped],
    [10, { bad_request: 2 }, 3, { JOURNAL_CORRUPT: 1 }],
  )
})

test('a batch is full, or has waited long enough', async (t) => {
  const vendor = await vendorOf(t)
  const mappings = [mapping({ url: vendor.url, batch_size: 40 })]
  const stage = await openStage(t, { destinations: [{ mappings }] })
  await stage.start()
  const ids = await stage.emit(100)
  await stage.until(({ delivered }) => delivered === 100)
  assert.deepEqual(
    vendor.requests.map((request) => idsIn(request).length),
    [40, 40, 20],
  )
  assert.deepEqual(vendor.requests.flatMap(idsIn).sort(), ids.sort())
})

test('each reason for not sending has its code', async (t) => {
  const vendor = await vendorOf(t)
  const filters = [dropFilter('userId = "staff"')]
  const mappings = [
    mapping({ url: vendor.url }),
    mapping({ url: vendor.url }, { id: 'off', trigger: 'type = "page"', isEnabled: false }),
  ]
  const stage = await openStage(t, { destinations: [{ filters, mappings }] })
  await stage.start()
  const cases = [
    { message: { userId: 'staff' } },
    { flags: eventFlags.integrations, message: { integrations: { All: false } } },
    { flags: eventFlags.integrations, message: { integrations: { Webhooks: false } } },
    { flags: eventFlags.bundled, message: { _metadata: { bundled: ['Webhook'] } } },
    { type: 'page' as const },
    { message: { userId: 'guest' } },
  ]
  await stage.emit(cases.length, (index) => cases[index]!)
  const status = await stage.until(({ waiting, received }) => received === cases.length && waiting === 0)
  assert.equal(status.delivered, 1)
  assert.deepEqual(status.dropped, {
    FILTERED_BY_RULES: 1,
    FILTERED_BY_INTEGRATIONS_OBJECT: 2,
    MESSAGE_SENT_CLIENT_SIDE: 1,
    NO_MATCHING_MAPPING: 1,
  })
})

test('a message with two mappings counts once: as discarded when one of them fails', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(({ path }) => (path.endsWith('bad') ? 400 : 200))
  const mappings = [
    mapping({ url: vendor.url }),
    mapping({ url: `${vendor.url}/bad` }, { id: 'map_2', trigger: 'properties.bad = true' }),
  ]
  const stage = await openStage(t, { destinations: [{ mappings }] })
  await stage.start()
  await stage.emit(10, (index) => ({ message: { properties: { bad: index < 4 } } }))
  const status = await stage.until(({ waiting, received }) => received === 10 && waiting === 0)
  assert.deepEqual([status.delivered, status.discarded, status.deadLetters], [6, { 400: 4 }, 4])
  assert.equal(vendor.requests.length, 14)
})

test('what fails for now is tried again until it is taken', async (t) => {
  const vendor = await vendorOf(t)
  const seen = new Map<string, number>()
  vendor.answerWith((request) => {
    const [id = ''] = idsIn(request)
    seen.set(id, (seen.get(id) ?? 0) + 1)
    return seen.get(id)! < 3 ? (['reset', 503, 429] as const)[seen.size % 3]! : 200
  })
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(60)
  const status = await stage.until(({ delivered }) => delivered === 60)
  assert.deepEqual([status.discarded, status.waiting], [{}, 0])
  assert.ok([...timesSeen(vendor).values()].every((times) => times === 3))
})

test('Retry-After is honoured', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(() => (vendor.requests.length === 1 ? { status: 429, headers: { 'Retry-After': '1' } } : 200))
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(1)
  await stage.until(({ delivered }) => delivered === 1)
  const [first, second] = vendor.requests
  assert.ok(second!.atMs - first!.atMs >= 950, `${second!.atMs - first!.atMs} ms`)
})

test('at the end of the window a message becomes a dead letter with its last error', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith({ status: 500, body: 'out of order, token hush-hush' })
  const delivery = { retryWindowHours: 0.3 / 3600, retryMaxDelayMs: 50 }
  const stage = await openStage(t, {
    destinations: [{ settings: { url: vendor.url, sharedSecret: 'hush-hush' }, delivery }],
  })
  await stage.start()
  await stage.emit(30)
  const status = await stage.until(({ waiting, received }) => received === 30 && waiting === 0)
  assert.deepEqual([status.discarded, status.deadLetters], [{ 500: 30 }, 30])
  await stage.stop()
  await stage.start()
  const letters = await stage.delivery.deadLetters(1, {}, 100)
  assert.equal(letters.length, 30)
  assert.deepEqual(
    [letters[0]?.code, letters[0]?.status, letters[0]?.detail],
    ['500', 500, 'out of order, token [secret]'],
  )
  assert.ok(letters.every(({ attempts }) => attempts >= 2))
})

test('a permanent failure is not tried again', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(404)
  const stage = await openStage(t, {
    destinations: [{ url: vendor.url }, { number: 2, url: 'http://10.0.0.1/' }, { number: 3 }],
  })
  await stage.start()
  await stage.emit(5)
  const done = ({ waiting, received }: { waiting: number; received: number }) => received === 5 && waiting === 0
  assert.deepEqual((await stage.until(done, 1)).discarded, { 404: 5 })
  assert.deepEqual((await stage.until(done, 2)).discarded, { EGRESS_DENIED: 5 })
  assert.deepEqual((await stage.until(done, 3)).discarded, { INVALID_SETTINGS: 5 })
  assert.equal(vendor.requests.length, 5)
})

test('a destination that hangs delays no other', async (t) => {
  const [hanging, vendor] = [await vendorOf(t), await vendorOf(t)]
  hanging.answerWith('hang')
  const stage = await openStage(t, {
    destinations: [
      { url: hanging.url, delivery: { requestTimeoutMs: 60_000 } },
      { number: 2, url: vendor.url },
    ],
  })
  await stage.start()
  await stage.emit(15_000)
  const status = await stage.until(({ delivered }) => delivered === 15_000, 2)
  assert.equal(status.waiting, 0)
  assert.equal((await stage.status(1)).waiting, 15_000)
  assert.ok((await stage.status(1)).oldestWaitingSeconds > 0)
  hanging.answerWith(200)
})

test('after an outage everything drains, once', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith('reset')
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  const ids = await stage.emit(500)
  await vendor.until(({ requests }) => requests.length > 100)
  await stage.emit(500).then((more) => ids.push(...more))
  let answered = 0
  vendor.answerWith(() => {
    answered++
    return 200
  })
  await stage.until(({ delivered }) => delivered === 1000)
  assert.equal(answered, 1000)
})

test('an ordered connection keeps the order of each user under failures', async (t) => {
  const vendor = await vendorOf(t)
  const taken: { user: string; serial: number }[] = []
  let count = 0
  vendor.answerWith(({ body }) => {
    if (++count % 3 === 0) return 500
    const { userId, serial } = JSON.parse(body) as { userId: string; serial: number }
    taken.push({ user: userId, serial })
    return 200
  })
  const stage = await openStage(t, { destinations: [{ url: vendor.url, delivery: { ordered: true } }] })
  await stage.start()
  await stage.emit(300, (index) => ({ message: { userId: `u${index % 7}`, serial: index } }))
  await stage.until(({ delivered }) => delivered === 300)
  const last = new Map<string, number>()
  for (const { user, serial } of taken) {
    assert.ok(serial > (last.get(user) ?? -1), `${user}: ${serial} after ${last.get(user)}`)
    last.set(user, serial)
  }
})

test('on an ordered connection one user whose messages fail does not hold up the others, and a restart keeps the order', async (t) => {
  const vendor = await vendorOf(t)
  let isBroken = true
  const taken: number[] = []
  vendor.answerWith(({ body }) => {
    const { userId, serial } = JSON.parse(body) as { userId: string; serial: number }
    if (userId === 'bad' && isBroken) return 503
    if (userId === 'bad') taken.push(serial)
    return 200
  })
  const stage = await openStage(t, { destinations: [{ url: vendor.url, delivery: { ordered: true } }] })
  await stage.start()
  await stage.emit(400, (index) => ({ message: { userId: index % 2 === 0 ? 'bad' : `u${index}`, serial: index } }))
  await stage.until(({ delivered }) => delivered === 200)
  await stage.crash()
  isBroken = false
  await stage.start()
  await stage.until(({ delivered }) => delivered === 400)
  assert.deepEqual(
    taken,
    taken.toSorted((a, b) => a - b),
  )
  assert.equal(taken.length, 200)
})

test('the rate limit spaces requests', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url, delivery: { requestsPerSecond: 100 } }] })
  await stage.start()
  await stage.emit(60)
  await stage.until(({ delivered }) => delivered === 60)
  const took = vendor.requests.at(-1)!.atMs - vendor.requests[0]!.atMs
  assert.ok(took >= 500, `60 requests at 100 a second took ${took} ms`)
})

test('a fixed concurrency is never passed', async (t) => {
  const vendor = await vendorOf(t)
  let open = 0
  let most = 0
  const stage = await openStage(t, {
    destinations: [{ type: 'slow', delivery: { concurrency: 3 } }],
    definitionOf: () => ({
      name: 'Slow',
      description: 'Counts how many are under way.',
      settings: {},
      presets: [{ name: 'All', action: 'send', trigger: 'type = "track"', fields: {} }],
      actions: {
        send: {
          title: 'Send',
          description: 'Sends.',
          fields: {},
          async perform(request, { messagesJson }) {
            most = Math.max(most, ++open)
            await request(vendor.url, { method: 'POST', body: messagesJson[0]! })
            open--
          },
        },
      },
    }),
  })
  await stage.start()
  await stage.emit(40)
  await stage.until(({ delivered }) => delivered === 40)
  assert.equal(most, 3)
})

test('while a destination is disabled its messages are dropped, those that wait too; then it goes on', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(503)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(20)
  await vendor.until(({ requests }) => requests.length >= 20)
  stage.configure([{ url: vendor.url, isEnabled: false }])
  await stage.until(({ dropped }) => dropped['DESTINATION_DISABLED'] === 20)
  await stage.emit(5)
  await stage.until(({ dropped }) => dropped['DESTINATION_DISABLED'] === 25)
  vendor.answerWith(200)
  stage.configure([{ url: vendor.url }])
  await stage.emit(5)
  const status = await stage.until(({ delivered }) => delivered === 5)
  assert.equal(status.waiting, 0)
})

test('a deleted connection ends with its waiting messages discarded, also after a restart', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(503)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(20)
  await vendor.until(({ requests }) => requests.length >= 20)
  stage.configure([])
  const status = await stage.until(({ discarded }) => discarded['CONNECTION_DELETED'] === 20)
  assert.deepEqual([status.received, status.waiting], [20, 0])
  await stage.crash()
  await stage.start()
  assert.deepEqual(await stage.status(), status)
})

test('a connection begins at its start offset, and changed settings hold from the next attempt on', async (t) => {
  const [first, second] = [await vendorOf(t), await vendorOf(t)]
  const stage = await openStage(t, { destinations: [{ url: first.url, start: { 0: 100 } }] })
  await stage.emit(110)
  await stage.start()
  await stage.until(({ delivered }) => delivered === 10)
  stage.configure([{ url: second.url, start: { 0: 100 } }])
  await stage.emit(10)
  const status = await stage.until(({ delivered }) => delivered === 20)
  assert.deepEqual([status.received, first.requests.length + second.requests.length], [20, 20])
  assert.ok(second.requests.length > 0)
})

test('a connection that is made later counts and sends from its start on', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(50)
  await stage.until(({ delivered }) => delivered === 50)
  stage.configure([{ url: vendor.url }, { number: 2, url: vendor.url, start: { 0: 30 } }])
  await stage.emit(5)
  const status = await stage.until(({ delivered }) => delivered === 25, 2)
  assert.deepEqual([status.received, status.waiting], [25, 0])
})

test('trace tells the decision and every attempt of a message', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(() => (vendor.requests.length === 1 ? 500 : 202))
  const destinations = [{ url: vendor.url }, { number: 2, url: vendor.url, filters: [dropFilter('all')] }]
  const stage = await openStage(t, { destinations })
  await stage.start()
  await stage.emit(1)
  await stage.until(({ delivered }) => delivered === 1)
  const [sent, dropped] = await stage.delivery.trace(SOURCE, 0, 0)
  assert.equal(sent?.state, 'delivered')
  assert.deepEqual(
    sent?.attempts.map(({ attempt, state, code, status }) => ({ attempt, state, code, status })),
    [
      { attempt: 1, state: 'waiting', code: '500', status: 500 },
      { attempt: 2, state: 'delivered', code: undefined, status: 202 },
    ],
  )
  assert.deepEqual([dropped?.connection, dropped?.state, dropped?.code], [2, 'dropped', 'FILTERED_BY_RULES'])
  assert.deepEqual(await stage.delivery.trace(SOURCE, 0, 1), [
    { connection: 1, attempts: [], state: 'waiting' },
    { connection: 2, attempts: [], state: 'waiting' },
  ])
})

test('an opened delivery answers questions and sends nothing', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.emit(7)
  await stage.start({ sends: false })
  const status = await stage.status()
  assert.deepEqual([status.received, status.waiting, vendor.requests.length], [7, 7, 0])
  assert.deepEqual(await stage.delivery.recount(), [])
})

test('what the journal lost is counted as dropped or discarded, never as waiting for ever', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  const lost: Record<number, 'damaged' | 'corrupt' | 'expired'> = { 10: 'damaged', 20: 'corrupt', 21: 'corrupt' }
  stage.damage((offset) => lost[offset])
  await stage.start()
  await stage.emit(100)
  const status = await stage.until(({ waiting, received }) => received === 100 && waiting === 0)
  assert.deepEqual([status.delivered, status.dropped], [97, { JOURNAL_CORRUPT: 3 }])
  // What was damaged after it was counted and delivered makes no count wrong.
  stage.damage((offset) => (offset === 30 ? 'damaged' : lost[offset]))
  assert.deepEqual(await stage.delivery.recount(), [])
  await stage.stop()
  await stage.start()
  assert.deepEqual(await stage.status(), status)
})

test('what leaves the journal before a slow connection has read it is discarded as WINDOW_EXHAUSTED', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith('hang')
  const stage = await openStage(t, { destinations: [{ url: vendor.url, delivery: { requestTimeoutMs: 2_000 } }] })
  await stage.start()
  await stage.emit(12_000)
  await stage.emit(12_000, (index) => (index % 2 === 0 ? {} : { type: 'duplicate', message: { code: 'duplicate' } }))
  await stage.until(({ received }) => received === 24_000)
  // 100 frames that were counted, 50 of them messages, too far on for the connection to have read them.
  stage.damage((offset) => (offset >= 22_000 && offset < 22_100 ? 'expired' : undefined))
  vendor.answerWith(200)
  const status = await stage.until(({ waiting }) => waiting === 0)
  assert.deepEqual([status.duplicate, status.discarded, status.delivered], [6000, { WINDOW_EXHAUSTED: 50 }, 17_950])
})

test('a message that waits and is gone when its time comes is discarded as WINDOW_EXHAUSTED', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(503)
  const stage = await openStage(t, { destinations: [{ url: vendor.url, delivery: { retryFirstDelayMs: 200 } }] })
  await stage.start()
  await stage.emit(3)
  await vendor.until(({ requests }) => requests.length >= 3)
  stage.damage((offset) => (offset === 1 ? 'expired' : undefined))
  vendor.answerWith(200)
  const status = await stage.until(({ waiting }) => waiting === 0)
  assert.deepEqual([status.delivered, status.discarded, status.deadLetters], [2, { WINDOW_EXHAUSTED: 1 }, 0])
})

test('a connector that breaks on one message ends that message only', async (t) => {
  const vendor = await vendorOf(t)
  const breaking = (json: string | undefined) => {
    if (json?.includes('poison')) throw new TypeError('Cannot read properties of undefined')
  }
  const stage = await openStage(t, {
    destinations: [{ type: 'broken' }],
    definitionOf: () => ({
      name: 'Broken',
      description: 'Breaks.',
      settings: {},
      presets: [
        {
          name: 'All',
          action: 'send',
          trigger: 'type = "track"',
          fields: { id: { '@path': '$.messageId' }, kind: { '@path': '$.kind' } },
        },
      ],
      actions: {
        send: {
          title: 'Send',
          description: 'Sends.',
          fields: {
            id: field.string({ label: 'Id', description: 'Which.' }),
            kind: field.string({ label: 'Kind', description: 'What.' }),
          },
          batchSizeMax: ({ kind }) => {
            if (kind === 'key') throw new RangeError('No size')
            return 1
          },
          performBatch: async () => undefined,
          async perform(request, { messagesJson }) {
            breaking(messagesJson[0])
            await request(vendor.url, { method: 'POST', body: messagesJson[0]! })
          },
        },
      },
    }),
  })
  await stage.start()
  await stage.emit(20, (index) => ({ message: { kind: index === 7 ? 'poison' : index === 9 ? 'key' : 'good' } }))
  const status = await stage.until(({ waiting, received }) => received === 20 && waiting === 0)
  assert.deepEqual([status.delivered, status.discarded, status.deadLetters], [18, { INTERNAL: 2 }, 2])
})

test('a destination of a type that is not there waits, the others go on, and it goes on when the type has come', async (t) => {
  const vendor = await vendorOf(t)
  let isThere = false
  const stage = await openStage(t, {
    destinations: [{ url: vendor.url }, { number: 2, type: 'missing', url: vendor.url }],
    definitionOf(type) {
      if (type === 'missing' && !isThere) throw new Error('No such folder')
      return webhook
    },
  })
  await stage.start()
  await stage.emit(5)
  await stage.until(({ delivered }) => delivered === 5, 1)
  assert.equal((await stage.status(2)).waiting, 5)
  isThere = true
  stage.configure([{ url: vendor.url }, { number: 2, type: 'missing', url: vendor.url }])
  await stage.until(({ delivered }) => delivered === 5, 2)
})

test('the low watermark is where the slowest connection stands', async (t) => {
  const [hanging, vendor] = [await vendorOf(t), await vendorOf(t)]
  hanging.answerWith(({ body }) => (body.includes('"stuck":true') ? 'hang' : 200))
  const delivery = { requestTimeoutMs: 60_000 }
  const stage = await openStage(t, {
    destinations: [
      { url: hanging.url, delivery },
      { number: 2, url: vendor.url },
    ],
  })
  await stage.start()
  await stage.emit(40, (index) => ({ message: { stuck: index === 25 } }))
  await stage.until(({ delivered }) => delivered === 39, 1)
  await stage.until(({ delivered }) => delivered === 40, 2)
  assert.equal(stage.delivery.lowWatermark(0), 25)
  assert.ok(stage.delivery.lastDeliveredAt()! > 0)
})

test('while the circuit is open, what was tried ends with its window, and what was not tried waits', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(503)
  const delivery = { retryWindowHours: 30 / 3600, retryFirstDelayMs: 1000, retryMaxDelayMs: 2000, concurrency: 2 }
  const stage = await openStage(t, { destinations: [{ url: vendor.url, delivery }], timesFaster: 50 })
  await stage.start()
  await stage.emit(1_000)
  const away = await stage.until(({ discarded }) => (discarded['503'] ?? 0) >= 20)
  assert.ok(away.waiting > 0)
  vendor.answerWith(200)
  const back = await stage.until(({ waiting }) => waiting === 0)
  assert.equal(back.delivered + back.discarded['503']!, 1_000)
})
