/** The control records of an installation: one writer, the control process (or a command while no server runs). */
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { openSettings, type KeyRing } from '../base/secrets.ts'
import { createAccess, type Access } from './access.ts'
import { buildSnapshot, type SnapshotContent } from './build-snapshot.ts'
import { applyConfig } from './config-file/apply-config.ts'
import type { Config } from './config-file/config.ts'
import { exportConfig } from './config-file/export-config.ts'
import type { Plan } from './config-file/plan.ts'
import { openControlDatabase, type ControlDatabase } from './control-database.ts'
import { createSourceEdits, type SourceEdits } from './edit-sources.ts'
import { makeFirstWorkspace } from './first-workspace.ts'
import { readRecords } from './records.ts'
import type { Snapshot } from '../snapshot/index.ts'
import { writeSnapshotFile } from '../snapshot/index.ts'

export interface StoreOptions {
  /** Absolute; made when absent. */
  path: string
  clock: Clock
  /** At least 128 random bits, in characters that fit a URL. */
  newId: () => string
  secrets: KeyRing
  log: Logger
  /** Where each partition of `events` ends now: a new destination starts there. */
  eventsEnds: () => Promise<Record<number, number>>
}

export interface Store extends Access, SourceEdits {
  /** What the records say now. */
  snapshot(): Promise<Snapshot>
  /** Writes the snapshot to the file at `path`, if the file does not hold it yet; it survives a power cut from then on. */
  publish(path: string): Promise<Snapshot>
  /** Nothing was ever configured. */
  isEmpty(): Promise<boolean>
  /** What a first start without a config file works with: a demo source and a local warehouse. */
  makeFirstWorkspace(): Promise<{ writeKey: string }>
  /** What `applyConfig` would do. Throws `config_conflict` when it could not. */
  planConfig(config: Config, options?: { prune?: boolean }): Promise<Plan>
  /** Makes the records as the file says, all of it or nothing; applied again it changes nothing. Records that the file does not name
   *  stay, unless `prune`. */
  applyConfig(config: Config, options?: { prune?: boolean }): Promise<Plan>
  /** The records as a config file. Secrets are what the file had (`${NAME}`), or bullets, which mean "as stored" when applied. */
  exportConfig(): Promise<string>
  close(): Promise<void>
}

/** Opens the records at `path`, and brings them to this version's form. Throws `migration_failed`. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { clock, eventsEnds, log } = options
  const db = await openControlDatabase(options.path)
  const parts = { newId: options.newId, secrets: options.secrets, now: () => clock.now() }
  // One at a time: an older snapshot must never replace a newer one.
  let publishing: Promise<unknown> = Promise.resolve()

  async function publish(path: string): Promise<Snapshot> {
    const snapshot = await readSnapshot(db, options)
    if (await writeSnapshotFile(path, snapshot)) log.info({ snapshot: snapshot.number }, 'configuration published')
    return snapshot
  }

  return {
    snapshot: () => readSnapshot(db, options),
    publish(path) {
      const published = publishing.then(() => publish(path))
      publishing = published.catch(() => undefined)
      return published
    },
    async isEmpty() {
      return (await db.selectFrom('workspaces').select('number').limit(1).executeTakeFirst()) === undefined
    },
    makeFirstWorkspace: () => db.transaction().execute((trx) => makeFirstWorkspace(trx, parts)),
    async planConfig(config, { prune = false } = {}) {
      // The plan is what an apply did, taken back: so it cannot promise anything else than what happens.
      const trx = await db.startTransaction().execute()
      try {
        return await applyConfig(trx, config, { ...parts, prune, start: {} })
      } finally {
        await trx.rollback().execute()
      }
    },
    async applyConfig(config, { prune = false } = {}) {
      const start = await eventsEnds()
      const plan = await db.transaction().execute((trx) => applyConfig(trx, config, { ...parts, prune, start }))
      if (!plan.isEmpty) log.info({ changes: plan.changes.length }, 'configuration file applied')
      return plan
    },
    exportConfig: () => db.transaction().execute(async (trx) => exportConfig(await readRecords(trx))),
    ...createAccess(db, parts),
    ...createSourceEdits(db, parts),
    close: () => db.destroy(),
  }
}

/** What goes into a page is public, and the gateway has no key to open it with. */
function openDeviceMode(content: SnapshotContent, secrets: KeyRing): SnapshotContent {
  const destinations = content.destinations.map((destination) => {
    if (destination.mode !== 'device') return destination
    const { settings, mappings } = destination
    return {
      ...destination,
      settings: openSettings(settings, secrets),
      ...(mappings === undefined ? {} : { mappings: openSettings(mappings, secrets) }),
    }
  })
  return { ...content, destinations }
}

/** The snapshot of the records; its number grows when they differ from those that had the last one. */
function readSnapshot(db: ControlDatabase, { clock, secrets }: StoreOptions): Promise<Snapshot> {
  return db.transaction().execute(async (trx) => {
    const content = openDeviceMode(buildSnapshot(await readRecords(trx)), secrets)
    const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex')
    const last = await trx.selectFrom('snapshots').selectAll().where('id', '=', 1).executeTakeFirst()
    if (last !== undefined && last.hash === hash) {
      return { number: last.number, publishedAtMs: last.published_at, ...content }
    }
    const number = (last?.number ?? 0) + 1
    const row = { number, hash, published_at: clock.now() }
    await trx
      .insertInto('snapshots')
      .values({ id: 1, ...row })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
      .execute()
    return { number, publishedAtMs: row.published_at, ...content }
  })
}
