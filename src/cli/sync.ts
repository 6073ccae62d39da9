import type { SyncRecord } from '../loader/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'Load a warehouse now.',
  help: `
Usage: tributary sync WAREHOUSE [--json]

Returns when everything that was accepted before the call is committed in the warehouse; exit code 1 when that fails.

Example:
  tributary sync local
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      { json: { type: 'boolean' } },
      { min: 1, max: 1, names: 'one WAREHOUSE' },
    )
    const client = await openControlClient(environment, { needsServer: 'sync' })
    try {
      // The answer of our own control process, of the same version.
      const summary = (await client.call('sync', { warehouse: positionals[0] })) as SyncRecord
      if (values.json) await print(JSON.stringify(summary))
      else {
        const rows = Object.entries(summary.rows)
        if (rows.length > 0) await print(formatTable(['table', 'rows'], rows))
        for (const [notice, count] of Object.entries(summary.notices)) await print(`notice: ${notice} (${count})`)
        await print(`${positionals[0]}: loaded in ${(summary.durationMs / 1000).toFixed(1)} s`)
      }
      return 0
    } finally {
      await client.close()
    }
  },
}
