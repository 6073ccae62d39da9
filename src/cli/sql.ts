import type { QueryItem } from '../api/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'
import { formatTable } from './table.ts'

export const command: Command = {
  summary: 'Ask the local warehouse in SQL.',
  help: `
Usage: tributary sql "QUERY" [--warehouse SLUG] [--json]

Runs one read-only statement; the server may go on loading. Each source has a schema of its slug, with tables such as tracks, users
and one for each event name.

  --warehouse SLUG   which warehouse, when there are several
  --json             one array of row objects: times in ISO 8601 UTC, integers beyond 2^53 as strings

Examples:
  tributary sql "select event_text, count(*) from demo.tracks group by 1 order by 2 desc"
  tributary sql "show all tables"
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      { warehouse: { type: 'string' }, json: { type: 'boolean' } },
      { min: 1, max: 1, names: 'one QUERY (in quotes)' },
    )
    const client = await openControlClient(environment)
    try {
      // The stream of our own control process, of the same version.
      const items = client.stream('sql', {
        query: positionals[0],
        warehouse: values.warehouse,
      }) as AsyncIterable<QueryItem>
      if (values.json) await printJson(items, print)
      else await printTable(items, print)
      return 0
    } finally {
      await client.close()
    }
  },
}

/** Row by row, so that a large result needs no memory here. */
async function printJson(items: AsyncIterable<QueryItem>, print: (line: string) => Promise<void>): Promise<void> {
  let columns: string[] = []
  let prefix = '['
  for await (const item of items) {
    if ('columns' in item) columns = item.columns
    else if (item.rows.length > 0) {
      await print(
        prefix +
          item.rows
            .map((row) => JSON.stringify(Object.fromEntries(columns.map((column, i) => [column, row[i]]))))
            .join(',\n'),
      )
      prefix = ','
    }
  }
  await print(prefix === '[' ? '[]' : ']')
}

async function printTable(items: AsyncIterable<QueryItem>, print: (line: string) => Promise<void>): Promise<void> {
  let columns: string[] = []
  const rows: string[][] = []
  for await (const item of items) {
    if ('columns' in item) columns = item.columns
    else
      for (const row of item.rows)
        rows.push(
          row.map((cell) => (cell === null ? 'NULL' : typeof cell === 'object' ? JSON.stringify(cell) : String(cell))),
        )
  }
  await print(formatTable(columns, rows))
  await print(`(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`)
}
