/** A source that blocks an event and forwards it to another one, from the config file to destination, warehouse and accounting. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Trace } from '../../src/api/index.ts'
import { assertBalanced, type ConnectionStatus, type Status } from '../support/accounting.ts'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

let vendor: FakeVendor
let platform: Platform

const config = (blockedEvents: string) => `
sources:
  shop:
    type: http-api
    writeKeys: [SHOP_KEY]
    schema:
      blockedEvents: ${blockedEvents}
      blockedTraits: [email, address.street]
      forwardBlockedEventsTo: quarantine
  quarantine: { type: http-api, writeKeys: [QUARANTINE_KEY] }
destinations:
  hook: { source: shop, type: webhook, settings: { url: "${vendor.url}" } }
warehouses:
  local: { type: duckdb, settings: { path: warehouse.duckdb }, schedule: manual }
egress: { allow: [127.0.0.1/32] }
`

before(async () => {
  vendor = await fakeVendor()
  platform = await startPlatform({ config: config('[Card Typed, Page Viewed]') })
})
after(async () => {
  await platform.dispose()
  await vendor.close()
})

async function send(...batch: object[]): Promise<void> {
  const body = JSON.stringify({ writeKey: 'SHOP_KEY', batch: batch.map((message) => ({ userId: 'u1', ...message })) })
  assert.equal((await fetch(`${platform.url}/v1/batch`, { method: 'POST', body })).status, 200)
}

const typed = (messageId: string) => ({ type: 'track', messageId, event: 'Card Typed', properties: { digits: 16 } })

async function loaded(): Promise<Status> {
  const synced = await platform.cli('sync', 'local')
  assert.equal(synced.code, 0, synced.stderr)
  const doctor = await platform.cli('doctor')
  assert.equal(doctor.code, 0, doctor.stdout)
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  return status
}

const ids = async (table: string) =>
  ((await platform.json('sql', `select id from ${table} order by id`)) as { id: string }[]).map(({ id }) => id)

test('a blocked event reaches no destination and no warehouse table of its source, and all of it reaches the other source', async () => {
  await send(
    typed('t1'),
    { type: 'track', messageId: 't2', event: 'Order Completed' },
    { type: 'page', messageId: 't3', name: 'Checkout' },
    typed('t1'),
    { type: 'identify', messageId: 't4', traits: { email: 'a@b', address: { street: 's', city: 'c' }, plan: 'p' } },
  )
  const status = await loaded()
  const { shop, quarantine } = status.sources
  assert.deepEqual(shop, {
    received: 5,
    rejected: {},
    duplicate: 1,
    dropped: { event_setting: 2 },
    processed: 2,
    waiting: 0,
  })
  assert.deepEqual([quarantine?.received, quarantine?.processed], [2, 2])
  assert.deepEqual(await ids('shop.tracks'), ['t2'])
  assert.deepEqual(await platform.json('sql', 'select id, digits from quarantine.card_typed'), [
    { id: 'blocked-t1', digits: 16 },
  ])
  assert.deepEqual(await platform.json('sql', 'select id, name from quarantine.pages'), [
    { id: 'blocked-t3', name: 'Checkout' },
  ])
  const [identified] = (await platform.json('sql', 'select * from shop.identifies')) as [object]
  assert.deepEqual(
    Object.keys(identified).filter((name) => /email|address|plan/.test(name)),
    ['address_city', 'plan'],
  )

  await vendor.until(() => vendor.messages().length === 2)
  const [order, user] = vendor.messages().sort((a, b) => a.messageId.localeCompare(b.messageId))
  assert.equal(order?.['event'], 'Order Completed')
  const { sourceId, omitted } = (user?.['context'] as { protocols: { sourceId: string; omitted: string[] } }).protocols
  assert.match(sourceId, /^src_/)
  assert.deepEqual(omitted, ['email', 'address.street'])
  assert.deepEqual(await hookWhen(({ received }) => received === 5), {
    duplicate: 1,
    dropped: { event_setting: 2 },
    delivered: 2,
  })
})

/** What the destination counts as soon as it has counted so far. */
async function hookWhen(isSo: (hook: ConnectionStatus) => boolean) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const status = (await platform.json('status')) as Status
    assertBalanced(status)
    const hook = status.connections.find(({ destination }) => destination === 'hook')
    if (hook !== undefined && hook.waiting === 0 && isSo(hook))
      return { duplicate: hook.duplicate, dropped: hook.dropped, delivered: hook.delivered }
    await wait(50)
  }
  throw new Error('the destination does not count so far')
}

test('trace tells which schema has blocked a message and where it went', async () => {
  const { copies } = (await platform.json('trace', 't1')) as Trace
  assert.deepEqual(
    copies.map(({ source, decision, code, event, forwardedTo }) => ({ source, decision, code, event, forwardedTo })),
    [
      {
        source: 'shop',
        decision: 'dropped',
        code: 'event_setting',
        event: 'Card Typed',
        forwardedTo: { source: 'quarantine', messageId: 'blocked-t1' },
      },
      { source: 'shop', decision: 'duplicate', code: 'duplicate', event: undefined, forwardedTo: undefined },
    ],
  )
  const { stdout } = await platform.cli('trace', 't1')
  assert.match(stdout, /dropped \(event_setting\)/)
  assert.match(stdout, /blocked by the schema of source shop/)
  assert.match(stdout, /forwarded to source quarantine as blocked-t1/)
  const forwarded = (await platform.json('trace', 'blocked-t1')) as Trace
  assert.deepEqual([forwarded.copies.length, forwarded.copies[0]?.source], [1, 'quarantine'])
})

test('with the pipeline killed again and again, each blocked event is forwarded exactly once', async () => {
  const sent: string[] = []
  for (let round = 0; round < 5; round += 1) {
    const batch = Array.from({ length: 200 }, (_, i) => `k${String(round * 200 + i).padStart(4, '0')}`)
    await send(...batch.map((id) => typed(id)))
    sent.push(...batch)
    const pid = platform.children().get('pipeline')
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
  }
  await untilPipelineAnswers()
  const status = await loaded()
  assert.deepEqual(status.sources['shop']?.dropped, { event_setting: 2 + sent.length })
  assert.deepEqual(
    [status.sources['quarantine']?.received, status.sources['quarantine']?.duplicate],
    [2 + sent.length, 0],
  )
  assert.deepEqual(await ids('quarantine.card_typed'), [...sent, 't1'].map((id) => `blocked-${id}`).sort())
})

async function untilPipelineAnswers(): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if ((await platform.cli('status', '--json')).code === 0) return
    await wait(100)
  }
  throw new Error('the pipeline does not come back')
}

test('an event that is allowed again goes through, and what was blocked stays blocked', async () => {
  const path = join(platform.directory, 'allowed.yaml')
  await writeFile(path, config('[]'))
  const applied = await platform.cli('apply', path)
  assert.equal(applied.code, 0, applied.stderr)
  const tries: string[] = []
  const passed = () => vendor.messages().some(({ messageId }) => tries.includes(messageId))
  while (!passed()) {
    assert.ok(tries.length < 100, 'within five seconds')
    tries.push(`again-${tries.length}`)
    await send(typed(tries.at(-1)!))
    await wait(50)
  }
  await send(typed('t1'))
  await loaded()
  assert.deepEqual(await ids("shop.card_typed where id like 't%'"), [])
  assert.ok((await ids('shop.card_typed')).includes(tries.at(-1)!))
})
