/** Changes to sources one by one, as people make them in the API. What the config file names it owns: such a change is refused. */
import { AppError } from '../base/errors.ts'
import type { ControlDatabase } from './control-database.ts'
import { nextNumber } from './counters.ts'
import { fromJson, readRecords, type SourceRecord, type StoredSchemaControls } from './records.ts'
import { isClientSideType, sourceKinds } from './source-types.ts'

export interface SourceView {
  id: string
  slug: string
  name: string
  type: string
  isEnabled: boolean
  isStrict: boolean
  ip: SourceRecord['ip']
  writeKeys: string[]
  labels: Record<string, string>
  eventsPerSecond?: number
  settings: Record<string, unknown>
  schema: SchemaView
  /** True when the config file named it. */
  isManagedByFile: boolean
  isSchemaManagedByFile: boolean
}

export interface SchemaView {
  blockedEvents: string[]
  blockedTraits: string[]
  blockedGroupTraits: string[]
  /** Slug of a source. */
  forwardBlockedEventsTo?: string
}

export interface NewSource {
  slug: string
  type: string
  name?: string
}

export type SourceChange = Partial<Pick<SourceView, 'name' | 'isEnabled' | 'isStrict' | 'ip' | 'labels'>>

/** Names to block (true) or to allow (false); the forward's target, null for none. */
export interface SchemaChange {
  events?: Record<string, boolean>
  traits?: Record<string, boolean>
  groupTraits?: Record<string, boolean>
  forwardBlockedEventsTo?: string | null
}

export interface SourceEdits {
  listSources(): Promise<SourceView[]>
  /** Throws `source_not_found`. */
  readSource(slug: string): Promise<SourceView>
  /** Throws `slug_taken`, `unknown_type`. */
  createSource(source: NewSource): Promise<SourceView>
  /** Throws `source_not_found`, `managed_by_file`. */
  changeSource(slug: string, change: SourceChange): Promise<SourceView>
  /** Throws `source_not_found`, `managed_by_file`, `source_in_use`. */
  deleteSource(slug: string): Promise<void>
  /** Throws `source_not_found`, `managed_by_file`. */
  addWriteKey(slug: string): Promise<string>
  removeWriteKey(slug: string, writeKey: string): Promise<void>
  /** Throws `source_not_found`, `managed_by_file`, `bad_request` for a target that cannot be. */
  changeSchema(slug: string, change: SchemaChange): Promise<SchemaView>
  /** A token of an OAuth app is taken no more. Throws `unknown_oauth_app`. */
  revokeToken(app: string, hash: string): Promise<void>
}

export interface EditParts {
  newId: () => string
  now: () => number
}

/** Names in one list of a source's schema at most (contract: sources.md §8: events listed per source). */
const NAMES_MAX = 4_000

export function createSourceEdits(db: ControlDatabase, { newId, now }: EditParts): SourceEdits {
  const within = <T>(run: (trx: ControlDatabase) => Promise<T>): Promise<T> => db.transaction().execute(run)

  return {
    listSources: () =>
      within(async (trx) => {
        const { sources } = await readRecords(trx)
        return sources.map((row) => viewOf(row, sources))
      }),
    readSource: (slug) => within((trx) => view(trx, slug)),
    createSource: ({ slug, type, name = slug }) =>
      within(async (trx) => {
        if (!sourceKinds.some((kind) => kind.slug === type))
          throw new AppError('unknown_type', 400, `There is no kind of source "${type}".`)
        const { sources, workspaces } = await readRecords(trx)
        const [workspace] = workspaces
        if (workspace === undefined) throw new AppError('not_found', 404, 'There is no workspace yet.')
        if (sources.some((row) => row.slug === slug))
          throw new AppError('slug_taken', 409, `There is a source "${slug}" already.`)
        const number = await nextNumber(trx, 'source')
        const columns = { name, type, is_enabled: 1, ip: 'keep', labels: '{}', events_per_second: null } as const
        const more = { is_strict: 0, settings: '{}', schema_controls: '{}', schema_managed_by: null } as const
        const none = { webhook_token_hash: null, webhook_token_written_as: null, oauth_app: null } as const
        const fixed = { number, id: `src_${newId()}`, workspace: workspace.number, slug, created_at: now() }
        await trx
          .insertInto('sources')
          .values({ ...fixed, ...columns, ...more, ...none, is_oauth_required: 0, managed_by: null })
          .execute()
        await trx.insertInto('write_keys').values({ write_key: newId(), source: number, position: 0 }).execute()
        return view(trx, slug)
      }),
    changeSource: (slug, { name, isEnabled, isStrict, ip, labels }) =>
      within(async (trx) => {
        const row = await editable(trx, slug)
        const columns = {
          name: name ?? row.name,
          is_enabled: isEnabled === undefined ? row.is_enabled : isEnabled ? 1 : 0,
          is_strict: isStrict === undefined ? row.is_strict : isStrict ? 1 : 0,
          ip: ip ?? row.ip,
          labels: labels === undefined ? row.labels : JSON.stringify(labels),
        } as const
        await trx.updateTable('sources').set(columns).where('number', '=', row.number).execute()
        return view(trx, slug)
      }),
    deleteSource: (slug) =>
      within(async (trx) => {
        const row = await editable(trx, slug)
        const { destinations, warehouses } = await readRecords(trx)
        const users = [
          ...destinations.filter(({ source }) => source === row.number),
          ...warehouses.filter(({ sources }) => sources.includes(row.number)),
        ].map((user) => user.slug)
        if (users.length > 0)
          throw new AppError('source_in_use', 409, `The source "${slug}" is used by ${users.join(', ')}.`, {
            hint: 'Delete or disconnect them first.',
          })
        await trx.deleteFrom('write_keys').where('source', '=', row.number).execute()
        await trx.deleteFrom('sources').where('number', '=', row.number).execute()
      }),
    addWriteKey: (slug) =>
      within(async (trx) => {
        const { number, writeKeys } = await editable(trx, slug)
        const write_key = newId()
        const taken = await trx.selectFrom('write_keys').select('position').where('source', '=', number).execute()
        const position = writeKeys.length === 0 ? 0 : Math.max(...taken.map((row) => row.position)) + 1
        await trx.insertInto('write_keys').values({ write_key, source: number, position }).execute()
        return write_key
      }),
    removeWriteKey: (slug, writeKey) =>
      within(async (trx) => {
        const { number } = await editable(trx, slug)
        await trx.deleteFrom('write_keys').where('source', '=', number).where('write_key', '=', writeKey).execute()
      }),
    changeSchema: (slug, change) =>
      within(async (trx) => {
        const { sources } = await readRecords(trx)
        const row = found(sources, slug)
        if (row.schema_managed_by === 'file') throw managedByFile(`The schema of the source "${slug}"`)
        const schema_controls = JSON.stringify(changed(fromJson(row.schema_controls), change, row, sources))
        await trx.updateTable('sources').set({ schema_controls }).where('number', '=', row.number).execute()
        return schemaViewOf({ ...row, schema_controls }, sources)
      }),
    revokeToken: (name, hash) =>
      within(async (trx) => {
        const { oauthApps } = await readRecords(trx)
        const app = oauthApps.find((each) => each.name === name || each.id === name)
        if (app === undefined) throw new AppError('unknown_oauth_app', 404, `There is no OAuth app "${name}".`)
        await trx.deleteFrom('revoked_tokens').where('expires_at', '<', now()).execute()
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

function found(sources: readonly SourceRecord[], slug: string): SourceRecord {
  const row = sources.find((each) => each.slug === slug)
  if (row !== undefined) return row
  throw new AppError('source_not_found', 404, `There is no source "${slug}".`, {
    hint: `There are: ${sources.map((each) => each.slug).join(', ') || 'none'}.`,
  })
}

async function editable(trx: ControlDatabase, slug: string): Promise<SourceRecord> {
  const row = found((await readRecords(trx)).sources, slug)
  if (row.managed_by === 'file') throw managedByFile(`The source "${slug}"`)
  return row
}

function managedByFile(what: string): AppError {
  return new AppError('managed_by_file', 409, `${what} is managed by the config file.`, {
    hint: 'Change the file and apply it.',
  })
}

async function view(trx: ControlDatabase, slug: string): Promise<SourceView> {
  const { sources } = await readRecords(trx)
  return viewOf(found(sources, slug), sources)
}

function viewOf(row: SourceRecord, sources: readonly SourceRecord[]): SourceView {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    type: row.type,
    isEnabled: row.is_enabled === 1,
    isStrict: row.is_strict === 1,
    ip: row.ip,
    writeKeys: row.writeKeys,
    labels: fromJson(row.labels),
    ...(row.events_per_second === null ? {} : { eventsPerSecond: row.events_per_second }),
    settings: fromJson(row.settings),
    schema: schemaViewOf(row, sources),
    isManagedByFile: row.managed_by === 'file',
    isSchemaManagedByFile: row.schema_managed_by === 'file',
  }
}

function schemaViewOf({ schema_controls }: SourceRecord, sources: readonly SourceRecord[]): SchemaView {
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

function changed(
  stored: StoredSchemaControls,
  { events, traits, groupTraits, forwardBlockedEventsTo: target }: SchemaChange,
  source: SourceRecord,
  sources: readonly SourceRecord[],
): StoredSchemaControls {
  const { forwardBlockedEventsTo, ...rest } = stored
  const forward =
    target === undefined ? forwardBlockedEventsTo : target === null ? undefined : targetOf(target, source, sources)
  return {
    ...rest,
    blockedEvents: toggled(stored.blockedEvents, events),
    blockedTraits: toggled(stored.blockedTraits, traits),
    blockedGroupTraits: toggled(stored.blockedGroupTraits, groupTraits),
    ...(forward === undefined ? {} : { forwardBlockedEventsTo: forward }),
  }
}

function toggled(names: string[] = [], change: Record<string, boolean> = {}): string[] {
  const left = new Set(names)
  for (const [name, isBlocked] of Object.entries(change)) {
    if (isBlocked) left.add(name)
    else left.delete(name)
  }
  if (left.size > NAMES_MAX) throw new AppError('bad_request', 400, `A source blocks at most ${NAMES_MAX} names.`)
  return [...left]
}

function targetOf(slug: string, source: SourceRecord, sources: readonly SourceRecord[]): number {
  const target = found(sources, slug)
  if (target.number === source.number) throw new AppError('bad_request', 400, 'A source cannot forward to itself.')
  if (isClientSideType(target.type))
    throw new AppError('bad_request', 400, `Blocked events go to a server-side source; "${slug}" is ${target.type}.`)
  return target.number
}
