import type { SnippetAnswer } from '../api/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Print the code to paste into the pages of a website.',
  help: `
Usage: tributary snippet SOURCE [--neutral] [--address URL] [--json]

It goes into the head of every page. Without --address it points at TRIBUTARY_PUBLIC_URL, or at this machine.

  --neutral      paths without a word by which content blockers know them
  --address URL  where pages reach this installation, such as a path of the site's own host
  --json         as {"snippet": "…"}

Examples:
  tributary snippet web
  tributary snippet web --neutral --address https://shop.example.org/assets
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      { neutral: { type: 'boolean' }, address: { type: 'string' }, json: { type: 'boolean' } },
      { min: 1, max: 1, names: 'one SOURCE' },
    )
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const answer = (await client.call('snippet', {
        source: positionals[0],
        paths: values.neutral ? 'neutral' : 'usual',
        ...(values.address === undefined ? {} : { address: values.address }),
      })) as SnippetAnswer
      await print(values.json ? JSON.stringify(answer) : answer.snippet)
      return 0
    } finally {
      await client.close()
    }
  },
}
