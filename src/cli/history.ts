import type { DeliveryHistoryAnswer, HistoryCounts } from '../api/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'Show what became of the messages of a destination over time.',
  help: `
Usage: tributary history DESTINATION [--window 10m|1h|24h|7d|14d] [--json]

Delivered, discarded (refused for good) and dropped (filtered) messages and retries, per minute in the last hour, per hour for longer
windows, with the reasons and the time from receipt to the destination's answer. The default window is 24h.

Example:
  tributary history crm-hook --window 1h
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      { window: { type: 'string' }, json: { type: 'boolean' } },
      { min: 1, max: 1, names: 'one DESTINATION' },
    )
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const answer = (await client.call('deliveryHistory', {
        destination: positionals[0],
        window: values.window ?? '24h',
      })) as DeliveryHistoryAnswer
      await print(values.json ? JSON.stringify(answer) : describe(answer))
      return 0
    } finally {
      await client.close()
    }
  },
}

const headings = ['from', 'delivered', 'discarded', 'dropped', 'retries', '']
const barWidth = 30

function describe({ buckets, totals, latencyMs }: DeliveryHistoryAnswer): string {
  if (buckets.length === 0) return 'Nothing happened in this window.'
  const most = Math.max(...buckets.map(total))
  const rows = buckets.map((bucket) => [
    bucket.start.slice(0, 16).replace('T', ' '),
    ...cells(bucket),
    '█'.repeat(Math.ceil((total(bucket) / most) * barWidth)).padEnd(barWidth),
  ])
  const lines = [formatTable(headings, [...rows, ['total', ...cells(totals), '']])]
  if (latencyMs !== undefined) {
    const { p50, p95, p99 } = latencyMs
    lines.push('', `from receipt to answer: p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms`)
  }
  for (const [what, codes] of Object.entries({ discarded: totals.discarded, dropped: totals.dropped }))
    for (const [code, count] of Object.entries(codes)) lines.push(`${what} ${code}: ${count.toLocaleString('en')}`)
  return lines.join('\n')
}

function cells({ delivered, discarded, dropped, retries }: HistoryCounts): number[] {
  return [delivered, sum(discarded), sum(dropped), retries]
}

function total({ delivered, discarded, dropped }: HistoryCounts): number {
  return delivered + sum(discarded) + sum(dropped)
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0)
}
