import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkDestination, checkWarehouse } from './check-definition.ts'
import { defineAction, defineDestination, type DestinationDefinition } from './destination.ts'
import { field } from './field.ts'

const sound: DestinationDefinition = defineDestination({
  name: 'Vendor',
  description: 'Takes messages.',
  settings: { key: field.password({ label: 'Key', description: 'From the vendor.' }) },
  actions: {
    send: defineAction({
      title: 'Send',
      description: 'Sends.',
      fields: {
        user: field.string({ label: 'User', description: 'Who.', default: { '@path': '$.userId' } }),
        size: field.integer({ label: 'Size', description: 'How many.', default: 1 }),
      },
      perform: async () => {},
    }),
  },
  presets: [{ name: 'All', action: 'send', trigger: 'type = "track"', fields: { size: 2 } }],
})

// A mistake is made by writing where the types would not let one.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Loose = any

/** The definition with one thing changed, without the compiler's say. */
function problemsOf(change: (definition: Loose) => void): string[] {
  const changed = structuredClone({ ...sound, actions: { send: { ...sound.actions['send'], perform: undefined } } })
  change(changed)
  return checkDestination(changed as unknown as DestinationDefinition)
}

test('a sound definition has no problems', () => {
  assert.deepEqual(checkDestination(sound), [])
})

const mistakes: [string, (definition: Loose) => void, RegExp][] = [
  ['no name', (d) => (d.name = ''), /The destination has no name/],
  ['no label', (d) => (d.settings.key.label = undefined), /Setting "key" has no label/],
  [
    'no description of a field',
    (d) => (d.actions.send.fields.user.description = ' '),
    /Field of action "send" "user" has no description/,
  ],
  ['no actions', (d) => ((d.actions = {}), (d.presets = [])), /has no action/],
  [
    'a default of the wrong type',
    (d) => (d.actions.send.fields.size.default = 'many'),
    /"size": its default does not fit/,
  ],
  [
    'a default that is no mapping',
    (d) => (d.actions.send.fields.user.default = { '@paht': '$.userId' }),
    /"user": its default.*invalid directive/,
  ],
  [
    'a trigger that does not parse',
    (d) => (d.presets[0].trigger = 'type ='),
    /Preset "All": The trigger does not parse/,
  ],
  ['an unknown action', (d) => (d.presets[0].action = 'sned'), /names the action "sned"/],
  ['an unknown field', (d) => (d.presets[0].fields = { szie: 1 }), /fills "szie"/],
  ['a batch size without a batch', (d) => (d.actions.send.batchSizeMax = 5), /no performBatch/],
]
for (const [what, change, problem] of mistakes) {
  test(`found: ${what}`, () => assert.match(problemsOf(change).join(' '), problem))
}

test('a warehouse needs a name, a description and a length of identifiers', () => {
  const warehouse = {
    name: 'W',
    description: '',
    reservedWords: new Set<string>(),
    identifierBytesMax: 0,
    canWiden: new Set<string>(),
    connect: () => Promise.reject(new Error('not connected in this test')),
  }
  assert.deepEqual(checkWarehouse(warehouse), [
    'The warehouse has no description.',
    'identifierBytesMax must be positive.',
  ])
})
