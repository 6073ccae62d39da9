/**
 * Kill -9 of random processes (the parent too) at random moments under load. The oracle is the client's own log of acknowledged
 * ids, kept here, outside of the product: every one of them must be one row in the warehouse and must have reached the webhook,
 * no id may be two rows, and the accounting must be exact. `KILLS` sets how often (50 by default), `SEED` replays the choices.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createRandom, type Random } from '../../src/base/seeded-random.ts'
import { fakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { assertBalanced, type Status } from '../support/accounting.ts'

const kills = Number(process.env['KILLS'] ?? 50)
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const targets = ['gateway', 'pipeline', 'delivery', 'loader', 'control', 'parent'] as const

test(
  `${kills} kills under load lose nothing, double nothing and keep the accounting exact (SEED=${seed})`,
  { timeout: 3_600_000 },
  async (t) => {
    const random = createRandom(seed)
    const vendor = await fakeVendor()
    const config = `
workspace: { name: Crash, slug: crash }
sources:
  api: { name: API, type: http-api, writeKeys: [crash_key] }
destinations:
  hook: { source: api, type: webhook, settings: { url: "${vendor.url}" }, delivery: { retryFirstDelayMs: 100, retryMaxDelayMs: 1000 } }
warehouses:
  local: { type: duckdb, sources: [api], settings: { path: warehouse.duckdb }, schedule: every 10s }
egress: { allow: [127.0.0.1/32] }
`
    let platform = await startPlatform({ config, environment: { TRIBUTARY_LOG: 'error' } })
    t.after(() => vendor.close())
    t.after(() => platform.dispose())
    const client = startClient(() => platform, random)

    for (let kill = 0; kill < kills; kill++) {
      await wait(random.integer(600))
      const target = random.pick(targets)
      if (target === 'parent') platform = await killParent(platform)
      else {
        const pid = platform.children().get(target)
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
      }
    }
    await client.stop()
    assert.ok(client.acknowledged.size > 0, 'the client got answers')

    await untilSynced(platform)
    const rows = (await platform.json('sql', 'select id, count(*)::integer as n from api.tracks group by id')) as {
      id: string
      n: number
    }[]
    const loaded = new Set(rows.map((row) => row.id))
    const missing = [...client.acknowledged].filter((id) => !loaded.has(id))
    assert.deepEqual(
      missing.slice(0, 5),
      [],
      `${missing.length} of ${client.acknowledged.size} acknowledged messages are not in the warehouse`,
    )
    assert.deepEqual(rows.filter((row) => row.n !== 1).slice(0, 5), [], 'no id is two rows')

    const status = await untilIdle(platform)
    const seen = new Set(vendor.messages().map((message) => message.messageId))
    const unseen = [...client.acknowledged].filter((id) => !seen.has(id))
    assert.deepEqual(
      unseen.slice(0, 5),
      [],
      `${unseen.length} of ${client.acknowledged.size} acknowledged messages did not reach the webhook`,
    )
    assertBalanced(status)
    assert.equal(status.sources['api']?.processed, rows.length, 'one event frame for each distinct message')
    const doctor = await platform.cli('doctor')
    assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr)
    t.diagnostic(
      `${client.acknowledged.size} acknowledged, ${vendor.requests.length} requests at the webhook, ${client.refused()} requests refused or broken`,
    )
  },
)

/** Sends batches of 1 to 20 messages without pause, some of them twice, and repeats what was not acknowledged, as SDKs do. */
function startClient(current: () => Platform, random: Random) {
  const acknowledged = new Set<string>()
  const state = { isStopped: false, next: 0, refused: 0 }

  async function worker(): Promise<void> {
    while (!state.isStopped) {
      const ids = Array.from({ length: 1 + random.integer(20) }, () => `m-${state.next++}`)
      if (random.chance(0.05)) ids.push(ids[0]!)
      const body = JSON.stringify({
        batch: ids.map((messageId) => ({
          type: 'track',
          messageId,
          userId: 'u',
          event: 'Tick',
          properties: { n: state.next },
        })),
      })
      while (!(await post(current().url, body))) {
        state.refused += 1
        await wait(50)
      }
      for (const id of ids) acknowledged.add(id)
      await wait(random.integer(20))
    }
  }
  const workers = Promise.all([worker(), worker(), worker(), worker()])
  return {
    acknowledged,
    refused: () => state.refused,
    async stop() {
      state.isStopped = true
      await workers
    },
  }
}

async function post(url: string, body: string): Promise<boolean> {
  try {
    const headers = { authorization: `Basic ${Buffer.from('crash_key:').toString('base64')}` }
    const response = await fetch(`${url}/v1/batch`, {
      method: 'POST',
      body,
      headers,
      signal: AbortSignal.timeout(10_000),
    })
    await response.text()
    return response.status === 200
  } catch {
    return false
  }
}

/** Kills the parent; its children end by themselves, and the next start takes over. */
async function killParent(platform: Platform): Promise<Platform> {
  const ended = new Promise((resolve) => platform.process.once('exit', resolve))
  platform.process.kill('SIGKILL')
  await ended
  return platform.restart()
}

async function untilSynced(platform: Platform): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { code, stderr } = await platform.cli('sync', 'local')
    if (code === 0) return
    assert.ok(attempt < 30, `sync does not succeed: ${stderr}`)
    await wait(1_000)
  }
}

/** Waits for as long as what waits gets less. */
async function untilIdle(platform: Platform): Promise<Status> {
  let least = Infinity
  for (let stalled = 0; ; stalled++) {
    const status = (await platform.json('status')) as Status
    const waiting = status.connections.reduce((sum, connection) => sum + connection.waiting, 0)
    if (waiting === 0) return status
    if (waiting < least) stalled = 0
    least = Math.min(least, waiting)
    assert.ok(stalled < 60, `nothing moves any more: ${JSON.stringify(status)}`)
    await wait(500)
  }
}
