import type { SourceView } from '../store/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'List the sources with their write keys.',
  help: `
Usage: tributary sources [--json]

Each source with its kind, write keys, labels, and how many of its events are blocked.

Example:
  tributary sources
`,
  async run({ arguments: args, environment, print }) {
    const { values } = readArguments(args, { json: { type: 'boolean' } }, { min: 0, max: 0, names: 'no words' })
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const sources = (await client.call('sources')) as SourceView[]
      if (values.json) await print(JSON.stringify(sources))
      else await print(formatTable(['source', 'kind', 'state', 'write keys', 'labels', 'blocked'], sources.map(rowOf)))
      return 0
    } finally {
      await client.close()
    }
  },
}

function rowOf({ slug, type, isEnabled, writeKeys, labels, schema }: SourceView): (string | number)[] {
  const tags = Object.entries(labels).map(([key, value]) => `${key}:${value}`)
  return [slug, type, isEnabled ? 'on' : 'off', writeKeys.join(' '), tags.join(' '), schema.blockedEvents.length]
}
