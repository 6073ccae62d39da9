import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { fakeVendor, type FakeVendor } from '../../test/support/fake-vendor.ts'
import type { MappingSnapshot } from '../snapshot/index.ts'
import { openStage, type Stage } from './testing/stage.ts'

async function vendorOf(t: TestContext): Promise<FakeVendor> {
  const vendor = await fakeVendor()
  t.after(() => vendor.close())
  return vendor
}

function mapping(id: string, url: string): MappingSnapshot {
  return { id, name: 'Send', action: 'send', trigger: 'type = "track"', fields: { url }, isEnabled: true }
}

async function untilEnded(stage: Stage): Promise<void> {
  while (stage.delivery.redeliveries(1).some(({ state }) => state === 'running'))
    await new Promise((resolve) => setTimeout(resolve, 5))
}

test('a redelivery moves dead letters from discarded to waiting, and they are delivered', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(400)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(30)
  await stage.until(({ deadLetters }) => deadLetters === 30)
  vendor.answerWith(200)
  assert.equal(await stage.delivery.countDeadMessages(1, {}), 30)
  const { matched } = await stage.delivery.redeliver(1, { filter: {} })
  assert.equal(matched, 30)
  const status = await stage.until(({ delivered }) => delivered === 30)
  assert.deepEqual([status.discarded, status.deadLetters, status.waiting], [{}, 0, 0])
  await untilEnded(stage)
  const [redelivery] = stage.delivery.redeliveries(1)
  assert.deepEqual([redelivery?.state, redelivery?.taken], ['done', 30])
  assert.equal(await stage.delivery.countDeadMessages(1, {}), 0)
  assert.deepEqual(await stage.delivery.recount(), [])
})

test('what fails again is a dead letter again and not taken a second time by the same redelivery', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(400)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(20)
  await stage.until(({ deadLetters }) => deadLetters === 20)
  vendor.answerWith(422)
  await stage.delivery.redeliver(1, { filter: {} })
  const status = await stage.until(({ discarded }) => discarded['422'] === 20)
  assert.deepEqual([status.discarded, status.deadLetters], [{ 422: 20 }, 20])
  await untilEnded(stage)
  assert.equal(stage.delivery.redeliveries(1)[0]?.taken, 20)
  assert.equal(vendor.requests.length, 40)
  assert.deepEqual(await stage.delivery.recount(), [])
})

test('the filter chooses by code, by event and by time', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(({ body }) => ((JSON.parse(body) as { userId: string }).userId === 'gone' ? 404 : 400))
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(12, (index) => ({
    message: { event: index % 2 ? 'Odd' : 'Even', userId: index < 4 ? 'gone' : 'bad' },
  }))
  await stage.until(({ deadLetters }) => deadLetters === 12)
  const count = (filter: Parameters<typeof stage.delivery.countDeadMessages>[1]) =>
    stage.delivery.countDeadMessages(1, filter)
  assert.deepEqual(
    [await count({ codes: ['404'] }), await count({ event: 'Odd' }), await count({ event: 'Odd', codes: ['404'] })],
    [4, 6, 2],
  )
  assert.deepEqual([await count({ toMs: 1 }), await count({ fromMs: 1 })], [0, 12])
  vendor.answerWith(200)
  await stage.delivery.redeliver(1, { filter: { event: 'Odd', codes: ['404'] } })
  const status = await stage.until(({ delivered }) => delivered === 2)
  assert.deepEqual(status.discarded, { 400: 8, 404: 2 })
})

test('of several mappings only those that failed are repeated, and the message counts once', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(({ path }) => (path.endsWith('good') ? 200 : path.endsWith('b') ? 400 : 404))
  const mappings = [
    mapping('a', `${vendor.url}/good`),
    mapping('b', `${vendor.url}/b`),
    mapping('c', `${vendor.url}/c`),
  ]
  const stage = await openStage(t, { destinations: [{ mappings }] })
  await stage.start()
  await stage.emit(5)
  await stage.until(({ deadLetters }) => deadLetters === 5)
  vendor.answerWith(({ path }) => (path.endsWith('c') ? 404 : 200))
  await stage.delivery.redeliver(1, { filter: {} })
  await untilEnded(stage)
  const failed = await stage.until(({ discarded, waiting }) => waiting === 0 && discarded['404'] === 5)
  assert.deepEqual([failed.delivered, failed.deadLetters], [0, 5])
  vendor.answerWith(200)
  await stage.delivery.redeliver(1, { filter: {} })
  const status = await stage.until(({ delivered }) => delivered === 5)
  assert.deepEqual([status.discarded, status.deadLetters], [{}, 0])
  assert.equal(vendor.requests.filter(({ path }) => path.endsWith('good')).length, 5)
  assert.deepEqual(await stage.delivery.recount(), [])
})

test('a redelivery goes on after a kill, and takes nothing twice', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(400)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(400)
  await stage.until(({ deadLetters }) => deadLetters === 400)
  vendor.answerWith(200)
  await stage.delivery.redeliver(1, { filter: {}, messagesPerSecond: 800 })
  await stage.until(({ delivered }) => delivered >= 100)
  await stage.crash()
  await stage.start()
  const status = await stage.until(({ delivered }) => delivered === 400)
  await untilEnded(stage)
  assert.deepEqual([status.discarded, status.deadLetters], [{}, 0])
  assert.equal(stage.delivery.redeliveries(1)[0]?.taken, 400)
  assert.deepEqual(await stage.delivery.recount(), [])
})

test('one redelivery of a destination runs at a time, and it can be cancelled', async (t) => {
  const vendor = await vendorOf(t)
  vendor.answerWith(400)
  const stage = await openStage(t, { destinations: [{ url: vendor.url }] })
  await stage.start()
  await stage.emit(50)
  await stage.until(({ deadLetters }) => deadLetters === 50)
  const { id } = await stage.delivery.redeliver(1, { filter: {}, messagesPerSecond: 4 })
  await assert.rejects(stage.delivery.redeliver(1, { filter: {} }), { code: 'redelivery_running' })
  assert.equal(await stage.delivery.cancelRedelivery(1, id), true)
  assert.equal(await stage.delivery.cancelRedelivery(1, id), false)
  assert.equal(stage.delivery.redeliveries(1)[0]?.state, 'cancelled')
  await stage.until(({ waiting }) => waiting === 0)
  await assert.rejects(stage.delivery.redeliver(9, { filter: {} }), { code: 'unknown_destination' })
})
