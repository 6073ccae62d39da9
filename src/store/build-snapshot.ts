/** From control records to what the data plane works from. Sealed strings stay sealed. */
import type {
  DestinationRecord,
  OAuthAppRecord,
  Records,
  SourceRecord,
  StoredSchemaControls,
  WarehouseRecord,
} from './records.ts'
import { fromJson } from './records.ts'
import {
  defaultDeployment,
  type BrowserSettings,
  type DeploymentSettings,
  type DestinationSnapshot,
  type FilterAction,
  type OAuthAppSnapshot,
  type SchemaControls,
  type Snapshot,
  type SourceSnapshot,
  type WarehouseSnapshot,
  type WebhookSnapshot,
} from '../snapshot/index.ts'
import type { ConfigSections, WebhookFieldsConfig, WebsiteSettingsConfig } from './config-file/config.ts'
import { isClientSideType, isWebsiteType, WEBHOOK_TYPE } from './source-types.ts'

/** The snapshot without what publishing adds. */
export type SnapshotContent = Omit<Snapshot, 'number' | 'publishedAtMs'>

export function buildSnapshot(records: Records): SnapshotContent {
  return {
    workspaces: records.workspaces.map(({ number, id, slug, name, events_per_second: limit }) => ({
      number,
      id,
      slug,
      name,
      ...(limit === null ? {} : { eventsPerSecond: limit }),
    })),
    sources: records.sources.map((row) => sourceSnapshot(row, records.sources)),
    destinations: records.destinations.map(destinationSnapshot),
    warehouses: records.warehouses.map(warehouseSnapshot),
    ...(records.oauthApps.length === 0 ? {} : { oauthApps: records.oauthApps.map(oauthAppSnapshot) }),
    settings: deploymentSettings(records.sections),
  }
}

function sourceSnapshot(row: SourceRecord, sources: readonly SourceRecord[]): SourceSnapshot {
  const schema = schemaControls(row, sources)
  return {
    number: row.number,
    id: row.id,
    workspace: row.workspace,
    slug: row.slug,
    name: row.name,
    type: row.type,
    isEnabled: row.is_enabled === 1,
    isClientSide: isClientSideType(row.type),
    writeKeys: row.writeKeys,
    ip: row.ip,
    ...(row.events_per_second === null ? {} : { eventsPerSecond: row.events_per_second }),
    ...(row.is_strict === 1 ? { isStrict: true } : {}),
    ...(row.type === WEBHOOK_TYPE ? { webhook: webhookSnapshot(row) } : {}),
    ...(schema === undefined ? {} : { schema }),
    ...(row.oauth_app === null ? {} : { oauth: { app: row.oauth_app, isRequired: row.is_oauth_required === 1 } }),
    ...(isWebsiteType(row.type) && row.settings !== '{}' ? { browser: browserSettings(row) } : {}),
  }
}

/** Undefined when nothing is blocked. A target that was deleted gets nothing more. */
function schemaControls(
  { schema_controls }: SourceRecord,
  sources: readonly SourceRecord[],
): SchemaControls | undefined {
  const stored = fromJson<StoredSchemaControls>(schema_controls)
  const { blockedEvents = [], blockedTraits = [], blockedGroupTraits = [], forwardBlockedEventsTo: target } = stored
  if (blockedEvents.length + blockedTraits.length + blockedGroupTraits.length === 0) return undefined
  const isThere = target !== undefined && sources.some(({ number }) => number === target)
  return {
    blockedEvents,
    blockedTraits,
    blockedGroupTraits,
    ...(isThere ? { forwardBlockedEventsTo: target } : {}),
  }
}

function browserSettings({ settings }: SourceRecord): BrowserSettings {
  const { deliveryStrategy, plan, deviceModeFilters } = fromJson<WebsiteSettingsConfig>(settings)
  return {
    ...(deliveryStrategy === undefined ? {} : { deliveryStrategy }),
    ...(plan === undefined ? {} : { plan }),
    ...(deviceModeFilters === undefined ? {} : { hasDeviceModeFilters: deviceModeFilters }),
  }
}

function oauthAppSnapshot(row: OAuthAppRecord): OAuthAppSnapshot {
  return {
    id: row.id,
    workspace: row.workspace,
    name: row.name,
    publicKeys: fromJson(row.public_keys),
    tokenLifetimeSeconds: row.token_lifetime_seconds,
    scopes: fromJson(row.scopes),
    revokedTokens: row.revokedTokens,
  }
}

function webhookSnapshot({ settings, webhook_token_hash: tokenHash }: SourceRecord): WebhookSnapshot {
  const { eventName, ...others } = fromJson<WebhookFieldsConfig>(settings)
  return {
    fields: eventName === undefined ? others : { event: eventName, ...others },
    ...(tokenHash === null ? {} : { tokenHash }),
  }
}

function destinationSnapshot(row: DestinationRecord): DestinationSnapshot {
  const mappings = row.mappings.map(({ id, name, action, trigger, fields, is_enabled }) => ({
    id,
    name,
    action,
    trigger,
    fields: fromJson<Record<string, unknown>>(fields),
    isEnabled: is_enabled === 1,
  }))
  return {
    number: row.number,
    id: row.id,
    workspace: row.workspace,
    source: row.source,
    slug: row.slug,
    name: row.name,
    type: row.type,
    ...(row.mode === 'device' ? { mode: 'device' as const } : {}),
    ...(row.consent_categories === '[]' ? {} : { consentCategories: fromJson<string[]>(row.consent_categories) }),
    isEnabled: row.is_enabled === 1,
    settings: fromJson(row.settings),
    ...(row.auth === null ? {} : { auth: fromJson<Record<string, unknown>>(row.auth) }),
    ...(row.uses_presets === 1 ? {} : { mappings }),
    filters: row.filters.map(({ title, condition, actions, is_enabled }) => ({
      title,
      if: condition,
      actions: fromJson<FilterAction[]>(actions),
      isEnabled: is_enabled === 1,
    })),
    delivery: fromJson(row.delivery),
    start: fromJson(row.start),
  }
}

function warehouseSnapshot(row: WarehouseRecord): WarehouseSnapshot {
  return {
    number: row.number,
    id: row.id,
    workspace: row.workspace,
    slug: row.slug,
    name: row.name,
    type: row.type,
    isEnabled: row.is_enabled === 1,
    sources: row.sources,
    settings: fromJson(row.settings),
    schedule: row.schedule,
    selectiveSync: fromJson(row.selective_sync),
  }
}

/** The settings that were given, over the defaults. */
function deploymentSettings({
  limits: { eventsPerSecond: _, ...limits } = {},
  ...sections
}: ConfigSections): DeploymentSettings {
  const { egress, ingest, dedupe, delivery, journal, archive, retention } = defaultDeployment
  return {
    egress: { ...egress, ...sections.egress },
    limits: { ...defaultDeployment.limits, ...limits },
    ingest: { ...ingest, ...sections.ingest },
    dedupe: { ...dedupe, ...sections.dedupe },
    delivery: { ...delivery, ...sections.delivery },
    journal: { ...journal, ...sections.journal },
    archive: { isEnabled: sections.archive?.enabled ?? archive.isEnabled },
    retention: { ...retention, ...sections.retention },
  }
}
