/**
 * The control database: kysely over Node's own SQLite. SQLite has one connection here, so kysely queues: inside a transaction
 * always query through its `trx`, or the program waits for itself for ever.
 */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import {
  CompiledQuery,
  Kysely,
  SqliteAdapter,
  SqliteDialect,
  SqliteDriver,
  type DatabaseConnection,
  type SqliteDatabase,
  type SqliteDialectConfig,
  type TransactionSettings,
} from 'kysely'
import { Migrator } from 'kysely/migration'
import { AppError, messageOf } from '../base/errors.ts'
import { migrations } from './migrations/index.ts'
import type { Tables } from './tables.ts'

export type ControlDatabase = Kysely<Tables>

/** How long a statement waits for another process's lock. */
const BUSY_TIMEOUT_MS = 5_000

/** Opens the database at `path`, made when absent with mode 0600, and brings it to the newest schema, wholly or not at all. A change that was
 *  acknowledged survives a power cut. Throws `migration_failed`. */
export async function openControlDatabase(path: string): Promise<ControlDatabase> {
  // SQLite gives its other files the mode of this one.
  closeSync(openSync(path, 'a', 0o600))
  const sqlite = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
  sqlite.exec('pragma journal_mode = wal; pragma synchronous = full')
  const db = new Kysely<Tables>({ dialect: new ControlDialect({ database: adapt(sqlite) }) })
  try {
    await migrate(db)
  } catch (error) {
    await db.destroy()
    throw error
  }
  return db
}

async function migrate(db: ControlDatabase): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error === undefined) return
  throw new AppError(
    'migration_failed',
    500,
    `The control records could not be brought to this version: ${messageOf(error)}`,
    { hint: 'Nothing was changed. The version that ran before can still be started.', cause: error },
  )
}

class ControlDialect extends SqliteDialect {
  readonly #config: SqliteDialectConfig

  constructor(config: SqliteDialectConfig) {
    super(config)
    this.#config = config
  }

  override createDriver(): SqliteDriver {
    return new ImmediateDriver(this.#config)
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalDdlAdapter()
  }
}

class TransactionalDdlAdapter extends SqliteAdapter {
  // SQLite does roll back DDL; with kysely's `false` a failed migration leaves half a table behind.
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

class ImmediateDriver extends SqliteDriver {
  // A deferred transaction that turns from reading to writing fails at once when another process wrote in between,
  // whatever the busy timeout.
  override async beginTransaction(connection: DatabaseConnection, settings?: TransactionSettings): Promise<void> {
    const isReading = settings?.accessMode === 'read only'
    await connection.executeQuery(CompiledQuery.raw(isReading ? 'begin' : 'begin immediate'))
  }
}

function adapt(sqlite: DatabaseSync): SqliteDatabase {
  return {
    close: () => sqlite.close(),
    prepare(sql) {
      const statement = sqlite.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...parameters.map(toSqlite)),
        run: (parameters) => statement.run(...parameters.map(toSqlite)),
        iterate: (parameters) => statement.iterate(...parameters.map(toSqlite)),
      }
    },
  }
}

// Rows hold only texts, numbers and nulls (`tables.ts`); anything else SQLite refuses with a sentence.
function toSqlite(value: unknown): SQLInputValue {
  return (value ?? null) as SQLInputValue
}
