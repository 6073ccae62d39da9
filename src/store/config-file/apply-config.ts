/** Makes the records as a config file says. One transaction of the caller's: all of it happens, or nothing. */
import type { KeyRing } from '../../base/secrets.ts'
import { hashToken } from '../access.ts'
import type { ControlDatabase } from '../control-database.ts'
import { nextNumber } from '../counters.ts'
import { firstWorkspace, insertWorkspace } from '../first-workspace.ts'
import {
  fromJson,
  readRecords,
  type DestinationRecord,
  type Records,
  type SourceRecord,
  type StoredSchemaControls,
  type WarehouseRecord,
} from '../records.ts'
import { deviceModeProblem, forwardProblem } from '../source-settings.ts'
import { findSourceKind } from '../source-types.ts'
import type { Flag, MappingRow } from '../tables.ts'
import {
  BULLETS,
  type Config,
  type ConfigSections,
  type DestinationConfig,
  type MappingConfig,
  type SourceConfig,
  type TokenConfig,
  type WarehouseConfig,
} from './config.ts'
import { differences } from './differences.ts'
import {
  destinationEntry,
  oauthAppEntry,
  schemaEntry,
  sectionEntries,
  sourceEntry,
  warehouseEntry,
  type SourceNames,
} from './entries.ts'
import { createPlan, type Plan, type PlanChange } from './plan.ts'
import { configInvalid, type Path } from './problem.ts'
import { sealMarked } from './seal-marked.ts'

export interface ApplyOptions {
  newId: () => string
  now: () => number
  secrets: KeyRing
  /** Delete what the file does not name. */
  prune: boolean
  /** Where a new destination starts in each partition of `events`. */
  start: Record<number, number>
}

/** Returns what was done. Throws `config_invalid` when the file and the stored records do not fit; then roll back. */
export async function applyConfig(trx: ControlDatabase, config: Config, options: ApplyOptions): Promise<Plan> {
  const application = new Application(trx, config, options)
  await application.run()
  return createPlan(application.changes)
}

type Kind = 'token' | 'source' | 'destination' | 'warehouse'
const tables = { token: 'tokens', source: 'sources', destination: 'destinations', warehouse: 'warehouses' } as const

class Application {
  readonly changes: PlanChange[] = []
  readonly #trx: ControlDatabase
  readonly #config: Config
  readonly #options: ApplyOptions
  readonly #problems: string[] = []
  #workspace = 0
  /** Numbers of sources by slug; of stored ones, then also of new ones. */
  #sources = new Map<string, number>()
  /** Likewise their types. */
  readonly #types = new Map<string, string>()
  /** Ids of OAuth apps by name. */
  readonly #oauthApps = new Map<string, string>()

  constructor(trx: ControlDatabase, config: Config, options: ApplyOptions) {
    this.#trx = trx
    this.#config = config
    this.#options = options
  }

  async run(): Promise<void> {
    const records = await readRecords(this.#trx)
    await this.#applyWorkspace(records)
    await this.#rememberFile()
    await this.#applySections(records)
    await this.#applyTokens(records)
    await this.#applyOAuthApps(records)
    for (const { slug, type } of [...records.sources, ...this.#config.sources]) this.#types.set(slug, type)
    const moved = await this.#removeMoved(records)
    await this.#removeUnnamed(records)
    await this.#applySources(records)
    await this.#applySchemas(records)
    await this.#removeUnusedOAuthApps(records)
    for (const warehouse of this.#config.warehouses) await this.#applyWarehouse(warehouse, records)
    for (const destination of this.#config.destinations) await this.#applyDestination(destination, records, moved)
    await this.#refuseTwiceInPage()
    this.#stopIfWrong()
  }

  #refuse(path: string, reason: string): void {
    this.#problems.push(`${this.#config.fileName}: ${path}: ${reason}`)
  }

  #stopIfWrong(): void {
    if (this.#problems.length > 0) throw configInvalid(this.#problems)
  }

  /** More about a record that this plan has a line for, or a line for it. */
  #noteDetails(kind: PlanChange['kind'], slug: string, details: string[]): void {
    const noted = this.changes.find((change) => change.kind === kind && change.slug === slug)
    if (noted === undefined) this.#note('change', kind, slug, details)
    else if (noted.action === 'change') noted.details.push(...details)
  }

  #note(action: PlanChange['action'], kind: PlanChange['kind'], slug: string, details: string[] = []): void {
    this.changes.push({ action, kind, slug, details })
  }

  async #applyWorkspace({ workspaces: [stored] }: Records): Promise<void> {
    const wanted = this.#config.workspace
    if (stored === undefined) {
      const made = wanted ?? firstWorkspace
      this.#workspace = await insertWorkspace(this.#trx, made, this.#options)
      this.#note('create', 'workspace', made.slug)
      return
    }
    this.#workspace = stored.number
    if (wanted === undefined) return
    const details = differences({ name: stored.name, slug: stored.slug }, wanted)
    if (details.length === 0) return
    await this.#trx.updateTable('workspaces').set(wanted).where('number', '=', stored.number).execute()
    this.#note('change', 'workspace', wanted.slug, details)
  }

  /** For the sentence that refuses a change of what the file owns. */
  async #rememberFile(): Promise<void> {
    const { fileName: config_file } = this.#config
    await this.#trx.updateTable('workspaces').set({ config_file }).where('number', '=', this.#workspace).execute()
  }

  async #applySections(records: Records): Promise<void> {
    const before = sectionEntries(records)
    const named = this.#config.sections
    const after: ConfigSections = this.#options.prune ? named : { ...before, ...named }
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof ConfigSections>) {
      const details = differences(before[name] ?? {}, after[name] ?? {})
      if (details.length > 0) this.#note(after[name] === undefined ? 'delete' : 'change', 'settings', name, details)
      else if (named[name] === undefined && after[name] !== undefined) this.#note('unmanaged', 'settings', name)
    }
    if (differences(before, after).length === 0) return
    const { eventsPerSecond = null, ...limits } = after.limits ?? {}
    await this.#trx
      .updateTable('workspaces')
      .set({ events_per_second: eventsPerSecond })
      .where('number', '=', this.#workspace)
      .execute()
    const sections = JSON.stringify({ ...after, limits })
    await this.#trx
      .insertInto('settings')
      .values({ id: 1, sections })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ sections }))
      .execute()
  }

  async #applyTokens({ tokens }: Records): Promise<void> {
    for (const token of this.#config.tokens) {
      await this.#applyToken(
        token,
        tokens.find(({ name }) => name === token.name),
      )
    }
  }

  async #applyToken({ name, role, token }: TokenConfig, stored: Records['tokens'][number] | undefined): Promise<void> {
    const isKept = token.$secret === BULLETS
    if (isKept && stored === undefined) {
      return this.#refuse(`tokens.${name}.token`, 'The bullets stand for a stored token, but none is stored here.')
    }
    const hash = isKept && stored !== undefined ? stored.hash : hashToken(token.$secret)
    const written_as = isKept && stored !== undefined ? stored.written_as : (token.$from ?? null)
    const row = { hash, role, written_as, managed_by: 'file' as const }
    if (stored === undefined) {
      const key = { workspace: this.#workspace, name, created_at: this.#options.now() }
      await this.#trx
        .insertInto('tokens')
        .values({ ...key, ...row })
        .execute()
      return this.#note('create', 'token', name)
    }
    const details = [
      ...differences({ role: stored.role }, { role }),
      ...(stored.hash === hash ? [] : [`token: ${BULLETS} → another token`]),
      ...(stored.written_as === written_as ? [] : ['token: written in another way']),
    ]
    if (details.length > 0) this.#note('change', 'token', name, details)
    await this.#trx
      .updateTable('tokens')
      .set(row)
      .where('workspace', '=', this.#workspace)
      .where('name', '=', name)
      .execute()
  }

  async #applyOAuthApps({ oauthApps }: Records): Promise<void> {
    for (const { id, name } of oauthApps) this.#oauthApps.set(name, id)
    for (const { name, publicKeys, tokenLifetimeSeconds, scopes } of this.#config.oauthApps) {
      const stored = oauthApps.find((row) => row.name === name)
      const columns = {
        public_keys: JSON.stringify(publicKeys),
        token_lifetime_seconds: tokenLifetimeSeconds,
        scopes: JSON.stringify(scopes),
        managed_by: 'file' as const,
      }
      if (stored === undefined) {
        const id = `oap_${this.#options.newId()}`
        const fixed = { id, workspace: this.#workspace, name, created_at: this.#options.now() }
        await this.#trx
          .insertInto('oauth_apps')
          .values({ ...fixed, ...columns })
          .execute()
        this.#oauthApps.set(name, id)
        this.#note('create', 'oauth app', name)
        continue
      }
      const details = differences(oauthAppEntry(stored), oauthAppEntry(columns))
      if (details.length > 0) this.#note('change', 'oauth app', name, details)
      await this.#trx.updateTable('oauth_apps').set(columns).where('id', '=', stored.id).execute()
    }
  }

  /** After the sources, which refer to them. */
  async #removeUnusedOAuthApps({ oauthApps }: Records): Promise<void> {
    const named = new Set(this.#config.oauthApps.map(({ name }) => name))
    for (const { id, name } of oauthApps.filter((app) => !named.has(app.name))) {
      if (!this.#options.prune) {
        this.#note('unmanaged', 'oauth app', name)
        await this.#trx.updateTable('oauth_apps').set({ managed_by: null }).where('id', '=', id).execute()
        continue
      }
      const user = await this.#trx.selectFrom('sources').select('slug').where('oauth_app', '=', id).executeTakeFirst()
      if (user !== undefined) this.#refuse(`oauthApps.${name}`, `The source "${user.slug}" uses this app.`)
      this.#note('delete', 'oauth app', name)
      await this.#trx.deleteFrom('oauth_apps').where('id', '=', id).execute()
    }
  }

  /** Once every source is there: blocked events may go to any of them. */
  async #applySchemas({ sources }: Records): Promise<void> {
    const { slugOf } = this.#sourceNames()
    for (const wanted of this.#config.sources) {
      // `#applySource` has made or found it.
      const number = this.#sources.get(wanted.slug)!
      const { schema_controls: before = '{}' } = sources.find((row) => row.number === number) ?? {}
      const columns = this.#schemaColumns(wanted, before)
      await this.#trx.updateTable('sources').set(columns).where('number', '=', number).execute()
      const details = differences(
        schemaEntry({ schema_controls: before }, { slugOf }),
        schemaEntry(columns, { slugOf }),
        'schema',
      )
      if (details.length > 0) this.#noteDetails('source', wanted.slug, details)
    }
    this.#stopIfWrong()
  }

  /** Without `schema` in the file, what the API has set stays, but for a target that is no more. */
  #schemaColumns(
    { slug, schema }: SourceConfig,
    before: string,
  ): Pick<SourceRecord, 'schema_controls' | 'schema_managed_by'> {
    if (schema === undefined) {
      const { forwardBlockedEventsTo: target, ...lists } = fromJson<StoredSchemaControls>(before)
      const isThere = target !== undefined && [...this.#sources.values()].includes(target)
      const controls = isThere ? { ...lists, forwardBlockedEventsTo: target } : lists
      return { schema_controls: JSON.stringify(controls), schema_managed_by: null }
    }
    const { forwardBlockedEventsTo: target, ...lists } = schema
    const forward = target === undefined ? {} : { forwardBlockedEventsTo: this.#forwardTarget(slug, target) }
    const controls = { ...lists, ...forward } satisfies StoredSchemaControls
    return { schema_controls: JSON.stringify(controls), schema_managed_by: 'file' }
  }

  #forwardTarget(slug: string, target: string): number {
    const path = `sources.${slug}.schema.forwardBlockedEventsTo`
    const problem = forwardProblem(slug, { slug: target, type: this.#types.get(target) ?? '' })
    if (problem !== undefined) this.#refuse(path, problem)
    return this.#sourceNumber(target, path)
  }

  /** A destination that gets another source, or goes from the page to the server or back, is another connection: a new number, a new
   *  start, counts of its own. Returns where such destinations were. */
  async #removeMoved({ destinations, sources }: Records): Promise<Map<string, string>> {
    const slugs = new Map(sources.map(({ number, slug }) => [number, slug]))
    const moved = new Map<string, string>()
    for (const { slug, source, mode } of this.#config.destinations) {
      const stored = destinations.find((row) => row.slug === slug)
      if (stored === undefined || (slugs.get(stored.source) === source && stored.mode === mode)) continue
      // Its source is stored: the database holds the reference.
      moved.set(slug, slugs.get(stored.source)!)
      await this.#trx.deleteFrom('destinations').where('number', '=', stored.number).execute()
    }
    return moved
  }

  /** Deletes, or lets go of, what the file does not name. */
  async #removeUnnamed(records: Records): Promise<void> {
    const { destinations, warehouses, tokens, sources } = this.#config
    const named: Record<Kind, Set<string>> = {
      destination: new Set(destinations.map(({ slug }) => slug)),
      warehouse: new Set(warehouses.map(({ slug }) => slug)),
      token: new Set(tokens.map(({ name }) => name)),
      source: new Set(sources.map(({ slug }) => slug)),
    }
    // Sources come last, since the others refer to them.
    for (const row of records.destinations) {
      if (!named.destination.has(row.slug)) await this.#removeRow('destination', row.slug)
    }
    for (const row of records.warehouses) {
      if (!named.warehouse.has(row.slug)) await this.#removeRow('warehouse', row.slug)
    }
    for (const row of records.tokens) if (!named.token.has(row.name)) await this.#removeRow('token', row.name)
    for (const row of records.sources) {
      if (named.source.has(row.slug)) this.#sources.set(row.slug, row.number)
      else if (!this.#options.prune) this.#sources.set(row.slug, row.number)
      else if (destinations.some(({ source }) => source === row.slug)) {
        this.#refuse(
          `sources.${row.slug}`,
          'A destination of the file refers to this source, which the file does not name.',
        )
      }
      if (!named.source.has(row.slug)) await this.#removeRow('source', row.slug)
    }
    this.#stopIfWrong()
  }

  async #removeRow(kind: Kind, slug: string): Promise<void> {
    // The four tables have these columns in common; kysely cannot join their types.
    const table = tables[kind] as 'tokens'
    const column = (kind === 'token' ? 'name' : 'slug') as 'name'
    if (this.#options.prune) {
      this.#note('delete', kind, slug)
      if (this.#problems.length > 0) return
      await this.#trx.deleteFrom(table).where('workspace', '=', this.#workspace).where(column, '=', slug).execute()
      return
    }
    this.#note('unmanaged', kind, slug)
    await this.#trx
      .updateTable(table)
      .set({ managed_by: null })
      .where('workspace', '=', this.#workspace)
      .where(column, '=', slug)
      .where('managed_by', 'is not', null)
      .execute()
    if (kind === 'source') await this.#releaseSchema(slug)
  }

  async #releaseSchema(slug: string): Promise<void> {
    await this.#trx
      .updateTable('sources')
      .set({ schema_managed_by: null })
      .where('workspace', '=', this.#workspace)
      .where('slug', '=', slug)
      .execute()
  }

  async #applySources({ sources }: Records): Promise<void> {
    const named = new Map(this.#config.sources.map((source) => [source.slug, source]))
    this.#refuseTakenWriteKeys(sources.filter(({ slug }) => !named.has(slug)))
    const newKeys: { write_key: string; source: number; position: number }[] = []
    for (const wanted of this.#config.sources) {
      const stored = sources.find(({ slug }) => slug === wanted.slug)
      const record = await this.#applySource(wanted, stored)
      // A key may go from one source to another, so all old ones go before the new ones come.
      await this.#trx.deleteFrom('write_keys').where('source', '=', record.number).execute()
      newKeys.push(...record.writeKeys.map((write_key, position) => ({ write_key, source: record.number, position })))
    }
    for (const key of newKeys) await this.#trx.insertInto('write_keys').values(key).execute()
  }

  #refuseTakenWriteKeys(others: SourceRecord[]): void {
    if (this.#options.prune) return
    const owners = new Map(others.flatMap(({ slug, writeKeys }) => writeKeys.map((key) => [key, slug] as const)))
    for (const { slug, writeKeys = [] } of this.#config.sources) {
      for (const [i, key] of writeKeys.entries()) {
        const owner = owners.get(key)
        if (owner === undefined) continue
        this.#refuse(`sources.${slug}.writeKeys[${i}]`, `The stored source "${owner}" has this write key.`)
      }
    }
    this.#stopIfWrong()
  }

  async #applySource(wanted: SourceConfig, stored: SourceRecord | undefined): Promise<SourceRecord> {
    const { newId, now } = this.#options
    if (stored !== undefined && (findSourceKind(stored.type)?.slug ?? stored.type) !== wanted.type)
      this.#refuse(
        `sources.${wanted.slug}.type`,
        `The type of a source never changes; this one is ${stored.type}. Make another source.`,
      )
    const columns = {
      name: wanted.name,
      type: wanted.type,
      is_enabled: flagOf(wanted.isEnabled),
      ip: wanted.ip,
      labels: JSON.stringify(wanted.labels),
      events_per_second: wanted.eventsPerSecond ?? null,
      is_strict: flagOf(wanted.isStrict),
      settings: JSON.stringify(wanted.settings),
      ...this.#webhookToken(wanted, stored),
      ...this.#oauth(wanted),
      managed_by: 'file' as const,
    }
    const writeKeys = wanted.writeKeys ?? stored?.writeKeys ?? [newId()]
    if (stored !== undefined) {
      const record = { ...stored, ...columns, writeKeys }
      const names = this.#sourceNames()
      const details = differences(sourceEntry(stored, names), sourceEntry(record, names))
      if (details.length > 0) this.#note('change', 'source', wanted.slug, details)
      await this.#trx.updateTable('sources').set(columns).where('number', '=', stored.number).execute()
      return record
    }
    const row = {
      ...columns,
      number: await nextNumber(this.#trx, 'source'),
      id: `src_${newId()}`,
      workspace: this.#workspace,
      slug: wanted.slug,
      schema_controls: '{}',
      schema_managed_by: null,
      created_at: now(),
    }
    await this.#trx.insertInto('sources').values(row).execute()
    this.#sources.set(wanted.slug, row.number)
    this.#note('create', 'source', wanted.slug)
    return { ...row, writeKeys }
  }

  #oauth({ slug, oauth }: SourceConfig): Pick<SourceRecord, 'oauth_app' | 'is_oauth_required'> {
    if (oauth === undefined) return { oauth_app: null, is_oauth_required: 0 }
    const app = this.#oauthApps.get(oauth.app)
    if (app === undefined) this.#refuse(`sources.${slug}.oauth.app`, `There is no OAuth app "${oauth.app}".`)
    return { oauth_app: app ?? null, is_oauth_required: flagOf(oauth.isRequired) }
  }

  #sourceNames(): SourceNames {
    const slugs = new Map([...this.#sources].map(([slug, number]) => [number, slug]))
    const names = new Map([...this.#oauthApps].map(([name, id]) => [id, name]))
    return { slugOf: (number) => slugs.get(number) ?? String(number), oauthAppOf: (id) => names.get(id) ?? id }
  }

  #webhookToken(
    { slug, webhookToken: token }: SourceConfig,
    stored: SourceRecord | undefined,
  ): Pick<SourceRecord, 'webhook_token_hash' | 'webhook_token_written_as'> {
    if (token === undefined) return { webhook_token_hash: null, webhook_token_written_as: null }
    if (token.$secret !== BULLETS) {
      return { webhook_token_hash: hashToken(token.$secret), webhook_token_written_as: token.$from ?? null }
    }
    const { webhook_token_hash = null, webhook_token_written_as = null } = stored ?? {}
    if (webhook_token_hash === null) {
      const path = `sources.${slug}.settings.webhookToken`
      this.#refuse(path, 'The bullets stand for a stored token, but none is stored here.')
    }
    return { webhook_token_hash, webhook_token_written_as }
  }

  /** The number of a source that the file refers to; a problem when there is none. */
  #sourceNumber(slug: string, path: string): number {
    const number = this.#sources.get(slug)
    if (number === undefined) this.#refuse(path, `There is no source "${slug}".`)
    return number ?? 0
  }

  #seal(marked: Record<string, unknown>, stored: string | undefined, path: Path): Record<string, unknown> {
    return sealMarked(marked, stored === undefined ? undefined : fromJson(stored), {
      secrets: this.#options.secrets,
      path,
      refuse: (at, reason) => this.#refuse(at, reason),
    })
  }

  async #applyWarehouse(wanted: WarehouseConfig, records: Records): Promise<void> {
    const path = ['warehouses', wanted.slug]
    const stored = records.warehouses.find(({ slug }) => slug === wanted.slug)
    const sources = wanted.sources.map((slug) => this.#sourceNumber(slug, `warehouses.${wanted.slug}.sources`))
    const settings = this.#seal(wanted.settings, stored?.settings, [...path, 'settings'])
    this.#stopIfWrong()
    const columns = {
      type: wanted.type,
      name: wanted.name,
      is_enabled: flagOf(wanted.isEnabled),
      settings: JSON.stringify(settings),
      schedule: wanted.schedule,
      selective_sync: JSON.stringify(wanted.selectiveSync),
      managed_by: 'file' as const,
    }
    if (stored === undefined) {
      const number = await nextNumber(this.#trx, 'connection')
      const fixed = { number, id: `whs_${this.#options.newId()}`, workspace: this.#workspace, slug: wanted.slug }
      const row = { ...fixed, ...columns, created_at: this.#options.now() }
      await this.#trx.insertInto('warehouses').values(row).execute()
      await this.#writeWarehouseSources(number, sources)
      return this.#note('create', 'warehouse', wanted.slug)
    }
    const record: WarehouseRecord = { ...stored, ...columns, sources: [...sources].sort((a, b) => a - b) }
    const details = differences(this.#warehouseEntry(stored, records), this.#warehouseEntry(record, records))
    if (details.length === 0 && stored.managed_by === 'file') return
    await this.#trx.updateTable('warehouses').set(columns).where('number', '=', stored.number).execute()
    await this.#writeWarehouseSources(stored.number, sources)
    if (details.length > 0) this.#note('change', 'warehouse', wanted.slug, details)
  }

  #warehouseEntry(record: WarehouseRecord, { sources }: Records): Record<string, unknown> {
    const slugs = new Map([...this.#sources].map(([slug, number]) => [number, slug]))
    // A source that this run deletes is known from the records only.
    return warehouseEntry(record, (n) => slugs.get(n) ?? sources.find(({ number }) => number === n)?.slug ?? String(n))
  }

  async #writeWarehouseSources(warehouse: number, sources: number[]): Promise<void> {
    await this.#trx.deleteFrom('warehouse_sources').where('warehouse', '=', warehouse).execute()
    for (const source of sources)
      await this.#trx.insertInto('warehouse_sources').values({ warehouse, source }).execute()
  }

  async #applyDestination(wanted: DestinationConfig, records: Records, moved: Map<string, string>): Promise<void> {
    const stored = records.destinations.find(({ slug }) => slug === wanted.slug)
    const source = this.#sourceNumber(wanted.source, `destinations.${wanted.slug}.source`)
    const type = this.#types.get(wanted.source)
    if (wanted.mode === 'device' && type !== undefined) {
      const problem = deviceModeProblem({ slug: wanted.source, type })
      if (problem !== undefined) this.#refuse(`destinations.${wanted.slug}.mode`, problem)
    }
    const movedFrom = moved.get(wanted.slug)
    const isNew = stored === undefined || movedFrom !== undefined
    const fixed = isNew ? await this.#newDestination(wanted.slug, source) : stored
    const record = this.#destinationRecord(wanted, stored, { ...fixed, source })
    this.#stopIfWrong()
    const { mappings, filters, ...row } = record
    const details =
      stored === undefined ? [] : this.#destinationDifferences(stored, record, movedFrom ?? wanted.source, wanted)
    if (isNew) await this.#trx.insertInto('destinations').values(row).execute()
    else if (details.length > 0 || stored.managed_by !== 'file') {
      const { number, id, workspace, source: _, slug, start, created_at, ...columns } = row
      await this.#trx.updateTable('destinations').set(columns).where('number', '=', number).execute()
    }
    if (isNew || details.length > 0) await this.#writeRules(row.number, mappings, filters)
    if (stored === undefined) this.#note('create', 'destination', wanted.slug)
    else if (details.length > 0) this.#note('change', 'destination', wanted.slug, details)
  }

  #destinationDifferences(
    stored: DestinationRecord,
    record: DestinationRecord,
    storedSource: string,
    wanted: DestinationConfig,
  ): string[] {
    const details = differences(destinationEntry(stored, storedSource), destinationEntry(record, wanted.source))
    const isSame = storedSource === wanted.source && stored.mode === wanted.mode
    return isSame ? details : [...details, 'a new connection: it starts from now']
  }

  async #newDestination(slug: string, source: number) {
    return {
      number: await nextNumber(this.#trx, 'connection'),
      id: `dst_${this.#options.newId()}`,
      workspace: this.#workspace,
      source,
      slug,
      start: JSON.stringify(this.#options.start),
      created_at: this.#options.now(),
    }
  }

  #destinationRecord(
    wanted: DestinationConfig,
    stored: DestinationRecord | undefined,
    fixed: Pick<DestinationRecord, 'number' | 'id' | 'workspace' | 'source' | 'slug' | 'start' | 'created_at'>,
  ): DestinationRecord {
    const path = ['destinations', wanted.slug]
    const { number, id, workspace, source, slug, start, created_at } = fixed
    const auth =
      wanted.auth === undefined
        ? (stored?.auth ?? null)
        : JSON.stringify(this.#seal(wanted.auth, stored?.auth ?? undefined, [...path, 'auth']))
    return {
      ...{ number, id, workspace, source, slug, start, created_at },
      type: wanted.type,
      name: wanted.name,
      mode: wanted.mode,
      consent_categories: JSON.stringify(wanted.consentCategories),
      is_enabled: flagOf(wanted.isEnabled),
      settings: JSON.stringify(this.#seal(wanted.settings, stored?.settings, [...path, 'settings'])),
      auth,
      uses_presets: flagOf(wanted.mappings === undefined),
      delivery: JSON.stringify(wanted.delivery),
      managed_by: 'file',
      mappings: this.#mappingRows(wanted.mappings ?? [], stored?.mappings ?? [], number, path),
      filters: wanted.filters.map(({ title, if: condition, actions, isEnabled }, position) => ({
        destination: number,
        position,
        title,
        condition,
        actions: JSON.stringify(actions),
        is_enabled: flagOf(isEnabled),
      })),
    }
  }

  /** A mapping keeps its id while its name and action stay: retries that wait for it go on. */
  #mappingRows(wanted: MappingConfig[], stored: MappingRow[], destination: number, path: Path): MappingRow[] {
    const free = [...stored]
    return wanted.map(({ name, action, trigger, fields, isEnabled }, position) => {
      const index = free.findIndex((row) => row.name === name && row.action === action)
      const before = index === -1 ? undefined : free.splice(index, 1)[0]
      return {
        id: before?.id ?? `map_${this.#options.newId()}`,
        destination,
        position,
        name,
        action,
        trigger,
        fields: JSON.stringify(this.#seal(fields, before?.fields, [...path, 'mappings', position, 'fields'])),
        is_enabled: flagOf(isEnabled),
      }
    })
  }

  /** A page has one copy of each vendor's code (contract: destinations.md §2). */
  async #refuseTwiceInPage(): Promise<void> {
    const inPage = await this.#trx.selectFrom('destinations').selectAll().where('mode', '=', 'device').execute()
    for (const { slug, source, type, number } of inPage) {
      const first = inPage.find((other) => other.source === source && other.type === type)
      if (first === undefined || first.number === number) continue
      this.#refuse(
        `destinations.${slug}.mode`,
        `A source has one destination of type ${type} in its pages; "${first.slug}" is it.`,
      )
    }
  }

  async #writeRules(
    destination: number,
    mappings: DestinationRecord['mappings'],
    filters: DestinationRecord['filters'],
  ): Promise<void> {
    await this.#trx.deleteFrom('mappings').where('destination', '=', destination).execute()
    await this.#trx.deleteFrom('filters').where('destination', '=', destination).execute()
    for (const row of mappings) await this.#trx.insertInto('mappings').values(row).execute()
    for (const row of filters) await this.#trx.insertInto('filters').values(row).execute()
  }
}

function flagOf(value: boolean): Flag {
  return value ? 1 : 0
}
