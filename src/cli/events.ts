import type { SourceEvent, SourceEventsItem } from '../api/index.ts'
import { readArguments, readNumber, type Command, type CommandInput } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Show the last events of a source, or its events as they come.',
  help: `
Usage: tributary events SOURCE [--follow] [--name NAME] [--user ID] [--id ID] [--text TEXT] [--limit N] [--json]

One line an event, the newest last: when it was received, which call it is, its name, who sent it, and what was decided about it,
with the reason code. The last 500 of each source are kept; of more than 50 a second a sample. It needs a running server.

  --follow      go on with what comes, until Ctrl-C
  --name NAME   only events, pages and screens of this name
  --user ID     only those with this user id or anonymous id
  --id ID       only the message with this id
  --text TEXT   only those that were sent with this text in them, in any case of letters
  --limit N     how many of the last ones, 20 if not given, 500 at most
  --json        a line of JSON an event, with the message as it was sent (raw) and as it went on (processed)

Examples:
  tributary events demo
  tributary events demo --follow --name "Order Completed"
`,
  async run({ arguments: args, environment, print, complain }) {
    const { values, positionals } = readArguments(
      args,
      {
        follow: { type: 'boolean' },
        name: { type: 'string' },
        user: { type: 'string' },
        id: { type: 'string' },
        text: { type: 'string' },
        limit: { type: 'string' },
        json: { type: 'boolean' },
      },
      { min: 1, max: 1, names: 'one SOURCE' },
    )
    const { name, user: userId, id: messageId, text, json = false } = values
    const filter = {
      ...(name && { name }),
      ...(userId && { userId }),
      ...(messageId && { messageId }),
      ...(text && { text }),
    }
    const limit = Math.trunc(readNumber(values.limit, 'limit', 20, 1))
    const client = await openControlClient(environment, { needsServer: 'events' })
    try {
      // The stream of our own control process, of the same version.
      const items = client.stream('sourceEvents', {
        source: positionals[0],
        filter,
        limit,
        isFollowing: values.follow ?? false,
      }) as AsyncIterable<SourceEventsItem>
      await printItems(items, json, { print, complain })
      return 0
    } finally {
      await client.close()
    }
  },
}

async function printItems(
  items: AsyncIterable<SourceEventsItem>,
  isJson: boolean,
  { print, complain }: Pick<CommandInput, 'print' | 'complain'>,
): Promise<void> {
  for await (const item of items) {
    // Our own control process has made the text.
    if ('event' in item) await print(isJson ? item.event : lineOf(JSON.parse(item.event) as SourceEvent))
    else if ('skipped' in item) complain(`${item.skipped} events came too fast to be shown here.`)
    else if ('sampling' in item) {
      const { seen, kept, since, perSecond } = item.sampling
      if (kept < seen)
        complain(`A sample: ${kept} of ${seen} events since ${since} (all of up to ${perSecond} a second are kept).`)
    }
  }
}

function lineOf({ time, type, name, userId, anonymousId, decision, code }: SourceEvent): string {
  const what = [type ?? '?', name === undefined ? undefined : `"${name}"`]
    .filter((part) => part !== undefined)
    .join(' ')
  const reason = code === undefined || code === decision ? '' : ` (${code})`
  return [time, decision.padEnd(9) + reason, what, userId ?? anonymousId ?? 'nobody'].map(printable).join('  ')
}

/** What people send may hold control characters, which a terminal would obey, and characters that turn the direction of text. */
function printable(text: string): string {
  return text.replaceAll(/[\p{C}\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
}
