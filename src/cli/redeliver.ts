import { setTimeout as wait } from 'node:timers/promises'
import type { RedeliveryAnswer, RedeliveryRequest } from '../api/index.ts'
import { readArguments, readNumber, type Command, type CommandInput } from './command.ts'
import { openControlClient, type ControlClient } from './control-client.ts'

const POLL_MS = 500

export const command: Command = {
  summary: 'Send messages again that a destination refused.',
  help: `
Usage: tributary redeliver DESTINATION [--code CODE]... [--event NAME] [--from TIME] [--to TIME]
                           [--rate N] [--dry-run] [--wait] [--cancel] [--json]

Puts dead letters back: they count as waiting again and go through the destination's retries like any message. Without a filter
all of them; of a message that went through several mappings only those are repeated that failed. What fails again is a dead letter
again. One redelivery of a destination runs at a time, and it goes on after a restart.

  --code CODE   Only those with this reason code. Repeat for more.
  --event NAME  Only those of this event, page or screen.
  --from, --to  When they were discarded, ISO 8601.
  --rate N      Messages a second; as fast as the destination bears if not given.
  --dry-run     Only counts what would be sent.
  --wait        Returns when all are put back, with progress; exit code 1 when it was cancelled.
  --cancel      Ends the redelivery that is running. What was put back already is sent.

Example:
  tributary redeliver crm-hook --code 400 --dry-run
`,
  async run(input) {
    const { values, positionals } = readArguments(
      input.arguments,
      {
        code: { type: 'string', multiple: true },
        event: { type: 'string' },
        from: { type: 'string' },
        to: { type: 'string' },
        rate: { type: 'string' },
        'dry-run': { type: 'boolean' },
        wait: { type: 'boolean' },
        cancel: { type: 'boolean' },
        json: { type: 'boolean' },
      },
      { min: 1, max: 1, names: 'one DESTINATION' },
    )
    const { code: codes, event, from, to, rate } = values
    const request: RedeliveryRequest = {
      ...(codes && { codes }),
      ...(event && { event }),
      ...(from && { from }),
      ...(to && { to }),
      ...(rate && { messagesPerSecond: readNumber(rate, 'rate', 1, 0.01) }),
      ...(values['dry-run'] && { dryRun: true }),
    }
    // `readArguments` has made sure that there is one.
    const destination = positionals[0]!
    const client = await openControlClient(input.environment, { needsServer: 'redeliver' })
    try {
      if (values.cancel) return await cancel(client, destination, input)
      return await order(
        client,
        destination,
        request,
        { wait: values.wait ?? false, json: values.json ?? false },
        input,
      )
    } finally {
      await client.close()
    }
  },
}

async function order(
  client: ControlClient,
  destination: string,
  request: RedeliveryRequest,
  how: { wait: boolean; json: boolean },
  { print, complain }: CommandInput,
): Promise<number> {
  // The answer of our own control process, of the same version.
  const answer = (await client.call('redeliver', { destination, request })) as { matched: number } | RedeliveryAnswer
  if (!('id' in answer)) {
    await print(
      how.json ? JSON.stringify(answer) : `${answer.matched.toLocaleString('en')} messages would be sent again.`,
    )
    return 0
  }
  if (!how.wait) {
    await print(how.json ? JSON.stringify(answer) : `${answer.matched.toLocaleString('en')} messages are sent again.`)
    return 0
  }
  const last = await follow(client, destination, answer, complain)
  await print(how.json ? JSON.stringify(last) : `${last.taken.toLocaleString('en')} messages put back, ${last.state}.`)
  return last.state === 'done' ? 0 : 1
}

async function follow(
  client: ControlClient,
  destination: string,
  first: RedeliveryAnswer,
  complain: (line: string) => void,
): Promise<RedeliveryAnswer> {
  let seen = first
  while (seen.state === 'running') {
    await wait(POLL_MS)
    const all = (await client.call('redeliveries', { destination })) as RedeliveryAnswer[]
    const found = all.find(({ id }) => id === first.id)
    if (found === undefined) return seen
    if (found.taken !== seen.taken) complain(`${found.taken} of ${found.matched}`)
    seen = found
  }
  return seen
}

async function cancel(client: ControlClient, destination: string, { print }: CommandInput): Promise<number> {
  const all = (await client.call('redeliveries', { destination })) as RedeliveryAnswer[]
  const running = all.find(({ state }) => state === 'running')
  if (running === undefined) {
    await print('No redelivery is running.')
    return 1
  }
  await client.call('cancelRedelivery', { destination, id: running.id })
  await print(`Cancelled; ${running.taken} messages had been put back.`)
  return 0
}
