import assert from 'node:assert/strict'
import { test } from 'node:test'
import webhook from '../../connectors/destinations/webhook/index.ts'
import { eventFlags, eventKinds, type Frame } from '../journal/index.ts'
import { field, type DestinationDefinition } from '../kit/index.ts'
import type { DestinationSnapshot } from '../snapshot/index.ts'
import { defaultDelivery } from '../snapshot/index.ts'
import { decide, messageForRetry } from './decide.ts'
import { EventMessage } from './event-message.ts'
import { compilePlan, type ConnectionPlan } from './plan.ts'

function planOf(given: Partial<DestinationSnapshot> = {}, definition: DestinationDefinition = webhook): ConnectionPlan {
  const destination: DestinationSnapshot = {
    number: 1,
    id: 'dst_1',
    workspace: 1,
    source: 1,
    slug: 'hook',
    name: 'Hook',
    type: 'webhook',
    isEnabled: true,
    settings: {},
    filters: [],
    delivery: {},
    start: {},
    ...given,
  }
  const settings = { url: 'https://example.org/' }
  return compilePlan({ destination, definition, settings, delivery: defaultDelivery, random: () => 0.5 })
}

function messageOf(message: Record<string, unknown>, flags = 0): EventMessage {
  const type = (message['type'] ?? 'track') as keyof typeof eventKinds
  const body = Buffer.from(JSON.stringify({ type, ...message }))
  const header = { timeMs: 0, index: 0, inputPartition: 0, inputOffset: 0, sourceTotal: 1, isDamaged: false }
  const frame: Frame = { type: 'frame', offset: 1, kind: eventKinds[type], flags, source: 1, body, ...header }
  return new EventMessage(0, frame)
}

function codeOf(plan: ConnectionPlan, message: EventMessage): string | undefined {
  const decision = decide(plan, message)
  return decision.kind === 'drop' ? decision.code : undefined
}

const dropAll = { title: 'all', if: 'all', actions: [{ type: 'DROP' as const }], isEnabled: true }

test('the first reason in the order of the contract is the one recorded', () => {
  const identifiesOnly = { ...webhook, supports: ['identify'] as const }
  const message = messageOf(
    { integrations: { All: false }, _metadata: { bundled: ['Webhook'] } },
    eventFlags.bundled | eventFlags.integrations,
  )
  const everything = { filters: [dropAll], mappings: [] }
  assert.equal(codeOf(planOf({ ...everything, isEnabled: false }, identifiesOnly), message), 'DESTINATION_DISABLED')
  assert.equal(codeOf(planOf(everything, identifiesOnly), message), 'MESSAGE_SENT_CLIENT_SIDE')
  const notBundled = messageOf({ integrations: { All: false } }, eventFlags.integrations)
  assert.equal(codeOf(planOf(everything, identifiesOnly), notBundled), 'UNSUPPORTED_EVENT_TYPE')
  const refused = messageOf(
    { integrations: { All: false }, context: { consent: { categoryPreferences: { ad: false } } } },
    eventFlags.integrations | eventFlags.consent,
  )
  const mapped = { ...everything, consentCategories: ['ad'] }
  assert.equal(codeOf(planOf(mapped, identifiesOnly), refused), 'UNSUPPORTED_EVENT_TYPE')
  assert.equal(codeOf(planOf(mapped), refused), 'FILTERED_BY_END_USER_CONSENT')
  assert.equal(codeOf(planOf(everything), notBundled), 'FILTERED_BY_INTEGRATIONS_OBJECT')
  assert.equal(codeOf(planOf(everything), messageOf({})), 'FILTERED_BY_RULES')
  assert.equal(codeOf(planOf({ mappings: [] }), messageOf({})), 'NO_MATCHING_MAPPING')
  assert.equal(codeOf(planOf(), messageOf({})), undefined)
})

test('the integrations object is asked by each name of the destination', () => {
  const cases: [Record<string, unknown>, boolean][] = [
    [{ All: false, Webhook: true }, true],
    [{ All: false, Webhooks: { any: 1 } }, true],
    [{ Webhook: false }, false],
    [{ Other: false }, true],
    [{ webhook: false }, true],
  ]
  for (const [integrations, isSent] of cases) {
    const code = codeOf(planOf(), messageOf({ integrations }, eventFlags.integrations))
    assert.equal(code === undefined, isSent, JSON.stringify(integrations))
  }
})

test('the categories of a destination are asked of a message that says what a person agrees to', () => {
  const plan = planOf({ consentCategories: ['ad'] })
  const preferring = (ad: boolean) => ({ context: { consent: { categoryPreferences: { ad } } } })
  assert.equal(codeOf(plan, messageOf(preferring(true), eventFlags.consent)), undefined)
  assert.equal(codeOf(plan, messageOf(preferring(false), eventFlags.consent)), 'FILTERED_BY_END_USER_CONSENT')
  assert.equal(codeOf(planOf(), messageOf(preferring(false), eventFlags.consent)), undefined)
  assert.equal(codeOf(plan, messageOf({})), undefined)
})

test('a webhook without mappings never parses the message and passes its text on', () => {
  const message = messageOf({ event: 'Bought', amount: 1 })
  Object.defineProperty(message, 'parsed', {
    get() {
      throw new Error('parsed')
    },
  })
  const decision = decide(planOf(), message)
  assert.equal(decision.kind, 'send')
  assert.ok(decision.kind === 'send')
  assert.equal(decision.message.json, message.json)
  const made = decision.mappings[0]!.payloadOf(decision.message)
  assert.ok(made.ok)
  assert.equal('data' in made.payload, false)
})

test('filters take properties away from what is sent and from what triggers see, on every attempt', () => {
  const filters = [
    {
      title: 'pii',
      if: 'all',
      actions: [{ type: 'DROP_PROPERTIES' as const, fields: { properties: ['email'] } }],
      isEnabled: true,
    },
    { title: 'half', if: 'all', actions: [{ type: 'SAMPLE' as const, percent: 0.9 }], isEnabled: true },
  ]
  const plan = planOf({ filters })
  const message = messageOf({ properties: { email: 'a@b.example', n: 1 } })
  const decision = decide(plan, message)
  assert.ok(decision.kind === 'send')
  assert.deepEqual(JSON.parse(decision.message.json), { type: 'track', properties: { n: 1 } })
  assert.equal(messageForRetry(plan, message)?.json, decision.message.json)
  assert.match(message.json, /email/)
})

test('a message that waits is not filtered again, yet what can no longer be stripped stays here', () => {
  const message = messageOf({ properties: { email: 'a@b.example' } })
  assert.equal(messageForRetry(planOf({ filters: [dropAll] }), message)?.json, message.json)
  const broken = [
    {
      title: 'x',
      if: 'type = = 1',
      actions: [{ type: 'DROP_PROPERTIES' as const, fields: { properties: ['email'] } }],
      isEnabled: true,
    },
  ]
  assert.equal(messageForRetry(planOf({ filters: broken }), message), undefined)
})

test('a payload that does not fit the fields says so', () => {
  const definition: DestinationDefinition = {
    ...webhook,
    actions: {
      send: {
        title: 'Send',
        description: 'Sends.',
        fields: { amount: field.number({ label: 'Amount', description: 'How much.', required: true }) },
        perform: async () => undefined,
      },
    },
  }
  const mapping = { id: 'm', name: 'm', action: 'send', trigger: 'all', isEnabled: true }
  const fields = { amount: { '@path': '$.properties.amount' } }
  const plan = planOf({ mappings: [{ ...mapping, trigger: 'type = "track"', fields }] }, definition)
  const [first] = plan.mappings
  assert.deepEqual(first!.payloadOf(messageOf({ properties: { amount: '5' } })), { ok: true, payload: { amount: 5 } })
  const missing = first!.payloadOf(messageOf({}))
  assert.equal(missing.ok, false)
  const unknown = planOf({ mappings: [{ ...mapping, action: 'constructor', fields: {} }] }).mappings[0]!
  assert.equal(unknown.payloadOf(messageOf({})).ok, false)
})

test('a part of the message that is not there is not taken for the whole message', () => {
  const mapping = { id: 'm', name: 'm', action: 'send', trigger: 'type = "track"', isEnabled: true }
  const plan = planOf({ mappings: [{ ...mapping, fields: { data: { '@path': '$.properties.order' } } }] })
  const made = plan.mappings[0]!.payloadOf(messageOf({}))
  assert.deepEqual(made, { ok: true, payload: { data: null } })
})
