/** What may go wrong with the data directory while nothing runs, and what is whole again after the next start. */
import assert from 'node:assert/strict'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { assertBalanced, type Status } from '../support/accounting.ts'

let vendor: FakeVendor
let platform: Platform
const acknowledged: string[] = []

before(async () => {
  vendor = await fakeVendor()
  platform = await startPlatform({
    config: `
sources:
  api: { name: Backend, type: http-api, writeKeys: [API_KEY] }
destinations:
  hook: { source: api, type: webhook, settings: { url: "${vendor.url}" } }
warehouses:
  local: { type: duckdb, sources: [api], settings: { path: ../kept.duckdb }, schedule: manual }
egress: { allow: [127.0.0.1/32] }
`,
  })
})
after(async () => {
  await platform.dispose()
  await vendor.close()
})

async function send(ids: string[]): Promise<void> {
  const batch = ids.map((messageId) => ({ type: 'track', messageId, userId: 'u1', event: 'Kept' }))
  const body = JSON.stringify({ writeKey: 'API_KEY', batch })
  assert.equal((await fetch(`${platform.url}/v1/batch`, { method: 'POST', body })).status, 200)
}

async function sendNew(count: number): Promise<void> {
  const ids = Array.from({ length: count }, (_, i) => `k${acknowledged.length + i}`)
  await send(ids)
  acknowledged.push(...ids)
}

/** Everything decided, delivered and loaded; sums and doctor agree. */
async function settled(): Promise<Status> {
  for (let attempt = 0; ; attempt++) {
    const status = (await platform.json('status')) as Status
    assertBalanced(status)
    const waiting = status.connections.filter(({ destination }) => destination !== undefined).map((one) => one.waiting)
    if (status.sources['api']?.waiting === 0 && waiting.every((count) => count === 0)) break
    assert.ok(attempt < 100, JSON.stringify(status))
    await wait(100)
  }
  const synced = await platform.cli('sync', 'local')
  assert.equal(synced.code, 0, synced.stderr)
  const doctor = await platform.cli('doctor')
  assert.equal(doctor.code, 0, doctor.stdout)
  return (await platform.json('status')) as Status
}

async function rows(): Promise<{ n: number; ids: number }> {
  const [counts] = (await platform.json('sql', 'select count(*) n, count(distinct id) ids from api.tracks')) as [
    { n: number; ids: number },
  ]
  return counts
}

async function restartWithout(...names: string[]): Promise<void> {
  await platform.stop()
  for (const file of await readdir(platform.dataDirectory)) {
    if (names.some((name) => file === name || file.startsWith(`${name}-`)))
      await rm(join(platform.dataDirectory, file), { recursive: true })
  }
  platform = await platform.restart()
}

test('what is made from the journal is made again: dedupe, ids, books, sockets', async () => {
  await sendNew(50)
  await settled()
  await restartWithout('dedupe', 'ids', 'delivery.db', 'run')
  await sendNew(10)
  await send(acknowledged.slice(0, 20))
  const status = await settled()
  assert.deepEqual([status.sources['api']?.processed, status.sources['api']?.duplicate], [60, 20])
  assert.deepEqual(await rows(), { n: 60, ids: 60 })
  assert.deepEqual(
    vendor
      .messages()
      .map(({ messageId }) => messageId)
      .sort(),
    [...acknowledged].sort(),
  )
})

test('a flipped bit in every topic stops nothing: what was lost is counted, and the sums hold', async () => {
  await sendNew(5)
  await settled()
  // Not yet loaded, so that the warehouse has to get past the damage.
  await sendNew(20)
  await platform.stop()
  for (const topic of ['events', 'received', 'outcomes'])
    await flipBit(await largestSegment(join(platform.dataDirectory, 'journal', topic, '0')))
  platform = await platform.restart()
  await sendNew(5)
  const { connections } = await settled()
  const lost = connections.find(({ warehouse }) => warehouse === 'local')?.dropped['JOURNAL_CORRUPT'] ?? 0
  assert.ok(lost <= 1, `${lost} messages`)
  assert.equal((await rows()).n, acknowledged.length - lost)
})

test('beside the warehouse of an installation that is gone a new one goes on: no row is there twice', async () => {
  const before = await rows()
  await platform.stop()
  await rm(platform.dataDirectory, { recursive: true })
  platform = await platform.restart()
  await send(acknowledged.slice(0, 10))
  await sendNew(10)
  await settled()
  assert.deepEqual(await rows(), { n: before.n + 10, ids: before.ids + 10 })
})

async function largestSegment(directory: string): Promise<string> {
  const sizes = await Promise.all(
    (await readdir(directory))
      .filter((name) => name.endsWith('.segment'))
      .map(async (name) => ({ path: join(directory, name), size: (await stat(join(directory, name))).size })),
  )
  const [largest] = sizes.sort((a, b) => b.size - a.size)
  assert.ok(largest !== undefined)
  return largest.path
}

/** In the middle of the file. */
async function flipBit(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const position = Math.floor((await file.stat()).size / 2)
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, position)
    byte[0]! ^= 0x10
    await file.write(byte, 0, 1, position)
  } finally {
    await file.close()
  }
}
