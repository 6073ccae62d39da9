/** Config as code: from the text of `tributary.yaml` to what it asks for, or to every problem in it, each with its line. */
import { createPublicKey } from 'node:crypto'
import type { z } from 'zod'
import { AppError, messageOf } from '../../base/errors.ts'
import { checkFilters, checkTrigger, validateMapping } from '../../language/index.ts'
import { parseSchedule, type FilterSnapshot } from '../../snapshot/index.ts'
import { checkShape, unknownKey } from './check-shape.ts'
import type {
  Config,
  ConfigSections,
  DestinationConfig,
  OAuthAppConfig,
  SourceConfig,
  TokenConfig,
  WarehouseConfig,
} from './config.ts'
import { configInvalid, formatPath, splitPlace, type Path } from './problem.ts'
import { pathKey, readYaml, type ReadYaml } from './read-yaml.ts'
import {
  checkSourceSettings,
  deviceModeProblem,
  forwardProblem,
  oauthProblem,
  sourceTypeProblem,
} from '../source-settings.ts'
import { findSourceKind } from '../source-types.ts'
import * as schemas from './schemas.ts'
import { markSecrets } from './secret-marks.ts'

/** Checks of rooms above this one. A sentence says what is wrong, with its place (`settings.url`) when it has one. */
export interface ConfigChecks {
  /** May throw AppError. */
  destination(
    type: string,
    settings: Record<string, unknown>,
    mappings: readonly MappingToCheck[],
    placement?: Placement,
  ): Promise<(string | ConfigProblem)[]>
  /** Where a destination works when the file does not say. Default: here. */
  defaultMode?(type: string): Promise<Placement['mode']>
  /** May throw AppError. */
  warehouse(type: string, settings: Record<string, unknown>): Promise<(string | ConfigProblem)[]>
  isAddressRange(text: string): boolean
  /** Names of the settings that are secret. May throw AppError. */
  secretSettings?(kind: 'destination' | 'warehouse', type: string, mode?: Placement['mode']): Promise<readonly string[]>
}

/** Where a destination works, and what is decided there. */
export interface Placement {
  mode: 'cloud' | 'device'
  filters: readonly FilterSnapshot[]
}

export interface MappingToCheck {
  action: string
  trigger: string
  fields: Record<string, unknown>
}

export interface ConfigProblem {
  path: string
  problem: string
}

export interface ParseOptions {
  /** For messages. */
  fileName: string
  environment: Record<string, string | undefined>
  checks: ConfigChecks
}

/** Reads a config file. Throws `config_invalid`, whose message has a line `FILE:LINE: PATH: reason` for each problem. Sources that the
 *  file does not name but destinations refer to are left to `applyConfig`, which knows the stored ones, only if the file has no
 *  section `sources`. */
export async function parseConfig(text: string, { fileName, environment, checks }: ParseOptions): Promise<Config> {
  const yaml = readYaml(text, environment)
  const reading = new Reading(yaml, checks)
  const config = await reading.config(fileName)
  if (reading.problems.length === 0) return config
  // Whatever else is wrong with a value that the environment lacks, is wrong because of that.
  const unset = new Set(yaml.problems.map(({ path }) => pathKey(path)))
  const lines = reading.problems
    .filter((problem) => yaml.problems.includes(problem) || !unset.has(pathKey(problem.path)))
    .map(({ path, reason, line }) => ({ line: line ?? yaml.lineOf(path), path, reason }))
    .sort((a, b) => a.line - b.line)
    .map(({ line, path, reason }) => [`${fileName}:${line}`, ...(path.length > 0 ? [formatPath(path)] : []), reason])
  throw configInvalid([...new Set(lines.map((parts) => parts.join(': ')))])
}

/** Of a warehouse that names none (contract: warehouses.md §7). */
const LOCAL_SCHEDULE = 'every 1m'
const REMOTE_SCHEDULE = 'every 15m'

const recordSections = ['workspace', 'tokens', 'oauthApps', 'sources', 'destinations', 'warehouses']
const topKeys = [...recordSections, ...Object.keys(schemas.sections.shape)]

/** One file while it is read; problems gather, so that a person sees all of them at once. */
class Reading {
  readonly problems: ReadYaml['problems']
  readonly #yaml: ReadYaml
  readonly #checks: ConfigChecks
  readonly #top: Record<string, unknown>

  constructor(yaml: ReadYaml, checks: ConfigChecks) {
    this.#yaml = yaml
    this.#checks = checks
    this.problems = [...yaml.problems]
    this.#top = this.#section(yaml.value, [])
  }

  async config(fileName: string): Promise<Config> {
    for (const key of Object.keys(this.#top)) if (!topKeys.includes(key)) this.#refuse([key], unknownKey(key, topKeys))
    const sources = this.#entries('sources', schemas.source, (slug, entry) => this.#source(slug, entry))
    this.#refuseSharedWriteKeys(sources)
    this.#checkSourceReferences(sources)
    const workspace = this.#workspace()
    return {
      fileName,
      ...(workspace === undefined ? {} : { workspace }),
      tokens: this.#entries('tokens', schemas.token, (name, entry) => this.#token(name, entry)),
      oauthApps: this.#entries('oauthApps', schemas.oauthApp, (name, entry) => this.#oauthApp(name, entry)),
      sources,
      destinations: await Promise.all(
        this.#entries('destinations', schemas.destination, (slug, entry) => this.#destination(slug, entry)),
      ),
      warehouses: await Promise.all(
        this.#entries('warehouses', schemas.warehouse, (slug, entry) => this.#warehouse(slug, entry)),
      ),
      sections: this.#sections(),
    }
  }

  #refuse(path: Path, reason: string): void {
    this.problems.push({ path, reason })
  }

  /** A section is an object; an empty one is null in YAML. */
  #section(value: unknown, path: Path): Record<string, unknown> {
    if (value === undefined || value === null) return {}
    // The test says that it is an object and no list.
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
    this.#refuse(path, 'must be a section with keys')
    return {}
  }

  #shaped<Schema extends z.ZodType>(schema: Schema, value: unknown, path: Path): z.infer<Schema> | undefined {
    const { value: shaped, problems } = checkShape(schema, value, path)
    this.problems.push(...problems)
    return shaped
  }

  /** Each entry on its own, so that a mistake in one hides none in another. */
  #entries<Schema extends z.ZodType, Entry>(
    section: string,
    schema: Schema,
    convert: (slug: string, entry: z.infer<Schema>) => Entry,
  ): Entry[] {
    return Object.entries(this.#section(this.#top[section], [section])).flatMap(([slug, value]) => {
      if (section !== 'tokens' && section !== 'oauthApps' && !schemas.SLUG_PATTERN.test(slug)) {
        this.problems.push(...checkShape(schemas.slug, slug, [section, slug]).problems)
      }
      const entry = this.#shaped(schema, value ?? {}, [section, slug])
      return entry === undefined ? [] : [convert(slug, entry)]
    })
  }

  #workspace(): Config['workspace'] {
    if (this.#top['workspace'] === undefined) return undefined
    const given = this.#shaped(schemas.workspace, this.#top['workspace'] ?? {}, ['workspace'])
    if (given === undefined) return undefined
    const slug = given.slug ?? 'default'
    return { slug, name: given.name ?? slug }
  }

  #token(name: string, { token, role }: z.infer<typeof schemas.token>): TokenConfig {
    const from = this.#yaml.writtenAs.get(pathKey(['tokens', name, 'token']))
    return { name, role, token: { $secret: token, ...(from === undefined ? {} : { $from: from }) } }
  }

  #source(slug: string, entry: z.infer<typeof schemas.source>): SourceConfig {
    const path = ['sources', slug, 'settings']
    const { name, writeKeys, enabled, ip, labels, limits, strict } = entry
    const kind = findSourceKind(entry.type)
    if (kind === undefined) this.#refuse(['sources', slug, 'type'], sourceTypeProblem(entry.type))
    const type = kind?.slug ?? entry.type
    const { webhookToken, ...settings } = withoutUndefined(entry.settings)
    for (const wrong of checkSourceSettings(type, entry.settings)) this.#refuse([...path, ...wrong.path], wrong.reason)
    const problem = entry.oauth === undefined ? undefined : oauthProblem(type)
    if (problem !== undefined) this.#refuse(['sources', slug, 'oauth'], problem)
    const from = this.#yaml.writtenAs.get(pathKey([...path, 'webhookToken']))
    return {
      slug,
      name: name ?? slug,
      type,
      ...(writeKeys === undefined ? {} : { writeKeys: [...new Set(writeKeys)] }),
      isEnabled: enabled,
      ip,
      labels,
      ...(limits.eventsPerSecond === undefined ? {} : { eventsPerSecond: limits.eventsPerSecond }),
      isStrict: strict,
      settings: settings as SourceConfig['settings'],
      ...(entry.schema === undefined ? {} : { schema: withoutUndefined(entry.schema) }),
      ...(entry.oauth === undefined ? {} : { oauth: { app: entry.oauth.app, isRequired: entry.oauth.required } }),
      ...(webhookToken === undefined
        ? {}
        : { webhookToken: { $secret: webhookToken, ...(from === undefined ? {} : { $from: from }) } }),
    }
  }

  #oauthApp(name: string, { publicKeys, tokenLifetime, scopes }: z.infer<typeof schemas.oauthApp>): OAuthAppConfig {
    for (const [id, pem] of Object.entries(publicKeys)) {
      const problem = publicKeyProblem(pem)
      if (problem !== undefined) this.#refuse(['oauthApps', name, 'publicKeys', id], problem)
    }
    return { name, publicKeys, tokenLifetimeSeconds: schemas.tokenLifetimes[tokenLifetime], scopes }
  }

  /** Where the file has these sections, it has what is referred to. */
  #checkSourceReferences(sources: SourceConfig[]): void {
    const apps = Object.keys(this.#section(this.#top['oauthApps'], ['oauthApps']))
    for (const { slug, schema, oauth } of sources) {
      const target = schema?.forwardBlockedEventsTo
      const path = ['sources', slug, 'schema', 'forwardBlockedEventsTo']
      if (target !== undefined) {
        this.#checkSource(target, path)
        const type = sources.find((each) => each.slug === target)?.type
        const problem = type === undefined ? undefined : forwardProblem(slug, { slug: target, type })
        if (problem !== undefined) this.#refuse(path, problem)
      }
      if (oauth !== undefined && this.#top['oauthApps'] !== undefined && !apps.includes(oauth.app))
        this.#refuse(['sources', slug, 'oauth', 'app'], `There is no OAuth app "${oauth.app}" in this file.`)
    }
  }

  /** Undefined for a source that the file does not name. */
  #typeOfSource(slug: string): string | undefined {
    const sources = this.#section(this.#top['sources'], ['sources'])
    if (!Object.hasOwn(sources, slug)) return undefined
    const { value } = checkShape(schemas.source, sources[slug] ?? {}, [])
    return value === undefined ? undefined : (findSourceKind(value.type)?.slug ?? value.type)
  }

  #refuseSharedWriteKeys(sources: SourceConfig[]): void {
    const owners = new Map<string, string>()
    for (const { slug, writeKeys = [] } of sources) {
      for (const [i, key] of writeKeys.entries()) {
        const owner = owners.get(key)
        if (owner !== undefined)
          this.#refuse(['sources', slug, 'writeKeys', i], `The source "${owner}" has this write key too.`)
        owners.set(key, slug)
      }
    }
  }

  async #destination(slug: string, entry: z.infer<typeof schemas.destination>): Promise<DestinationConfig> {
    const path = ['destinations', slug]
    this.#checkSource(entry.source, [...path, 'source'])
    const sourceType = this.#typeOfSource(entry.source)
    const mode = entry.mode ?? (await this.#checks.defaultMode?.(entry.type)) ?? 'cloud'
    if (mode === 'device' && sourceType !== undefined) {
      const problem = deviceModeProblem({ slug: entry.source, type: sourceType })
      if (problem !== undefined) this.#refuse([...path, 'mode'], problem)
    }
    const filters = entry.filters.map(filterOf)
    for (const { path: inner, problem } of checkFilters(filters)) {
      this.#refuse([...path, 'filters', ...splitPlace(inner)], problem)
    }
    for (const [i, { trigger, fields }] of (entry.mappings ?? []).entries()) {
      const problem = checkTrigger(trigger)
      if (problem !== undefined) this.#refuse([...path, 'mappings', i, 'trigger'], problem)
      for (const wrong of validateMapping(fields)) {
        this.#refuse([...path, 'mappings', i, 'fields', ...splitPlace(wrong.path)], wrong.problem)
      }
    }
    const placement = { mode, filters }
    const names = await this.#checkConnector('destination', path, entry, entry.mappings ?? [], placement)
    const marks = { writtenAs: this.#yaml.writtenAs, names }
    const authNames = ['accessToken', 'refreshToken']
    return {
      slug,
      source: entry.source,
      type: entry.type,
      name: entry.name ?? slug,
      mode,
      consentCategories: entry.consentCategories,
      isEnabled: entry.enabled,
      settings: markSecrets(entry.settings, [...path, 'settings'], marks),
      ...(entry.mappings === undefined
        ? {}
        : {
            mappings: entry.mappings.map(({ name, action, trigger, fields, enabled }, i) => ({
              name: name ?? action,
              action,
              trigger,
              fields: markSecrets(fields, [...path, 'mappings', i, 'fields'], { writtenAs: this.#yaml.writtenAs }),
              isEnabled: enabled,
            })),
          }),
      filters,
      delivery: withoutUndefined(entry.delivery),
      ...(entry.auth === undefined
        ? {}
        : { auth: markSecrets(withoutUndefined(entry.auth), [...path, 'auth'], { ...marks, names: authNames }) }),
    }
  }

  async #warehouse(slug: string, entry: z.infer<typeof schemas.warehouse>): Promise<WarehouseConfig> {
    const path = ['warehouses', slug]
    // Every source of the file goes into a warehouse that names none (contract: warehouses.md §1).
    const sources = entry.sources ?? Object.keys(this.#section(this.#top['sources'], ['sources']))
    const schedule = entry.schedule?.trim() ?? (entry.type === 'duckdb' ? LOCAL_SCHEDULE : REMOTE_SCHEDULE)
    for (const [i, source] of sources.entries()) this.#checkSource(source, [...path, 'sources', i])
    for (const source of Object.keys(entry.selectiveSync)) this.#checkSource(source, [...path, 'selectiveSync', source])
    const problem = checkSchedule(schedule)
    if (problem !== undefined) this.#refuse([...path, 'schedule'], problem)
    const names = await this.#checkConnector('warehouse', path, entry, [])
    return {
      slug,
      type: entry.type,
      name: entry.name ?? slug,
      isEnabled: entry.enabled,
      sources: [...new Set(sources)],
      settings: markSecrets(entry.settings, [...path, 'settings'], { writtenAs: this.#yaml.writtenAs, names }),
      schedule,
      selectiveSync: entry.selectiveSync,
    }
  }

  /** Without a section `sources` the references are to stored ones, which `applyConfig` checks. */
  #checkSource(slug: string, path: Path): void {
    if (this.#top['sources'] === undefined) return
    const known = Object.keys(this.#section(this.#top['sources'], ['sources']))
    if (known.includes(slug)) return
    this.#refuse(path, `There is no source "${slug}" in this file; it has ${known.join(', ') || 'none'}.`)
  }

  /** Checks the settings; returns the names of the secret ones. */
  async #checkConnector(
    kind: 'destination' | 'warehouse',
    path: Path,
    { type, settings }: { type: string; settings: Record<string, unknown> },
    mappings: readonly MappingToCheck[],
    placement?: Placement,
  ): Promise<readonly string[]> {
    try {
      const problems =
        kind === 'destination'
          ? await this.#checks.destination(type, settings, mappings, placement)
          : await this.#checks.warehouse(type, settings)
      for (const problem of problems) this.#refuseSetting(path, problem)
      return (await this.#checks.secretSettings?.(kind, type, placement?.mode)) ?? []
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      this.#refuse([...path, 'type'], [messageOf(error), error.hint].filter(Boolean).join(' '))
      return []
    }
  }

  #refuseSetting(path: Path, found: string | ConfigProblem): void {
    if (typeof found !== 'string') return this.#refuse([...path, ...splitPlace(found.path)], found.problem)
    // The kit's sentences begin with the setting they are about.
    const name = /^"([^"]+)"/.exec(found)?.[1]
    this.#refuse([...path, 'settings', ...(name === undefined ? [] : [name])], found)
  }

  #sections(): ConfigSections {
    const given: Record<string, unknown> = {}
    for (const [name, schema] of Object.entries(schemas.sections.shape)) {
      if (this.#top[name] === undefined) continue
      const section = this.#shaped(schema as z.ZodType, this.#top[name] ?? {}, [name])
      if (section !== undefined) given[name] = withoutUndefined(section as object)
    }
    // Every section fits its own schema.
    const sections = given as ConfigSections
    this.#checkRanges(['egress', 'allow'], sections.egress?.allow)
    this.#checkRanges(['ingest', 'trustedProxies'], sections.ingest?.trustedProxies)
    return sections
  }

  #checkRanges(path: Path, ranges: string[] = []): void {
    for (const [i, range] of ranges.entries()) {
      if (this.#checks.isAddressRange(range)) continue
      this.#refuse([...path, i], `"${range}" is no address range such as 127.0.0.1/32 or fd00::/8.`)
    }
  }
}

function publicKeyProblem(pem: string): string | undefined {
  try {
    // The public half can be taken of a private key, which should not be here.
    if (/PRIVATE KEY/.test(pem)) return 'is a private key, which stays with the sender; give the public one'
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey(pem)
    if (asymmetricKeyType !== 'rsa') return `must be an RSA key, not ${asymmetricKeyType}`
    // RFC 7518 §3.3.
    const bits = asymmetricKeyDetails?.modulusLength ?? 0
    return bits >= 2048 ? undefined : `must have at least 2048 bits, not ${bits}`
  } catch {
    return 'is no public key in PEM form'
  }
}

type FilterEntry = z.infer<typeof schemas.destination>['filters'][number]

function filterOf({ title, if: condition, actions, enabled }: FilterEntry): FilterSnapshot {
  return {
    title,
    if: condition,
    // Of the optional keys only those that are there: what is kept is JSON.
    actions: actions.map((action) => withoutUndefined(action) as FilterSnapshot['actions'][number]),
    isEnabled: enabled,
  }
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** zod gives `T | undefined` for what may be absent; here absent is absent. */
function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as Defined<T>
}

/** What is wrong with a schedule; undefined when it is fine. */
function checkSchedule(text: string): string | undefined {
  try {
    parseSchedule(text)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
