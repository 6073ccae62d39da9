import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fakeVendor, type FakeVendor } from '../../test/support/fake-vendor.ts'
import { createRandom } from '../base/seeded-random.ts'
import { CONCURRENCY_MAX } from './concurrency.ts'
import { openStage, type Stage } from './testing/stage.ts'

async function vendorOf(t: TestContext): Promise<FakeVendor> {
  const vendor = await fakeVendor()
  t.after(() => vendor.close())
  return vendor
}

function idsIn(body: string): string[] {
  return [JSON.parse(body) as { messageId: string }].flat().map(({ messageId }) => messageId)
}

function countById(ids: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

async function loseDatabase(stage: Stage): Promise<void> {
  for (const end of ['', '-wal', '-shm']) await rm(join(stage.directory, `delivery.db${end}`), { force: true })
}

const windows = {
  'before anything is sent': { answer: 'hang', freeze: undefined },
  'between the request and its answer': { answer: 'hang', freeze: undefined },
  'between the answer and its outcome': { answer: 200, freeze: 'before' },
  'after the outcome is durable and before it is known': { answer: 200, freeze: 'after' },
  'after an outcome that says to try again': { answer: 503, freeze: 'after' },
} as const

for (const [name, { answer, freeze }] of Object.entries(windows)) {
  for (const batch_size of [1, 10]) {
    test(`a kill ${name} loses nothing and repeats only what was in flight (batches of ${batch_size})`, async (t) => {
      const vendor = await vendorOf(t)
      vendor.answerWith(answer)
      const mapping = { id: 'm', name: 'm', action: 'send', trigger: 'type = "track"', isEnabled: true }
      const mappings = [{ ...mapping, fields: { url: vendor.url, batch_size } }]
      const stage = await openStage(t, { destinations: [{ mappings }] })
      const isSent = name !== 'before anything is sent'
      await stage.start()
      if (freeze !== undefined) stage.freezeOutcomes(freeze)
      if (!isSent) await stage.crash()
      const ids = await stage.emit(100)
      if (isSent) await vendor.until(({ requests }) => requests.length >= 10)
      if (isSent) await stage.crash()
      const before = countById(vendor.requests.flatMap(({ body }) => idsIn(body)))
      vendor.answerWith(200)
      await stage.start()
      const status = await stage.until(({ delivered }) => delivered === 100)
      assert.deepEqual([status.waiting, status.received], [0, 100])
      const seen = countById(vendor.requests.flatMap(({ body }) => idsIn(body)))
      assert.deepEqual([...seen.keys()].sort(), ids.sort())
      for (const [id, times] of seen) assert.ok(times <= 1 + (before.get(id) ?? 0), `${id} came ${times} times`)
      if (freeze === 'after' && answer === 200) {
        const taken = [...seen.values()].filter((times) => times === 1).length
        assert.ok(taken >= batch_size, 'an outcome that was durable is not sent again')
      }
      assert.deepEqual(await stage.delivery.recount(), [])
    })
  }
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`kills at any moment, the database lost now and then: everything arrives, the books agree (seed ${seed})`, async (t) => {
    const random = createRandom(seed)
    const vendor = await vendorOf(t)
    const taken: string[] = []
    vendor.answerWith(({ body }) => {
      if (random.chance(0.2)) return random.pick([503, 429, 'reset', 408] as const)
      taken.push(...idsIn(body))
      return 200
    })
    const mapping = { id: 'm', name: 'm', action: 'send', trigger: 'type = "track"', isEnabled: true }
    const mappings = [
      { ...mapping, fields: { url: vendor.url, batch_size: random.pick([1, 7]) } },
      { ...mapping, id: 'n', fields: { url: vendor.url }, trigger: 'properties.twice = true' },
    ]
    const filters = [
      { title: 'f', if: 'properties.drop = true', actions: [{ type: 'DROP' as const }], isEnabled: true },
    ]
    const delivery = { ordered: random.chance(0.5) }
    const stage = await openStage(t, { destinations: [{ mappings, filters, delivery }] })
    const expected = new Map<string, number>()
    let emitted = 0
    const kills = 5
    for (let kill = 0; kill <= kills; kill++) {
      await stage.start()
      const messages = Array.from({ length: 150 }, () => ({
        userId: `u${random.integer(9)}`,
        properties: { twice: random.chance(0.3), drop: random.chance(0.1) },
      }))
      const ids = await stage.emit(messages.length, (index) => ({ message: messages[index]! }))
      ids.forEach((id, index) => {
        const { drop, twice } = messages[index]!.properties
        expected.set(id, drop ? 0 : twice ? 2 : 1)
      })
      emitted += ids.length
      if (kill === kills) break
      const requests = vendor.requests.length + random.integer(120)
      await Promise.race([
        vendor.until((now) => now.requests.length >= requests),
        stage.until(({ waiting, received }) => received === emitted && waiting === 0),
      ])
      if (random.chance(0.5)) stage.freezeOutcomes(random.pick(['before', 'after']))
      if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve))
      await stage.crash()
      if (random.chance(0.3)) await loseDatabase(stage)
    }
    const status = await stage.until(({ waiting, received }) => received === emitted && waiting === 0)
    const dropped = [...expected.values()].filter((times) => times === 0).length
    assert.deepEqual([status.delivered, status.dropped], [emitted - dropped, { FILTERED_BY_RULES: dropped }])
    const counts = countById(taken)
    let repeats = 0
    for (const [id, times] of expected) {
      const came = counts.get(id) ?? 0
      assert.ok(came >= times, `${id} came ${came} times instead of ${times}`)
      repeats += came - times
    }
    assert.ok(repeats <= kills * CONCURRENCY_MAX * 7, `${repeats} repeats`)
    assert.deepEqual(await stage.delivery.recount(), [])
  })
}

test('a stop in the middle finishes what is in flight, and the next start repeats nothing', async (t) => {
  const vendor = await vendorOf(t)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  const ids = await stage.emit(2000)
  await vendor.until(({ requests }) => requests.length >= 500)
  await stage.stop()
  assert.ok(vendor.requests.length < 2000)
  await stage.start()
  await stage.until(({ delivered }) => delivered === 2000)
  assert.deepEqual(vendor.requests.flatMap(({ body }) => idsIn(body)).sort(), ids.sort())
})
