import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Print a one-time link that signs you in.',
  help: `
Usage: tributary sign-in-link

Prints a link that opens the status page once, in one browser, and expires after a day.
`,
  async run({ arguments: args, environment, print }) {
    readArguments(args, {}, { min: 0, max: 0, names: 'no words' })
    const client = await openControlClient(environment, { needsServer: 'sign-in-link' })
    try {
      await print(String(await client.call('signInLink')))
      return 0
    } finally {
      await client.close()
    }
  },
}
