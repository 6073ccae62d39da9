import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OrderGate, type Ticket } from './order-gate.ts'

const ticket = (offset: number, legs: Ticket['legs'] = []): Ticket => ({ partition: 0, offset, legs })

test('one message of a user goes at a time, others do not wait for it', () => {
  const gate = new OrderGate()
  assert.ok(gate.enter('ann', ticket(1)))
  assert.ok(!gate.enter('ann', ticket(2)))
  assert.ok(gate.enter('bob', ticket(3)))
  assert.equal(gate.leave('ann', 0, 1)?.offset, 2)
  assert.equal(gate.leave('ann', 0, 2), undefined)
  assert.ok(gate.enter('ann', ticket(4)), 'an empty line is forgotten')
})

test('behind a message in the retry store those in memory are named for parking, in their order', () => {
  const gate = new OrderGate()
  gate.enter('ann', ticket(1))
  gate.enter('ann', ticket(2))
  gate.enter('ann', ticket(3))
  assert.ok(!gate.isSlow('ann'))
  const held = gate.slowDown('ann')
  assert.deepEqual(
    held.map(({ offset }) => offset),
    [2, 3],
  )
  for (const each of held) each.legs = undefined
  assert.ok(gate.isSlow('ann'))
  assert.equal(gate.leave('ann', 0, 1)?.offset, 2)
  assert.ok(gate.isSlow('ann'), 'the next one is in the retry store too')
  assert.ok(gate.isActive('ann', 0, 2))
})

test('one that ends while it stands in line leaves it', () => {
  const gate = new OrderGate()
  gate.enter('ann', ticket(1))
  gate.enter('ann', ticket(2))
  gate.enter('ann', ticket(3))
  assert.equal(gate.leave('ann', 0, 2), undefined)
  assert.equal(gate.leave('ann', 0, 1)?.offset, 3)
})

test('when order is no longer asked for, all in line come out', () => {
  const gate = new OrderGate()
  for (const offset of [1, 2, 3]) gate.enter('ann', ticket(offset))
  assert.deepEqual(
    gate.dissolve().map(({ offset }) => offset),
    [2, 3],
  )
  assert.ok(gate.enter('ann', ticket(4)))
})
