import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createShop } from './shop.ts'

const START_MS = Date.UTC(2026, 2, 1)

function take(seed: number, count: number) {
  const shop = createShop(seed)
  return { messages: Array.from({ length: count }, (_, i) => shop.next(START_MS + i * 10)), made: shop.made }
}

test('the same seed gives the same messages, another seed gives others', () => {
  assert.deepEqual(take(7, 2_000), take(7, 2_000))
  assert.notDeepEqual(take(7, 10).messages, take(8, 10).messages)
})

test('the duplicates that it counts are the ids that come twice', () => {
  const { messages, made } = take(1, 20_000)
  const distinct = new Set(messages.map((message) => message.messageId)).size
  assert.equal(made.messages, 20_000)
  assert.equal(distinct, 20_000 - made.duplicates)
  assert.ok(made.duplicates > 50)
})

test('the shop has visits, sign-ups, orders and refunds, people with two devices and wrong clocks', () => {
  const { messages, made } = take(3, 50_000)
  assert.ok(made.signUps > 100 && made.orders > 100 && made.refunds > 5 && made.revenue > 0)
  for (const type of ['page', 'track', 'identify', 'group'])
    assert.ok(messages.some((message) => message.type === type))
  const devicesOf = new Map<string, Set<string>>()
  for (const { userId, anonymousId } of messages) {
    if (userId !== undefined) devicesOf.set(userId, (devicesOf.get(userId) ?? new Set()).add(anonymousId))
  }
  assert.ok([...devicesOf.values()].some((devices) => devices.size > 1))
  assert.ok(messages.some((message) => Math.abs(Date.parse(message.sentAt) - START_MS) > 20 * 60_000 + 600_000))
})
