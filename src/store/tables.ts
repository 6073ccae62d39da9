/** Rows of the control database. Booleans are 0 or 1, JSON is text, times are milliseconds: the same on SQLite and Postgres. */
import type { ColumnType } from 'kysely'

/** A boolean column. */
export type Flag = 0 | 1

/** Written once, when the record is made. */
type Fixed<T> = ColumnType<T, T, never>

/** `file` when the config file named the record the last time it was applied. */
type ManagedBy = 'file' | null

export interface Tables {
  workspaces: WorkspaceRow
  sources: SourceRow
  write_keys: WriteKeyRow
  destinations: DestinationRow
  mappings: MappingRow
  filters: FilterRow
  warehouses: WarehouseRow
  warehouse_sources: WarehouseSourceRow
  tokens: TokenRow
  oauth_apps: OAuthAppRow
  revoked_tokens: RevokedTokenRow
  sign_in_links: SignInLinkRow
  sessions: SessionRow
  settings: SettingsRow
  snapshots: SnapshotRow
  counters: CounterRow
}

export interface WorkspaceRow {
  number: Fixed<number>
  id: Fixed<string>
  slug: string
  name: string
  events_per_second: number | null
  /** The config file that was applied last. */
  config_file: string | null
  created_at: Fixed<number>
}

export interface SourceRow {
  number: Fixed<number>
  id: Fixed<string>
  workspace: Fixed<number>
  slug: Fixed<string>
  name: string
  type: string
  is_enabled: Flag
  ip: 'keep' | 'mask' | 'drop'
  /** JSON object of strings. */
  labels: string
  events_per_second: number | null
  is_strict: Flag
  /** JSON of `StoredSchemaControls`. */
  schema_controls: string
  /** `file` when the config file named the schema of this source. */
  schema_managed_by: ManagedBy
  /** Id of its OAuth app. */
  oauth_app: string | null
  is_oauth_required: Flag
  /** JSON of the settings of its kind: what a webhook makes of its requests, what a website tells the browser library. */
  settings: string
  /** SHA-256 of the token that a webhook source asks for, hex. */
  webhook_token_hash: string | null
  /** `${HOOK_TOKEN}`, when the file named the environment. */
  webhook_token_written_as: string | null
  managed_by: ManagedBy
  created_at: Fixed<number>
}

export interface WriteKeyRow {
  write_key: string
  source: number
  position: number
}

export interface DestinationRow {
  number: Fixed<number>
  id: Fixed<string>
  workspace: Fixed<number>
  source: Fixed<number>
  slug: Fixed<string>
  type: string
  name: string
  is_enabled: Flag
  mode: 'cloud' | 'device'
  /** JSON list of names. */
  consent_categories: string
  /** JSON with sealed strings. */
  settings: string
  /** JSON with sealed strings: what an OAuth connector signs in with. */
  auth: string | null
  /** 1: the mappings are the connector's presets, and `mappings` has no row. */
  uses_presets: Flag
  /** JSON of `Partial<DeliverySettings>`. */
  delivery: string
  /** JSON: first offset of each partition of `events`. */
  start: Fixed<string>
  managed_by: ManagedBy
  created_at: Fixed<number>
}

export interface MappingRow {
  id: string
  destination: number
  position: number
  name: string
  action: string
  trigger: string
  /** JSON with sealed strings. */
  fields: string
  is_enabled: Flag
}

export interface FilterRow {
  destination: number
  position: number
  title: string
  condition: string
  /** JSON of `FilterAction[]`. */
  actions: string
  is_enabled: Flag
}

export interface WarehouseRow {
  number: Fixed<number>
  id: Fixed<string>
  workspace: Fixed<number>
  slug: Fixed<string>
  type: string
  name: string
  is_enabled: Flag
  /** JSON with sealed strings. */
  settings: string
  schedule: string
  /** JSON: source slug -> table -> false. */
  selective_sync: string
  managed_by: ManagedBy
  created_at: Fixed<number>
}

export interface WarehouseSourceRow {
  warehouse: number
  source: number
}

export interface TokenRow {
  workspace: number
  name: string
  /** SHA-256 of the token, hex. */
  hash: string
  role: string
  /** `${CI_TOKEN}`, when the file named the environment. */
  written_as: string | null
  managed_by: ManagedBy
  created_at: Fixed<number>
}

export interface OAuthAppRow {
  id: Fixed<string>
  workspace: Fixed<number>
  name: Fixed<string>
  /** JSON: key id -> PEM. */
  public_keys: string
  token_lifetime_seconds: number
  /** JSON list. */
  scopes: string
  managed_by: ManagedBy
  created_at: Fixed<number>
}

export interface RevokedTokenRow {
  /** SHA-256, hex. */
  hash: string
  /** Id of the app. */
  app: string
  /** When the token would have expired. */
  expires_at: number
}

export interface SignInLinkRow {
  hash: string
  expires_at: number
  used_at: number | null
}

export interface SessionRow {
  hash: string
  expires_at: number
}

export interface SettingsRow {
  /** Always 1. */
  id: number
  /** JSON of `ConfigSections` without the workspace's limit. */
  sections: string
}

export interface SnapshotRow {
  /** Always 1. */
  id: number
  number: number
  /** SHA-256 of the content, hex. */
  hash: string
  published_at: number
}

export interface CounterRow {
  name: 'workspace' | 'source' | 'connection'
  /** The number given last. */
  value: number
}
