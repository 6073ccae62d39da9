import type { Trace } from '../api/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Tell what happened to a message.',
  help: `
Usage: tributary trace MESSAGE_ID [--json]

Prints every stage that the message went through: when it was received, what was decided and why, each request to each
destination with its status, and the load into each warehouse. Duplicates and rejected messages are found too. Ids are known for
at least 7 days. An unknown id ends with exit code 1.

Example:
  tributary trace first-1
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      { json: { type: 'boolean' } },
      { min: 1, max: 1, names: 'one MESSAGE_ID' },
    )
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const trace = (await client.call('trace', { messageId: positionals[0] })) as Trace
      await print(values.json ? JSON.stringify(trace) : describe(trace))
      return 0
    } finally {
      await client.close()
    }
  },
}

function describe(trace: Trace): string {
  const lines = [`message ${trace.messageId}`]
  for (const copy of trace.copies) {
    const what = [copy.type, copy.event === undefined ? undefined : `"${copy.event}"`]
      .filter((part) => part !== undefined)
      .join(' ')
    lines.push('', `${copy.receivedAt}  received from source ${copy.source}${what === '' ? '' : `: ${what}`}`)
    lines.push(
      `${' '.repeat(24)}  ${copy.decision}${describeReason(copy.code === copy.decision ? undefined : copy.code)}, place ${copy.place.partition}:${copy.place.offset}`,
    )
    const { forwardedTo } = copy
    if (copy.code === 'event_setting') lines.push(`${' '.repeat(24)}  blocked by the schema of source ${copy.source}`)
    if (forwardedTo !== undefined)
      lines.push(`${' '.repeat(24)}  forwarded to source ${forwardedTo.source} as ${forwardedTo.messageId}`)
    for (const { destination, state, code, attempts } of copy.destinations) {
      for (const attempt of attempts)
        lines.push(`${attempt.at}  destination ${destination}: ${describeAttempt(attempt)}`)
      const last = attempts.at(-1)
      // Where it stands, unless its last attempt has said so.
      if (last?.state !== state || last.code !== code)
        lines.push(`${' '.repeat(24)}  destination ${destination}: ${state}${code === undefined ? '' : ` (${code})`}`)
    }
    for (const { warehouse, state, code, loadId, committedAt, error } of copy.warehouses) {
      const load = loadId === undefined ? '' : `, load ${loadId}`
      lines.push(
        `${committedAt ?? ' '.repeat(24)}  warehouse ${warehouse}: ${state}${describeReason(code ?? error)}${load}`,
      )
    }
  }
  return lines.join('\n')
}

function describeReason(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason})`
}

function describeAttempt(attempt: Trace['copies'][number]['destinations'][number]['attempts'][number]): string {
  const { state, attempt: count, code, status, latencyMs, nextTryAt, mapping } = attempt
  const parts = [
    count === undefined ? undefined : `attempt ${count}`,
    mapping === undefined ? undefined : `mapping ${mapping}`,
    status === undefined ? undefined : `answer ${status}`,
    code === undefined || code === String(status) ? undefined : code,
    latencyMs === undefined ? undefined : `${Math.round(latencyMs)} ms`,
    nextTryAt === undefined ? undefined : `next try at ${nextTryAt}`,
  ].filter((part) => part !== undefined)
  return `${state}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`
}
