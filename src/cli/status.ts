import type { Status } from '../api/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'Show the accounting of every source and connection.',
  help: `
Usage: tributary status [--json]

Every message is in exactly one column. Per source: received = rejected + duplicate + dropped + processed + waiting. Per
connection: received = rejected + duplicate + dropped + delivered + discarded + waiting.

  --json   all figures, with codes, disk usage and growth
`,
  async run({ arguments: args, environment, print }) {
    const { values } = readArguments(args, { json: { type: 'boolean' } }, { min: 0, max: 0, names: 'no words' })
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const status = (await client.call('status')) as Status
      await print(values.json ? JSON.stringify(status) : describe(status))
      return 0
    } finally {
      await client.close()
    }
  },
}

function describe(status: Status): string {
  const sources = Object.entries(status.sources).map(([slug, counts]) => [
    slug,
    counts.received,
    counts.processed,
    counts.duplicate,
    codes(counts.rejected),
    codes(counts.dropped),
    counts.waiting,
  ])
  const inPages = status.connections.filter(({ mode }) => mode === 'device')
  const here = status.connections.filter(({ mode }) => mode !== 'device')
  const connections = here.map((each) => [
    `${each.source} → ${'destination' in each ? each.destination : `${each.warehouse} (warehouse)`}`,
    each.received,
    each.delivered,
    codes(each.dropped),
    codes(each.discarded),
    each.waiting,
    each.waiting > 0 ? `${Math.round(each.oldestWaitingSeconds)} s` : '',
  ])
  const errors = status.connections.flatMap((each) =>
    each.lastError === undefined ? [] : [`${each.source}: ${each.lastError}`],
  )
  const disk = Object.entries(status.disk.parts).filter(([, bytes]) => bytes > 0)
  const left = status.disk.daysLeft === null ? '' : `, ${status.disk.daysLeft} days left`
  return [
    formatTable(['source', 'received', 'processed', 'duplicate', 'rejected', 'dropped', 'waiting'], sources),
    '',
    formatTable(['connection', 'received', 'delivered', 'dropped', 'discarded', 'waiting', 'oldest'], connections),
    ...inPages.map(
      (each) =>
        `${each.source} → ${'destination' in each ? each.destination : ''} runs in web pages; nothing is sent from here`,
    ),
    '',
    `disk: ${disk.map(([part, bytes]) => `${part} ${megabytes(bytes)}`).join(', ')}; free ${megabytes(status.disk.freeBytes)}${left}`,
    ...errors.map((error) => `error: ${error}`),
  ].join('\n')
}

function codes(counts: Record<string, number>): string {
  const entries = Object.entries(counts)
  if (entries.length === 0) return '0'
  const total = entries.reduce((sum, [, count]) => sum + count, 0)
  return `${total} (${entries.map(([code, count]) => `${code} ${count}`).join(', ')})`
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
