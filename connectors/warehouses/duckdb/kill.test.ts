import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import duckdb from './index.ts'

const ROWS = 500

/** Loads 500 rows after another, each load with its cursor, until it is killed. Prints the offset of each load that has returned. */
const child = `
  import duckdb from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
  const connection = await duckdb.connect({}, { dataDirectory: process.argv[1] })
  const [cursor] = await connection.readCursors()
  const columns = new Map([['id', 'varchar'], ['received_at', 'timestamp']])
  for (let offset = cursor?.offset ?? 0; ; offset += ${ROWS}) {
    const ids = Array.from({ length: ${ROWS} }, (_, i) => 'id-' + (offset + i))
    const cells = [
      { name: 'id', type: 'varchar', cells: ids },
      { name: 'received_at', type: 'timestamp', cells: ids.map(() => 0) },
    ]
    await connection.load({
      id: 'l' + offset,
      startedAt: new Date(0),
      createTables: offset === 0 ? [{ schema: 's', table: 't', columns }] : [],
      addColumns: [],
      alterColumns: [],
      append: [{ schema: 's', table: 't', rowCount: ids.length, columns: cells }],
      upsert: [],
      cursors: [{ journalId: 'j', source: 'src_1', partition: 0, fromOffset: offset, offset: offset + ${ROWS}, ledger: {} }],
    })
    process.stdout.write(offset + ${ROWS} + '\\n')
  }`

test('a kill at any moment leaves the rows and the cursor of the same loads', async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'tributary-duckdb-'))
  try {
    for (let round = 1; round <= 4; round += 1) {
      const running = spawn(process.execPath, ['--input-type=module', '-e', child, dataDirectory], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      const returned = new Promise<void>((resolve) => {
        running.stdout.on('data', (text: Buffer) => {
          said += text.toString()
          if (said.split('\n').length > 3 * round) resolve()
        })
      })
      await returned
      running.kill('SIGKILL')
      await once(running, 'close')
      const acknowledged = Number(said.trimEnd().split('\n').at(-1))

      const connection = await duckdb.connect({}, { dataDirectory })
      const [cursor] = await connection.readCursors()
      const result = await connection.query('SELECT count(*), count(DISTINCT id) FROM s.t', {
        timeoutMs: 5_000,
        rowsMax: 1,
      })
      const counts: unknown[][] = []
      for await (const rows of result.rows) counts.push(...rows)
      await connection.close()
      assert.deepEqual(counts, [[cursor!.offset, cursor!.offset]])
      assert.ok(cursor!.offset >= acknowledged, 'a load that has returned is never lost')
    }
  } finally {
    await rm(dataDirectory, { recursive: true })
  }
})
