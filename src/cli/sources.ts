import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'List the sources with their write keys.',
  help: `
Usage: tributary sources [--json]

Each source with its kind, write keys, labels, how many of its events are blocked, and the config file that owns it.

Example:
  tributary sources
`,
  async run({ arguments: args, environment, print }) {
    const { values } = readArguments(args, { json: { type: 'boolean' } }, { min: 0, max: 0, names: 'no words' })
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const sources = (await client.call('sources')) as Source[]
      if (values.json) await print(JSON.stringify(sources))
      else
        await print(
          formatTable(['source', 'kind', 'state', 'write keys', 'labels', 'blocked', 'owned by'], sources.map(rowOf)),
        )
      return 0
    } finally {
      await client.close()
    }
  },
}

/** Of what `GET /tributary/v1/sources` gives, too. */
interface Source {
  slug: string
  metadata: { slug: string }
  enabled: boolean
  writeKeys: string[]
  labels: { key: string; value: string }[]
  schema: { blockedEvents: string[] }
  managedBy: string | null
}

function rowOf({ slug, metadata, enabled, writeKeys, labels, schema, managedBy }: Source): (string | number)[] {
  const tags = labels.map(({ key, value }) => `${key}:${value}`)
  const state = enabled ? 'on' : 'off'
  return [slug, metadata.slug, state, writeKeys.join(' '), tags.join(' '), schema.blockedEvents.length, managedBy ?? '']
}
