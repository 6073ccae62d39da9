import type { EventSchemaAnswer, SchemaAnswer } from '../api/index.ts'
import { readArguments, UsageError, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'Show which events, properties and traits a source sends.',
  help: `
Usage: tributary schema SOURCE [--type track|identify|group] [--event NAME] [--window 24h|7d|30d] [--archived] [--json]
       tributary schema SOURCE --clear

One line a name: when it was seen last, and in how many messages of the window it was allowed and blocked. Page and screen calls
are the events "Page Viewed" and "Screen Viewed". It needs a running server.

  --type TYPE      track (if not given): events; identify and group: traits of these calls
  --event NAME     the properties of one event, with the types of their values
  --window WINDOW  24h, 7d (if not given) or 30d
  --archived       archived events instead of the others
  --clear          forgets what was seen of this source until now
  --json           all that is known

Examples:
  tributary schema demo
  tributary schema demo --event "Order Completed"
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      {
        type: { type: 'string' },
        event: { type: 'string' },
        window: { type: 'string' },
        archived: { type: 'boolean' },
        clear: { type: 'boolean' },
        json: { type: 'boolean' },
      },
      { min: 1, max: 1, names: 'one SOURCE' },
    )
    if (values.clear && Object.keys(values).some((name) => name !== 'clear'))
      throw new UsageError('--clear goes with no other option.')
    if (values.event !== undefined && (values.type ?? 'track') !== 'track')
      throw new UsageError('--event is the name of a track event; --type says something else.')
    const [source] = positionals
    const client = await openControlClient(environment, { needsServer: 'schema' })
    try {
      if (values.clear) {
        await client.call('clearSchema', { source })
        await print(`The schema of ${source} is empty now.`)
        return 0
      }
      const { type, event, window, archived: isArchived } = values
      // The answer of our own control process, of the same version.
      const answer = (await client.call('schema', { source, type, event, window, isArchived })) as
        SchemaAnswer | EventSchemaAnswer
      await print(values.json ? JSON.stringify(answer) : describe(answer))
      return 0
    } finally {
      await client.close()
    }
  },
}

function describe(answer: SchemaAnswer | EventSchemaAnswer): string {
  return [table(answer), ...remarks(answer)].join('\n')
}

function table(answer: SchemaAnswer | EventSchemaAnswer): string {
  if ('event' in answer) {
    const { event, properties } = answer
    const title = `${printable(event.name)}: allowed ${event.allowed}, blocked ${event.blocked}${event.isBlocked ? '; blocked now' : ''}`
    const rows = properties.map((each) => [...cells(each), each.types.join(' | ')])
    return [title, formatTable(['property', 'last seen', 'allowed', 'blocked', 'total', 'types'], rows)].join('\n')
  }
  if ('events' in answer) {
    const rows = answer.events.map((each) => [...cells(each), each.properties, each.isBlocked ? 'blocked' : ''])
    return formatTable(['event', 'last seen', 'allowed', 'blocked', 'total', 'properties', ''], rows)
  }
  const rows = answer.traits.map((each) => [...cells(each), each.types.join(' | '), each.isBlocked ? 'blocked' : ''])
  return formatTable(['trait', 'last seen', 'allowed', 'blocked', 'total', 'types', ''], rows)
}

type Counted = Pick<EventSchemaAnswer['event'], 'name' | 'lastSeen' | 'allowed' | 'blocked' | 'total'>

function cells({ name, lastSeen, allowed, blocked, total }: Counted): (string | number)[] {
  return [printable(name), lastSeen ?? 'never', allowed, blocked, total]
}

/** Names come from whoever has a write key, and a terminal obeys control characters. */
const printable = (name: string) =>
  name.replaceAll(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)

function remarks({ since, notListed, waiting }: SchemaAnswer | EventSchemaAnswer): string[] {
  return [
    `counted since ${since}`,
    ...(notListed.messages > 0 ? [`about ${notListed.names} more not listed, in ${notListed.messages} messages`] : []),
    ...(waiting > 0 ? [`${waiting} messages are not counted yet`] : []),
  ]
}
