import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Registry } from '../base/metrics.ts'
import { eventKinds } from '../journal/index.ts'
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

const identify = (messageId: string, fields: object) => ({ type: 'identify', messageId, ...fields })
const aTrack = (messageId: string, fields: object = {}) => {
  return { type: 'track', event: 'E', messageId, anonymousId: 'a1', ...fields }
}

test('identify, group, page and alias calls (contract §2.4)', async (t) => {
  const bed = await aBed(t)
  await bed.send([
    identify('i1', {
      userId: 'u1',
      anonymousId: 'a1',
      traits: { email: 'j@x.io', firstName: 'Jo', address: { city: 'Rome' } },
    }),
    identify('i2', { userId: 'u1', traits: { plan: 'pro', email: null } }),
    identify('i3', { anonymousId: 'a2', traits: { plan: 'free' } }),
    { type: 'group', messageId: 'g1', userId: 'u1', groupId: 'org9', traits: { name: 'Acme', employees: 20 } },
    {
      type: 'page',
      messageId: 'p1',
      anonymousId: 'a1',
      name: 'Pricing',
      category: 'Docs',
      properties: { url: 'https://x.io/p', utm: { source: 'ad' } },
    },
    { type: 'screen', messageId: 's1', anonymousId: 'a1', name: 'Home' },
    { type: 'alias', messageId: 'al1', previousId: 'a1', userId: 'u1' },
  ])
  await bed.sync()
  assert.deepEqual(
    await bed.sql(
      'SELECT id, user_id, anonymous_id, email, first_name, address_city, plan FROM web.identifies ORDER BY id',
    ),
    [
      {
        id: 'i1',
        user_id: 'u1',
        anonymous_id: 'a1',
        email: 'j@x.io',
        first_name: 'Jo',
        address_city: 'Rome',
        plan: null,
      },
      { id: 'i2', user_id: 'u1', anonymous_id: null, email: null, first_name: null, address_city: null, plan: 'pro' },
      { id: 'i3', user_id: null, anonymous_id: 'a2', email: null, first_name: null, address_city: null, plan: 'free' },
    ],
  )
  assert.deepEqual(await bed.sql('SELECT * EXCLUDE (received_at, uuid_ts) FROM web.users'), [
    { id: 'u1', email: null, first_name: 'Jo', address_city: 'Rome', plan: 'pro' },
  ])
  assert.deepEqual(await bed.sql('SELECT id, group_id, user_id, name, employees FROM web.groups'), [
    { id: 'g1', group_id: 'org9', user_id: 'u1', name: 'Acme', employees: 20 },
  ])
  assert.deepEqual(await bed.sql('SELECT * EXCLUDE (received_at, uuid_ts) FROM web.accounts'), [
    { id: 'org9', name: 'Acme', employees: 20 },
  ])
  assert.deepEqual(await bed.sql('SELECT id, name, category, url, utm_source FROM web.pages'), [
    { id: 'p1', name: 'Pricing', category: 'Docs', url: 'https://x.io/p', utm_source: 'ad' },
  ])
  assert.deepEqual(await bed.sql('SELECT id, name, category FROM web.screens'), [
    { id: 's1', name: 'Home', category: null },
  ])
  assert.deepEqual(await bed.sql('SELECT id, previous_id, user_id FROM web.aliases'), [
    { id: 'al1', previous_id: 'a1', user_id: 'u1' },
  ])
})

test('numbers keep the digits that were sent, and characters that no warehouse takes become U+FFFD', async (t) => {
  const bed = await aBed(t)
  await bed.sendText(
    `{"batch":[{"type":"track","event":"E","messageId":"m1","anonymousId":"a","properties":{
      "big":9007199254740993,"huge":123456789012345678901234567890,"text":"a\\u0000b\\ud800","li\\u0000st":["\\udc00"]}}]}`,
  )
  await bed.sync()
  assert.deepEqual(await bed.sql('SELECT big, huge, text, li_st, _unmapped FROM web.e'), [
    {
      big: '9007199254740993',
      huge: 1.2345678901234568e29,
      text: 'a\uFFFDb\uFFFD',
      li_st: '["\uFFFD"]',
      _unmapped: '{"properties.huge":123456789012345678901234567890}',
    },
  ])
})

test('a column that is too narrow is widened by a later load, old values and new', async (t) => {
  const bed = await aBed(t)
  await bed.send([aTrack('m1', { properties: { n: 1, due: '2024-01-01T00:00:00Z', ok: true, s: 'x' } })])
  await bed.sync()
  await bed.send([aTrack('m2', { properties: { n: 1.5, due: 'soon', ok: 'maybe', s: 5 } })])
  const record = await bed.sync()
  assert.deepEqual(record.notices, {})
  assert.deepEqual(await bed.sql('SELECT n, due, ok, s FROM web.e ORDER BY id'), [
    { n: 1, due: '2024-01-01T00:00:00.000Z', ok: 'true', s: 'x' },
    { n: 1.5, due: 'soon', ok: 'maybe', s: '5' },
  ])
})

test('widening keeps the digits of integers that no float holds', async (t) => {
  const bed = await aBed(t)
  const send = (id: string, n: string) => {
    return bed.sendText(
      `{"batch":[{"type":"track","event":"E","messageId":"${id}","anonymousId":"a","properties":{"n":${n},"o":${n}}}]}`,
    )
  }
  await send('m1', '9007199254740993')
  await send('m2', '7')
  await bed.sync()
  await send('m3', '1.5')
  await bed.sync()
  await send('m4', '9007199254740995')
  await bed.sync()
  assert.deepEqual(await bed.sql('SELECT n, o, _unmapped FROM web.e ORDER BY id'), [
    {
      n: 9007199254740992,
      o: 9007199254740992,
      _unmapped: '{"properties.n":9007199254740993,"properties.o":9007199254740993}',
    },
    { n: 7, o: 7, _unmapped: null },
    { n: 1.5, o: 1.5, _unmapped: null },
    {
      n: 9007199254740996,
      o: 9007199254740996,
      _unmapped: '{"properties.n":9007199254740995,"properties.o":9007199254740995}',
    },
  ])
})

test('two sources whose slugs give one schema name do not share it', async (t) => {
  const bed = await aBed(t, { sources: ['web-shop', 'web_shop'] })
  await bed.send([aTrack('m1')])
  await bed.send([aTrack('m1')], { source: 2 })
  assert.deepEqual((await bed.sync()).rows, {
    'web_shop.e': 1,
    'web_shop.tracks': 1,
    'web_shop_2.e': 1,
    'web_shop_2.tracks': 1,
  })
})

test('a source without messages does not keep the journal', async (t) => {
  const bed = await aBed(t, { sources: ['web', 'silent'] })
  await bed.send([aTrack('m1')])
  await bed.sync()
  assert.equal(bed.loader.lowWatermark(0), 1)
})

test('a value that cannot be cast is in _unmapped, and the sync says how many', async (t) => {
  const bed = await aBed(t)
  await bed.send([aTrack('m1', { properties: { total: 1 } })])
  await bed.sync()
  await bed.send([aTrack('m2', { properties: { total: '12 EUR' } })])
  const record = await bed.sync()
  assert.equal(record.status, 'partial')
  assert.deepEqual(record.notices, { 'e: cast_failed': 1 })
  assert.deepEqual(await bed.sql('SELECT id, total, _unmapped FROM web.e ORDER BY id'), [
    { id: 'm1', total: 1, _unmapped: null },
    { id: 'm2', total: null, _unmapped: '{"properties.total":"12 EUR"}' },
  ])
})

test('a restart goes on at the cursor', async (t) => {
  const bed = await aBed(t)
  await bed.send([aTrack('m1'), aTrack('m2')])
  await bed.sync()
  await bed.restart()
  await bed.send([aTrack('m3')])
  assert.deepEqual((await bed.sync()).rows, { 'web.e': 1, 'web.tracks': 1 })
  await bed.restart()
  assert.deepEqual((await bed.sync()).rows, {})
  assert.deepEqual(await bed.sql('SELECT count(*)::INT AS n, count(DISTINCT id)::INT AS ids FROM web.tracks'), [
    { n: 3, ids: 3 },
  ])
})

test('a new journal beside an old warehouse is read from its start, and an id stays one row', async (t) => {
  const bed = await aBed(t)
  await bed.send([aTrack('m1'), identify('i1', { userId: 'u1', traits: { plan: 'old' } })])
  await bed.sync()
  await bed.renewJournal()
  await bed.send([
    aTrack('m1'),
    aTrack('m2'),
    // Received later, with an id that is known: must not touch the user.
    identify('i1', { userId: 'u1', traits: { plan: 'spoilt' }, receivedAt: '2030-01-01T00:00:00.000Z' }),
  ])
  assert.deepEqual((await bed.sync()).rows, {
    'web.e': 1,
    'web.tracks': 1,
    'web.identifies': 0,
    'web.users': 0,
  })
  assert.deepEqual(await bed.sql('SELECT id FROM web.tracks ORDER BY id'), [{ id: 'm1' }, { id: 'm2' }])
  assert.deepEqual(await bed.sql('SELECT plan FROM web.users'), [{ plan: 'old' }])
  const [status] = (await bed.loader.status()).connections
  assert.deepEqual([status?.received, status?.delivered, status?.waiting], [3, 3, 0])
})

test('a late identify fills what is missing in users and overwrites nothing', async (t) => {
  const bed = await aBed(t)
  const at = (day: number) => `2024-03-0${day}T00:00:00.000Z`
  await bed.send([identify('i2', { userId: 'u1', traits: { plan: 'pro' }, receivedAt: at(2) })])
  await bed.sync()
  await bed.send([identify('i1', { userId: 'u1', traits: { plan: 'free', name: 'Jo' }, receivedAt: at(1) })])
  await bed.sync()
  assert.deepEqual(await bed.sql('SELECT id, plan, name, received_at FROM web.users'), [
    { id: 'u1', plan: 'pro', name: 'Jo', received_at: at(2) },
  ])
})

test('hostile names of events and properties are tables and columns, and run no SQL', async (t) => {
  const bed = await aBed(t)
  const hostile = [
    `x"; DROP SCHEMA web CASCADE; --`,
    `'; DELETE FROM web.tracks; --`,
    '😀 party 😀',
    'n'.repeat(400),
    '\\',
    '%s',
  ]
  await bed.send(
    hostile.map((name, i) =>
      aTrack(`m${i}`, { event: name, properties: { [name]: name, [`${name}2`]: { [name]: i } } }),
    ),
  )
  await bed.sync()
  assert.equal((await bed.sql('SELECT * FROM web.tracks')).length, hostile.length)
  const tables = await bed.sql(
    `SELECT DISTINCT table_name AS name FROM duckdb_columns() WHERE schema_name = 'web' ORDER BY 1`,
  )
  assert.deepEqual(
    tables.map(({ name }) => String(name).slice(0, 24)),
    ['delete_from_web_tracks', 'n'.repeat(24), 'party', 's', 'tracks', 'x_drop_schema_web_cascad'],
  )
})

test('the ledger counts every frame of the source once, whatever became of it', async (t) => {
  const bed = await aBed(t, { sources: ['web', 'api'] })
  await bed.send([aTrack('m1'), aTrack('m2', { integrations: { Warehouses: { all: false } } })])
  await bed.send([
    aTrack('m3', { integrations: { All: false, Warehouses: { warehouseIds: ['local', 'unknown'] } } }),
    aTrack('m4', { integrations: { All: false, Warehouses: { warehouseIds: ['other'] } } }),
    aTrack('m5', { integrations: { All: false } }),
  ])
  const decision = (kind: number, code: string) => ({ kind, body: [Buffer.from(JSON.stringify({ code }))] })
  await bed.append([
    decision(eventKinds.rejected, 'bad_request'),
    decision(eventKinds.duplicate, 'duplicate'),
    decision(eventKinds.dropped, 'BLOCKED'),
    decision(eventKinds.rejected, 'bad_request'),
  ])
  await bed.send([aTrack('n1')], { source: 2 })

  const before = (await bed.loader.status()).connections.map(({ source, received, waiting }) => [
    source,
    received,
    waiting,
  ])
  assert.deepEqual(before, [
    ['web', 9, 9],
    ['api', 1, 1],
  ])
  await bed.sync()
  await bed.restart()
  const [web, api] = (await bed.loader.status()).connections
  assert.deepEqual(web, {
    source: 'web',
    warehouse: 'local',
    received: 9,
    rejected: { bad_request: 2 },
    duplicate: 1,
    dropped: { FILTERED_BY_INTEGRATIONS_OBJECT: 2, BLOCKED: 1 },
    delivered: 3,
    discarded: {},
    waiting: 0,
    deadLetters: 0,
    oldestWaitingSeconds: 0,
  })
  assert.deepEqual([api?.received, api?.delivered, api?.waiting], [1, 1, 0])
  assert.deepEqual(
    (await bed.sql('SELECT id FROM web.tracks ORDER BY id')).map(({ id }) => id),
    ['m1', 'm3', 'm5'],
  )
  await bed.send([aTrack('m6')])
  const [again] = (await bed.loader.status()).connections
  assert.deepEqual([again?.received, again?.waiting], [10, 1])
  assert.ok(again!.oldestWaitingSeconds > 0)
})

test('messages that damage swallowed are dropped with JOURNAL_CORRUPT, source by source', async (t) => {
  const bed = await aBed(t, { sources: ['web', 'api'] })
  await bed.send([aTrack('m1')])
  // Totals that jump, as after a gap: 3 messages of web and 1 of api are missing.
  await bed.append([
    { source: 1, sourceTotal: 5, body: [body('m5')] },
    { source: 2, sourceTotal: 2, body: [body('n2')] },
  ])
  await bed.sync()
  const [web, api] = (await bed.loader.status()).connections
  assert.deepEqual([web?.received, web?.delivered, web?.dropped], [5, 2, { JOURNAL_CORRUPT: 3 }])
  assert.deepEqual([api?.received, api?.delivered, api?.dropped], [2, 1, { JOURNAL_CORRUPT: 1 }])
})

function body(messageId: string): Buffer {
  const times = { timestamp: at0, originalTimestamp: at0, receivedAt: at0 }
  return Buffer.from(JSON.stringify({ ...aTrack(messageId), ...times, context: {}, integrations: {} }))
}
const at0 = '2024-03-01T10:00:00.000Z'

test('tables that are switched off get no rows', async (t) => {
  const bed = await aBed(t, { warehouse: { selectiveSync: { web: { tracks: false, identifies: false } } } })
  await bed.send([aTrack('m1'), identify('i1', { userId: 'u1', traits: { plan: 'pro' } })])
  assert.deepEqual((await bed.sync()).rows, { 'web.e': 1, 'web.users': 1 })
})

test('trace finds the load of a message, and says when it waits or was excluded', async (t) => {
  const bed = await aBed(t)
  await bed.send([aTrack('m1'), aTrack('m2', { integrations: { Warehouses: false } })])
  const record = await bed.sync()
  await bed.send([aTrack('m3')])
  const [loaded] = await bed.loader.trace(1, 0, 0)
  assert.deepEqual(
    [loaded?.warehouse, loaded?.state, loaded?.committedAt! >= record.startedAt],
    ['local', 'loaded', true],
  )
  assert.equal(typeof loaded?.loadId, 'string')
  const [excluded] = await bed.loader.trace(1, 0, 1)
  assert.deepEqual(excluded, { warehouse: 'local', state: 'dropped', code: 'FILTERED_BY_INTEGRATIONS_OBJECT' })
  assert.deepEqual(await bed.loader.trace(1, 0, 2), [{ warehouse: 'local', state: 'waiting' }])
})

test('what is not committed yet may not leave the journal', async (t) => {
  const bed = await aBed(t, { sources: ['web', 'api'] })
  await bed.send([aTrack('m1')])
  await bed.send([aTrack('n1')], { source: 2 })
  assert.equal(bed.loader.lowWatermark(0), 0)
  await bed.sync()
  assert.equal(bed.loader.lowWatermark(0), 2)
  await bed.send([aTrack('m2')])
  assert.equal(bed.loader.lowWatermark(0), 2)
})

test('a source whose load fails stands still, and the others go on', async (t) => {
  let isBroken = true
  const bed = await aBed(t, {
    sources: ['web', 'api'],
    async connect(connect) {
      const connection = await connect()
      return {
        ...connection,
        async load(load) {
          if (isBroken && load.append.some(({ schema }) => schema === 'web')) throw new Error('column "x" is gone')
          return connection.load(load)
        },
      }
    },
  })
  await bed.send([aTrack('m1')])
  await bed.send([aTrack('n1')], { source: 2 })
  await assert.rejects(bed.sync(), { code: 'sync_failed', message: /web: column "x" is gone/ })
  const waiting = async () => (await bed.loader.status()).connections.map((one) => [one.delivered, one.waiting])
  assert.deepEqual(await waiting(), [
    [0, 1],
    [1, 0],
  ])
  assert.equal(bed.loader.history('local')[0]?.status, 'partial')
  isBroken = false
  await bed.sync()
  assert.deepEqual(await waiting(), [
    [1, 0],
    [1, 0],
  ])
})

test('a warehouse that cannot be opened fails with a sentence and loads everything later', async (t) => {
  let isAway = true
  const bed = await aBed(t, {
    connect: async (connect) => {
      if (isAway) throw new Error('The file is open in another program.')
      return connect()
    },
  })
  await bed.send([aTrack('m1')])
  await assert.rejects(bed.sync(), { code: 'sync_failed', message: /open in another program/ })
  assert.match((await bed.loader.status()).warehouses[0]?.error ?? '', /another program/)
  const [trace] = await bed.loader.trace(1, 0, 0)
  assert.deepEqual([trace?.warehouse, trace?.state], ['local', 'unknown'])
  assert.match(trace?.error ?? '', /another program/)
  isAway = false
  assert.equal((await bed.sync()).rows['web.tracks'], 1)
})

test('syncs and queries of an unknown or disabled warehouse are refused', async (t) => {
  const bed = await aBed(t)
  await assert.rejects(bed.loader.syncNow('x'), { code: 'unknown_warehouse', hint: 'Warehouses: local.' })
  await assert.rejects(bed.loader.query('x', 'SELECT 1', { timeoutMs: 1, rowsMax: 1 }), { code: 'unknown_warehouse' })
  bed.snapshot.warehouses[0]!.isEnabled = false
  await assert.rejects(bed.sync(), { code: 'warehouse_disabled' })
})

test('a query that is refused says why, at once or while its rows are read', async (t) => {
  const bed = await aBed(t)
  await assert.rejects(bed.sql('SELECT * FROM web.nothing'), { code: 'bad_query', message: /nothing" does not exist/ })
  await assert.rejects(bed.sql('DROP SCHEMA web'), { code: 'bad_query', message: /Only queries/ })
  await assert.rejects(bed.sql('SELECT * FROM range(200000)'), { code: 'bad_query', message: /more than 100000 rows/ })
  assert.deepEqual(await bed.sql('SELECT 1 AS one, 2 AS one'), [{ one: 1, 'one:1': 2 }])
})

test('while nothing was ever sent the warehouse is not even opened', async (t) => {
  let opened = 0
  const bed = await aBed(t, { connect: (connect) => ((opened += 1), connect()) })
  assert.deepEqual((await bed.sync()).rows, {})
  assert.equal(opened, 0)
})

test('many messages are loaded in chunks, each with its cursor', async (t) => {
  const bed = await aBed(t)
  const count = 40_000
  for (let i = 0; i < count; i += 5_000) {
    await bed.send(
      Array.from({ length: 5_000 }, (_, j) => aTrack(`m${i + j}`, { event: `E ${j % 3}`, properties: { j } })),
    )
  }
  await bed.sync()
  assert.deepEqual(await bed.sql('SELECT count(DISTINCT id)::INT AS n FROM web.tracks'), [{ n: count }])
  const loads = await bed.sql('SELECT count(*)::INT AS n, max(to_offset)::INT AS last FROM _tributary._tributary_loads')
  assert.ok(Number(loads[0]?.['n']) >= 3)
  assert.equal(loads[0]?.['last'], count)
})

test('metrics say how far behind each warehouse is and what its syncs did', async (t) => {
  const metrics = new Registry()
  const bed = await aBed(t, { metrics })
  await bed.send([aTrack('m1'), aTrack('m2')])
  const read = async (name: string) => (await metrics.getSingleMetric(name)!.get()).values.map(({ value }) => value)
  assert.deepEqual(await read('tributary_loader_lag_offsets'), [2])
  await bed.sync()
  assert.deepEqual(await read('tributary_loader_lag_offsets'), [0])
  assert.deepEqual(await read('tributary_loader_rows_total'), [4])
})

test('a question asked while a sync places its cursors does not move them back', async (t) => {
  let isFirst = true
  const answer = Promise.withResolvers<void>()
  const bed = await aBed(t, {
    // The first to ask is answered last.
    async firstOffset(ask) {
      const offset = await ask()
      if (isFirst) {
        isFirst = false
        await answer.promise
      }
      return offset
    },
  })
  await bed.send([aTrack('m1'), aTrack('m2')])
  const early = bed.loader.status()
  await bed.sync()
  answer.resolve()
  await early
  const [status] = (await bed.loader.status()).connections
  assert.deepEqual([status?.delivered, status?.waiting], [2, 0])
  assert.deepEqual((await bed.sync()).rows, {})
})
