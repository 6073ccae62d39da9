/** Opens the file of a DuckDB warehouse, and closes it to everything else. */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { CATALOG, quoteName, quoteText } from './quote.ts'

export type DuckDb = typeof import('@duckdb/node-api')

export interface FileOptions {
  /** Absolute. */
  path: string
  /** As DuckDB writes sizes: `256MB`. */
  memoryLimit: string
  threads: number
}

export interface OpenFile {
  duckdb: DuckDb
  /** A connection whose names are those of the file. */
  connect(): Promise<DuckDBConnection>
  close(): void
}

/** Opens the file, made when absent. Throws an error with a sentence when it is in use elsewhere or damaged. */
export async function openFile(options: FileOptions): Promise<OpenFile> {
  // The library takes 50 MB: it is loaded by the first warehouse that is used.
  const duckdb = await import('@duckdb/node-api')
  await mkdir(dirname(options.path), { recursive: true, mode: 0o700 })
  const instance = await duckdb.DuckDBInstance.create(':memory:', {
    memory_limit: options.memoryLimit,
    threads: String(options.threads),
    temp_directory: `${options.path}.tmp`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  try {
    await attach(instance, options.path)
  } catch (error) {
    instance.closeSync()
    throw explain(error, options.path)
  }
  return {
    duckdb,
    async connect() {
      const connection = await instance.connect()
      await connection.run(`USE ${quoteName(CATALOG)}`)
      return connection
    },
    close: () => instance.closeSync(),
  }
}

async function attach(instance: DuckDBInstance, path: string): Promise<void> {
  const connection = await instance.connect()
  try {
    await connection.run(`ATTACH ${quoteText(path)} AS ${quoteName(CATALOG)}`)
    await connection.run(`SET GLOBAL TimeZone = 'UTC'`)
    // From here on no statement reads or writes another file, and none can change that: queries of people run here too.
    await connection.run('SET GLOBAL enable_external_access = false')
    await connection.run('SET GLOBAL lock_configuration = true')
  } finally {
    connection.closeSync()
  }
}

function explain(error: unknown, path: string): Error {
  const text = error instanceof Error ? error.message : String(error)
  if (/could not set lock|conflicting lock/i.test(text)) {
    return new Error(
      `The file ${path} is open in another program. DuckDB files have one user at a time: close it there.`,
      {
        cause: error,
      },
    )
  }
  if (/replaying WAL|WAL file/i.test(text)) {
    return new Error(
      `The write-ahead log ${path}.wal is damaged. Move both files away to begin a new warehouse, or only the log to go on without its last loads (everything that is still in the journal is loaded again).`,
      { cause: error },
    )
  }
  return new Error(`The file ${path} could not be opened: ${text}`, { cause: error })
}
