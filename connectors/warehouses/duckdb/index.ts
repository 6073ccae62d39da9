/** DuckDB: the warehouse in a file beside the server. One schema a source; see README.md. */
import { isAbsolute, join } from 'node:path'
import { defineWarehouse, field, loadFields, type Load, type WarehouseConnection } from '../../../src/kit/index.ts'
import { prepareBookkeeping, readCursors, readLoads } from './bookkeeping.ts'
import { readTables } from './catalog-tables.ts'
import { createKnownIds } from './known-ids.ts'
import { runLoad } from './load.ts'
import { openFile, type OpenFile } from './open-file.ts'
import { runQuery } from './query.ts'
import { reservedWords } from './reserved-words.ts'

export default defineWarehouse({
  name: 'DuckDB',
  description: 'A warehouse in a local file, without a server of its own. Query it with `tributary sql`.',
  settings: {
    path: field.string({
      label: 'File',
      description: 'Relative paths start at the data directory. Default: warehouse.duckdb.',
    }),
    memory_limit: field.string({
      label: 'Memory limit',
      description: 'What DuckDB may use for loads and queries together. Default: 256MB.',
    }),
    threads: field.integer({ label: 'Threads', description: 'Threads of one load or query. Default: 1.' }),
    ...loadFields,
  },
  reservedWords,
  identifierBytesMax: 255,
  canWiden: new Set(['integer>float', 'boolean>varchar', 'timestamp>varchar']),
  async connect(settings, { dataDirectory }) {
    // The catalog has checked the types of the settings against the fields above.
    const path = (settings['path'] as string | undefined) || 'warehouse.duckdb'
    const file = await openFile({
      path: isAbsolute(path) ? path : join(dataDirectory, path),
      memoryLimit: (settings['memory_limit'] as string | undefined) || '256MB',
      threads: Number(settings['threads'] ?? 1),
    })
    try {
      return await createConnection(file)
    } catch (error) {
      file.close()
      throw error
    }
  },
})

async function createConnection(file: OpenFile): Promise<WarehouseConnection> {
  const loading = await file.connect()
  // What is read beside a load must not see what the load has not committed.
  const reading = await file.connect()
  await prepareBookkeeping(loading)
  const knownIds = createKnownIds({ file, connection: loading })
  return {
    readSchema: (schemas) => readTables(reading, schemas),
    readCursors: () => readCursors(reading),
    load: (load: Load) => runLoad({ file, connection: loading, knownIds }, load),
    query: (sql, limits) => runQuery(file, sql, limits),
    readLoads: (journalId, source, partition, offset) => readLoads(reading, journalId, source, partition, offset),
    async close() {
      loading.closeSync()
      reading.closeSync()
      // The last one to close folds the write-ahead log into the file.
      file.close()
    },
  }
}
