import type { DeadLetterAnswer } from '../api/index.ts'
import { readArguments, readNumber, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'List the messages that a destination refused.',
  help: `
Usage: tributary dead-letters DESTINATION [--code CODE]... [--from TIME] [--to TIME] [--limit N] [--json]

Messages that were discarded after an attempt, newest first, with the reason and what the destination answered. They are kept for
retention.deadLetterDays (30) and can be sent again with "tributary redeliver".

  --code CODE   Only those with this reason code: an HTTP status such as 400, ETIMEDOUT, MESSAGE_REJECTED, ... Repeat for more.
  --from, --to  When they were discarded, ISO 8601.
  --limit N     How many; 20 if not given, 1,000 at most.

Example:
  tributary dead-letters crm-hook --code 400
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      {
        code: { type: 'string', multiple: true },
        from: { type: 'string' },
        to: { type: 'string' },
        limit: { type: 'string' },
        json: { type: 'boolean' },
      },
      { min: 1, max: 1, names: 'one DESTINATION' },
    )
    const { code: codes, from, to } = values
    const query = { ...(codes && { codes }), ...(from && { from }), ...(to && { to }) }
    const limit = Math.min(1_000, readNumber(values.limit, 'limit', 20, 1))
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const letters = (await client.call('deadLetters', {
        destination: positionals[0],
        query,
        limit,
      })) as DeadLetterAnswer[]
      if (values.json) await print(JSON.stringify(letters))
      else if (letters.length === 0) await print('No dead letters.')
      else
        await print(formatTable(['discarded', 'code', 'attempts', 'event', 'message id', 'answer'], letters.map(rowOf)))
      return 0
    } finally {
      await client.close()
    }
  },
}

function rowOf({ discardedAt, code, attempts, event, type, messageId, detail }: DeadLetterAnswer): (string | number)[] {
  const answer = (detail ?? '').replaceAll(/\s+/g, ' ').slice(0, 60)
  return [discardedAt, code, attempts, event ?? type ?? '', messageId ?? 'payload gone', answer]
}
