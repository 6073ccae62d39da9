import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Print the configuration as a config file.',
  help: `
Usage: tributary export

Prints YAML of the shape that "apply" reads. Secrets are not in it: they appear as dots, which change nothing when applied again.

Example:
  tributary export > tributary.yaml
`,
  async run({ arguments: args, environment, print }) {
    readArguments(args, {}, { min: 0, max: 0, names: 'no words' })
    const client = await openControlClient(environment)
    try {
      await print(String(await client.call('export')).trimEnd())
      return 0
    } finally {
      await client.close()
    }
  },
}
