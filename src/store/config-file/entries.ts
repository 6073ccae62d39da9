/** Records in the words of the config file, defaults left out and secrets sealed: what an export writes and a plan compares. */
import {
  fromJson,
  type DestinationRecord,
  type OAuthAppRecord,
  type Records,
  type SourceRecord,
  type StoredSchemaControls,
  type WarehouseRecord,
} from '../records.ts'
import type { Flag, TokenRow } from '../tables.ts'
import type { ConfigSections } from './config.ts'
import { tokenLifetimes } from './schemas.ts'

/** An entry of the file. */
export type Entry = Record<string, unknown>

/** `named` gives the names of what the source refers to. */
export function sourceEntry(record: SourceRecord, named: SourceNames): Entry {
  const labels = fromJson<Record<string, string>>(record.labels)
  return {
    name: record.name,
    type: record.type,
    ...(record.writeKeys.length > 0 ? { writeKeys: record.writeKeys } : {}),
    ...enabledEntry(record.is_enabled),
    ...(record.ip === 'keep' ? {} : { ip: record.ip }),
    ...unlessEmpty('labels', labels),
    ...(record.events_per_second === null ? {} : { limits: { eventsPerSecond: record.events_per_second } }),
    ...(record.is_strict === 1 ? { strict: true } : {}),
    ...unlessEmpty('settings', { ...fromJson<object>(record.settings), ...webhookTokenEntry(record) }),
    // One that the file left empty is the file's, too.
    ...(record.schema_managed_by === 'file'
      ? { schema: schemaEntry(record, named) }
      : unlessEmpty('schema', schemaEntry(record, named))),
    ...oauthEntry(record, named),
  }
}

export interface SourceNames {
  /** Slug by number. */
  slugOf: (source: number) => string
  /** Name by id. */
  oauthAppOf: (id: string) => string
}

export function schemaEntry(
  { schema_controls }: Pick<SourceRecord, 'schema_controls'>,
  { slugOf }: Pick<SourceNames, 'slugOf'>,
): Entry {
  const { forwardBlockedEventsTo: target, ...lists } = fromJson<StoredSchemaControls>(schema_controls)
  const filled = Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0))
  return { ...filled, ...(target === undefined ? {} : { forwardBlockedEventsTo: slugOf(target) }) }
}

function oauthEntry({ oauth_app: app, is_oauth_required }: SourceRecord, { oauthAppOf }: SourceNames): Entry {
  if (app === null) return {}
  return { oauth: { app: oauthAppOf(app), ...(is_oauth_required === 1 ? {} : { required: false }) } }
}

export function oauthAppEntry(
  record: Pick<OAuthAppRecord, 'public_keys' | 'token_lifetime_seconds' | 'scopes'>,
): Entry {
  const [lifetime] =
    Object.entries(tokenLifetimes).find(([, seconds]) => seconds === record.token_lifetime_seconds) ?? []
  return {
    publicKeys: fromJson<object>(record.public_keys),
    tokenLifetime: lifetime,
    scopes: fromJson<string[]>(record.scopes),
  }
}

/** Only the hash is kept. It stands in the place of sealed text: it differs when the token does, and nobody opens it. */
function webhookTokenEntry({ webhook_token_hash: hash, webhook_token_written_as: from }: SourceRecord): Entry {
  if (hash === null) return {}
  return { webhookToken: from === null ? { $sealed: hash } : { $sealed: hash, $from: from } }
}

export function destinationEntry(record: DestinationRecord, sourceSlug: string): Entry {
  return {
    source: sourceSlug,
    type: record.type,
    name: record.name,
    ...(record.mode === 'device' ? { mode: 'device' } : {}),
    ...unlessEmpty('consentCategories', fromJson<string[]>(record.consent_categories)),
    ...enabledEntry(record.is_enabled),
    ...unlessEmpty('settings', fromJson<object>(record.settings)),
    ...(record.auth === null ? {} : { auth: fromJson<unknown>(record.auth) }),
    ...(record.uses_presets === 1
      ? {}
      : {
          mappings: record.mappings.map(({ name, action, trigger, fields, is_enabled }) => ({
            ...(name === action ? {} : { name }),
            action,
            trigger,
            ...unlessEmpty('fields', fromJson<object>(fields)),
            ...enabledEntry(is_enabled),
          })),
        }),
    ...unlessEmpty(
      'filters',
      record.filters.map(({ title, condition, actions, is_enabled }) => ({
        title,
        if: condition,
        actions: fromJson<unknown[]>(actions),
        ...enabledEntry(is_enabled),
      })),
    ),
    ...unlessEmpty('delivery', fromJson<object>(record.delivery)),
  }
}

export function warehouseEntry(record: WarehouseRecord, slugOf: (source: number) => string): Entry {
  return {
    type: record.type,
    name: record.name,
    sources: record.sources.map(slugOf),
    ...unlessEmpty('settings', fromJson<object>(record.settings)),
    schedule: record.schedule,
    ...enabledEntry(record.is_enabled),
    ...unlessEmpty('selectiveSync', fromJson<object>(record.selective_sync)),
  }
}

export function tokenEntry({ role }: Pick<TokenRow, 'role'>): Entry {
  return { role }
}

/** The sections that were set; the workspace's limit stands among the limits. */
export function sectionEntries({ sections, workspaces: [workspace] }: Records): ConfigSections {
  const eventsPerSecond = workspace?.events_per_second ?? undefined
  const limits = { ...sections.limits, ...(eventsPerSecond === undefined ? {} : { eventsPerSecond }) }
  const { limits: _, ...others } = sections
  return { ...others, ...unlessEmpty('limits', limits) }
}

function enabledEntry(flag: Flag): Entry {
  return flag === 1 ? {} : { enabled: false }
}

function unlessEmpty(key: string, value: object): Entry {
  return Object.keys(value).length > 0 ? { [key]: value } : {}
}
