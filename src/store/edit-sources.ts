/** Changes to sources one by one, as people make them in the API. What the config file names it owns: such a change is refused. */
import { AppError } from '../base/errors.ts'
import { hashToken } from './access.ts'
import { checkShape } from './config-file/check-shape.ts'
import { BULLETS } from './config-file/config.ts'
import * as schemas from './config-file/schemas.ts'
import type { ControlDatabase } from './control-database.ts'
import { nextNumber } from './counters.ts'
import { fromJson, readRecords, type Records, type SourceRecord, type StoredSchemaControls } from './records.ts'
import {
  badInput,
  newSource,
  newWriteKey,
  readInput,
  readSchemaChange,
  sourceChange,
  WRITE_KEYS_MAX,
  type NamesChange,
  type SchemaChange,
  type SourceChange,
} from './source-input.ts'
import { checkSourceSettings, forwardProblem, oauthProblem, sourceTypeProblem } from './source-settings.ts'
import { findSourceKind } from './source-types.ts'
import type { Flag } from './tables.ts'

export interface SourceView {
  id: string
  /** Id of the workspace. */
  workspace: string
  slug: string
  name: string
  type: string
  isEnabled: boolean
  isStrict: boolean
  ip: SourceRecord['ip']
  writeKeys: string[]
  labels: Record<string, string>
  eventsPerSecond?: number
  /** A secret one is bullets. */
  settings: Record<string, unknown>
  /** Name of the OAuth app. */
  oauth?: { app: string; isRequired: boolean }
  schema: SchemaView
  createdAtMs: number
  /** The config file that owns it, and its schema. */
  managedBy?: string
  schemaManagedBy?: string
}

export interface SchemaView {
  blockedEvents: string[]
  blockedTraits: string[]
  blockedGroupTraits: string[]
  /** Slug of a source. */
  forwardBlockedEventsTo?: string
}

/** Bodies are what came: they are checked here, and `bad_request` says what is wrong with them. */
export interface SourceEdits {
  listSources(): Promise<SourceView[]>
  /** Throws `source_not_found`. */
  readSource(slug: string): Promise<SourceView>
  /** Throws `bad_request`, `slug_taken`, `unknown_type`, `write_key_taken`, `too_many_sources`. */
  createSource(body: unknown): Promise<SourceView>
  /** Throws `bad_request`, `source_not_found`, `managed_by_file`, `unknown_oauth_app`. */
  changeSource(slug: string, body: unknown): Promise<SourceView>
  /** Takes it out of its warehouses, whose tables stay. Throws `source_not_found`, `managed_by_file`, `source_in_use`. */
  deleteSource(slug: string): Promise<void>
  /** Returns the key: the given one, or a new one. Throws `source_not_found`, `managed_by_file`, `write_key_taken`, `bad_request`. */
  addWriteKey(slug: string, body?: unknown): Promise<string>
  /** Throws `source_not_found`, `managed_by_file`, `unknown_write_key`. */
  removeWriteKey(slug: string, writeKey: string): Promise<void>
  /** Throws `source_not_found`, `managed_by_file`, `bad_request`. The same change twice is as good as once. */
  changeSchema(slug: string, body: unknown): Promise<SchemaView>
  /** A token of an OAuth app, given by its hash, is taken no more. Throws `unknown_oauth_app`, `too_many_revoked_tokens`. */
  revokeToken(app: string, hash: string): Promise<void>
}

export interface EditParts {
  newId: () => string
  now: () => number
}

/** Sources of one installation at most: all of them are in the memory of each process. */
const SOURCES_MAX = 10_000
/** Revoked tokens of one app at most, until they would have expired. */
const REVOKED_TOKENS_MAX = 10_000

export function createSourceEdits(db: ControlDatabase, parts: EditParts): SourceEdits {
  const { newId, now } = parts
  /** Runs with all records, in a transaction. */
  const within = <T>(run: (trx: ControlDatabase, records: Records) => Promise<T>): Promise<T> =>
    db.transaction().execute(async (trx) => run(trx, await readRecords(trx)))
  const view = async (trx: ControlDatabase, slug: string) => {
    const records = await readRecords(trx)
    return viewOf(found(records, slug), records)
  }

  return {
    listSources: () => within(async (_, records) => records.sources.map((row) => viewOf(row, records))),
    readSource: (slug) => within(async (_, records) => viewOf(found(records, slug), records)),
    createSource: (body) =>
      within(async (trx, records) => {
        const { slug } = await insertSource(trx, records, body, parts)
        return view(trx, slug)
      }),
    changeSource: (slug, body) =>
      within(async (trx, records) => {
        const row = editable(records, slug)
        const columns = columnsOf(row, readInput(sourceChange, body), records)
        await trx.updateTable('sources').set(columns).where('number', '=', row.number).execute()
        return view(trx, slug)
      }),
    deleteSource: (slug) =>
      within(async (trx, records) => {
        const { number } = editable(records, slug)
        refuseWhileUsed(number, slug, records)
        await trx.deleteFrom('warehouse_sources').where('source', '=', number).execute()
        await trx.deleteFrom('write_keys').where('source', '=', number).execute()
        await trx.deleteFrom('sources').where('number', '=', number).execute()
      }),
    addWriteKey: (slug, body = {}) =>
      within(async (trx, records) => {
        const { number, writeKeys } = editable(records, slug)
        const { writeKey = newId() } = readInput(newWriteKey, body)
        if (writeKeys.length >= WRITE_KEYS_MAX)
          throw new AppError('bad_request', 400, `A source has at most ${WRITE_KEYS_MAX} write keys.`)
        await writeKeysOf(trx, records, number, [...writeKeys, writeKey])
        return writeKey
      }),
    removeWriteKey: (slug, writeKey) =>
      within(async (trx, records) => {
        const { number, writeKeys } = editable(records, slug)
        if (!writeKeys.includes(writeKey))
          throw new AppError('unknown_write_key', 404, `The source "${slug}" has no such write key.`)
        await trx.deleteFrom('write_keys').where('source', '=', number).where('write_key', '=', writeKey).execute()
      }),
    changeSchema: (slug, body) =>
      within(async (trx, records) => {
        const row = found(records, slug)
        if (row.schema_managed_by === 'file') throw managedByFile(`The schema of the source "${slug}"`, row, records)
        const controls = changedControls(row, readSchemaChange(body), records)
        const schema_controls = JSON.stringify(controls)
        await trx.updateTable('sources').set({ schema_controls }).where('number', '=', row.number).execute()
        return schemaViewOf({ ...row, schema_controls }, records)
      }),
    revokeToken: (name, hash) =>
      within(async (trx, { oauthApps }) => {
        const app = oauthApps.find((each) => each.name === name || each.id === name)
        if (app === undefined) throw unknownApp(name)
        await trx.deleteFrom('revoked_tokens').where('expires_at', '<', now()).execute()
        const revoked = await trx.selectFrom('revoked_tokens').select('hash').where('app', '=', app.id).execute()
        if (revoked.length >= REVOKED_TOKENS_MAX && revoked.every((row) => row.hash !== hash))
          throw new AppError('too_many_revoked_tokens', 409, `The app "${name}" has too many revoked tokens.`)
        // Whenever it was made, it has expired by then.
        const expires_at = now() + app.token_lifetime_seconds * 1000
        await trx
          .insertInto('revoked_tokens')
          .values({ hash, app: app.id, expires_at })
          .onConflict((conflict) => conflict.column('hash').doNothing())
          .execute()
      }),
  }
}

function found({ sources }: Records, slug: string): SourceRecord {
  const row = sources.find((each) => each.slug === slug)
  if (row !== undefined) return row
  throw new AppError('source_not_found', 404, `There is no source "${slug}".`, {
    hint: `There are: ${sources.map((each) => each.slug).join(', ') || 'none'}.`,
  })
}

function editable(records: Records, slug: string): SourceRecord {
  const row = found(records, slug)
  if (row.managed_by === 'file') throw managedByFile(`The source "${slug}"`, row, records)
  return row
}

function managedByFile(what: string, row: SourceRecord, records: Records): AppError {
  const file = fileOf(row, records)
  return new AppError('managed_by_file', 409, `${what} is managed by the config file ${file}.`, {
    hint: `Change ${file} and apply it.`,
  })
}

/** The config file that was applied last to the workspace. Databases of a version before this was kept do not know it. */
function fileOf({ workspace }: SourceRecord, { workspaces }: Records): string {
  return workspaces.find(({ number }) => number === workspace)?.config_file ?? 'tributary.yaml'
}

function unknownApp(name: string): AppError {
  return new AppError('unknown_oauth_app', 404, `There is no OAuth app "${name}".`)
}

async function insertSource(
  trx: ControlDatabase,
  records: Records,
  body: unknown,
  { newId, now }: EditParts,
): Promise<{ slug: string }> {
  const { slug, type: word, writeKeys, disconnectAllWarehouses, ...change } = readInput(newSource, body)
  const type = findSourceKind(word)?.slug
  if (type === undefined) throw new AppError('unknown_type', 400, sourceTypeProblem(word))
  const [workspace] = records.workspaces
  if (workspace === undefined) throw new AppError('not_found', 404, 'There is no workspace yet.')
  if (records.sources.some((row) => row.slug === slug))
    throw new AppError('slug_taken', 409, `There is a source "${slug}" already.`)
  if (records.sources.length >= SOURCES_MAX)
    throw new AppError('too_many_sources', 409, `There are ${SOURCES_MAX} sources already, which is the most.`)
  const blank: SourceRecord = {
    ...{ number: await nextNumber(trx, 'source'), id: `src_${newId()}`, workspace: workspace.number, slug, type },
    ...{ name: slug, is_enabled: 1, is_strict: 0, ip: 'keep', labels: '{}', events_per_second: null, settings: '{}' },
    ...{ webhook_token_hash: null, webhook_token_written_as: null, oauth_app: null, is_oauth_required: 0 },
    ...{ schema_controls: '{}', schema_managed_by: null, managed_by: null, created_at: now(), writeKeys: [] },
  }
  const { writeKeys: _, ...row } = { ...blank, ...columnsOf(blank, change, records) }
  await trx.insertInto('sources').values(row).execute()
  await writeKeysOf(trx, records, row.number, writeKeys ?? [newId()])
  // A warehouse of the file would lose it again when the file is applied.
  const open = disconnectAllWarehouses ? [] : records.warehouses.filter(({ managed_by }) => managed_by === null)
  for (const { number: warehouse } of open)
    await trx.insertInto('warehouse_sources').values({ warehouse, source: row.number }).execute()
  return { slug }
}

/** Makes these the write keys of the source, in this order. */
async function writeKeysOf(trx: ControlDatabase, { sources }: Records, source: number, keys: string[]): Promise<void> {
  const owner = sources.find(
    ({ number, writeKeys }) => number !== source && keys.some((key) => writeKeys.includes(key)),
  )
  if (owner !== undefined)
    throw new AppError('write_key_taken', 409, `The source "${owner.slug}" has this write key already.`)
  await trx.deleteFrom('write_keys').where('source', '=', source).execute()
  for (const [position, write_key] of [...new Set(keys)].entries())
    await trx.insertInto('write_keys').values({ write_key, source, position }).execute()
}

type ChangedColumns = Pick<
  SourceRecord,
  | 'name'
  | 'is_enabled'
  | 'is_strict'
  | 'ip'
  | 'labels'
  | 'events_per_second'
  | 'settings'
  | 'webhook_token_hash'
  | 'webhook_token_written_as'
  | 'oauth_app'
  | 'is_oauth_required'
>

function columnsOf(row: SourceRecord, change: SourceChange, records: Records): ChangedColumns {
  const { name, enabled, strict, ip, labels, limits } = change
  return {
    name: name ?? row.name,
    is_enabled: enabled === undefined ? row.is_enabled : flagOf(enabled),
    is_strict: strict === undefined ? row.is_strict : flagOf(strict),
    ip: ip ?? row.ip,
    labels: labels === undefined ? row.labels : JSON.stringify(labels),
    events_per_second: limits?.eventsPerSecond === undefined ? row.events_per_second : limits.eventsPerSecond,
    ...settingsColumns(row, change.settings),
    ...oauthColumns(row, change.oauth, records),
  }
}

type SettingsColumns = Pick<SourceRecord, 'settings' | 'webhook_token_hash' | 'webhook_token_written_as'>

function settingsColumns(row: SourceRecord, change: Record<string, unknown> = {}): SettingsColumns {
  const { type, settings, webhook_token_hash, webhook_token_written_as } = row
  const merged = Object.entries({ ...fromJson<Record<string, unknown>>(settings), ...change })
  const { value, problems } = checkShape(
    schemas.sourceSettings,
    Object.fromEntries(merged.filter(([, each]) => each !== null)),
    ['settings'],
  )
  if (value === undefined) throw badInput(problems)
  const wrong = checkSourceSettings(type, value).map(({ path, reason }) => ({ path: ['settings', ...path], reason }))
  if (wrong.length > 0) throw badInput(wrong)
  const { webhookToken, ...kept } = value
  const isKept = change['webhookToken'] === undefined || webhookToken === BULLETS
  return {
    settings: JSON.stringify(kept),
    webhook_token_hash: isKept ? webhook_token_hash : webhookToken === undefined ? null : hashToken(webhookToken),
    webhook_token_written_as: isKept ? webhook_token_written_as : null,
  }
}

function oauthColumns(
  row: SourceRecord,
  oauth: SourceChange['oauth'],
  { oauthApps }: Records,
): Pick<SourceRecord, 'oauth_app' | 'is_oauth_required'> {
  if (oauth === undefined) return { oauth_app: row.oauth_app, is_oauth_required: row.is_oauth_required }
  if (oauth === null) return { oauth_app: null, is_oauth_required: 0 }
  const reason = oauthProblem(row.type)
  if (reason !== undefined) throw badInput([{ path: ['oauth'], reason }])
  const app = oauthApps.find(({ name }) => name === oauth.app)
  if (app === undefined) throw unknownApp(oauth.app)
  return { oauth_app: app.id, is_oauth_required: flagOf(oauth.required) }
}

function refuseWhileUsed(number: number, slug: string, { destinations, warehouses, sources }: Records): void {
  const users = [
    ...destinations.filter(({ source }) => source === number).map((user) => `the destination ${user.slug}`),
    ...warehouses
      .filter((user) => user.managed_by === 'file' && user.sources.includes(number))
      .map((user) => `the warehouse ${user.slug} of the config file`),
    ...sources
      .filter(({ schema_controls }) => targetOf(schema_controls) === number)
      .map((user) => `the source ${user.slug}, which forwards blocked events to it`),
  ]
  if (users.length === 0) return
  throw new AppError('source_in_use', 409, `The source "${slug}" is used by ${users.join(', ')}.`, {
    hint: 'Delete or disconnect them first.',
  })
}

function targetOf(schemaControls: string): number | undefined {
  return fromJson<StoredSchemaControls>(schemaControls).forwardBlockedEventsTo
}

function viewOf(row: SourceRecord, records: Records): SourceView {
  const { oauth_app: appId, webhook_token_hash: tokenHash, events_per_second: eventsPerSecond } = row
  const file = fileOf(row, records)
  const app = records.oauthApps.find(({ id }) => id === appId)
  return {
    id: row.id,
    // The database holds the reference.
    workspace: records.workspaces.find(({ number }) => number === row.workspace)!.id,
    slug: row.slug,
    name: row.name,
    type: row.type,
    isEnabled: row.is_enabled === 1,
    isStrict: row.is_strict === 1,
    ip: row.ip,
    writeKeys: row.writeKeys,
    labels: fromJson(row.labels),
    ...(eventsPerSecond === null ? {} : { eventsPerSecond }),
    settings: { ...fromJson<object>(row.settings), ...(tokenHash === null ? {} : { webhookToken: BULLETS }) },
    ...(app === undefined ? {} : { oauth: { app: app.name, isRequired: row.is_oauth_required === 1 } }),
    schema: schemaViewOf(row, records),
    createdAtMs: row.created_at,
    ...(row.managed_by === 'file' ? { managedBy: file } : {}),
    ...(row.schema_managed_by === 'file' ? { schemaManagedBy: file } : {}),
  }
}

function schemaViewOf({ schema_controls }: SourceRecord, { sources }: Records): SchemaView {
  const stored = fromJson<StoredSchemaControls>(schema_controls)
  const { blockedEvents = [], blockedTraits = [], blockedGroupTraits = [], forwardBlockedEventsTo } = stored
  const target = sources.find(({ number }) => number === forwardBlockedEventsTo)?.slug
  return {
    blockedEvents,
    blockedTraits,
    blockedGroupTraits,
    ...(target === undefined ? {} : { forwardBlockedEventsTo: target }),
  }
}

function changedControls(row: SourceRecord, change: SchemaChange, records: Records): StoredSchemaControls {
  const { forwardBlockedEventsTo: before, ...stored } = fromJson<StoredSchemaControls>(row.schema_controls)
  const { forwardBlockedEventsTo: target } = change
  const forward = target === undefined ? before : target === null ? undefined : forwardNumber(row, target, records)
  return {
    blockedEvents: changedNames('blockedEvents', stored.blockedEvents, change.blockedEvents),
    blockedTraits: changedNames('blockedTraits', stored.blockedTraits, change.blockedTraits),
    blockedGroupTraits: changedNames('blockedGroupTraits', stored.blockedGroupTraits, change.blockedGroupTraits),
    ...(forward === undefined ? {} : { forwardBlockedEventsTo: forward }),
  }
}

function changedNames(list: string, stored: string[] = [], change: NamesChange = {}): string[] {
  const names = new Set(Array.isArray(change) ? change : stored)
  for (const [name, isBlocked] of Array.isArray(change) ? [] : Object.entries(change)) {
    if (isBlocked) names.add(name)
    else names.delete(name)
  }
  if (names.size > schemas.SCHEMA_NAMES_MAX)
    throw badInput([{ path: [list], reason: `has at most ${schemas.SCHEMA_NAMES_MAX} names` }])
  return [...names]
}

function forwardNumber(row: SourceRecord, slug: string, records: Records): number {
  const target = found(records, slug)
  const reason = forwardProblem(row.slug, target)
  if (reason !== undefined) throw badInput([{ path: ['forwardBlockedEventsTo'], reason }])
  return target.number
}

function flagOf(value: boolean): Flag {
  return value ? 1 : 0
}
