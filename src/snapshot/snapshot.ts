/**
 * The configuration snapshot: all that the data plane needs to know of the control records, numbered, published by the
 * control process within a second of a change, kept as a file so that the data plane starts and goes on without it.
 * Secrets inside `settings` are sealed (`base/secrets.ts`); the process that uses one opens it with the key it was started with.
 */

export interface Snapshot {
  /** Grows by one with each change. */
  number: number
  publishedAtMs: number
  workspaces: WorkspaceSnapshot[]
  sources: SourceSnapshot[]
  destinations: DestinationSnapshot[]
  warehouses: WarehouseSnapshot[]
  /** Absent: none. */
  oauthApps?: OAuthAppSnapshot[]
  settings: DeploymentSettings
}

export interface WorkspaceSnapshot {
  /** Small integer that is stored in frames; never used again. */
  number: number
  id: string
  slug: string
  name: string
  eventsPerSecond?: number
}

export interface SourceSnapshot {
  number: number
  id: string
  workspace: number
  slug: string
  name: string
  /** Catalogue slug: `javascript`, `http-api`, `node`, ... */
  type: string
  isEnabled: boolean
  /** True for browsers and mobile apps: the door then fills `context.ip` and `context.userAgent`. */
  isClientSide: boolean
  writeKeys: string[]
  ip: 'keep' | 'mask' | 'drop'
  eventsPerSecond?: number
  /** Answers tell what is wrong with a message. */
  isStrict?: true
  /** Of a source of type `webhook`. */
  webhook?: WebhookSnapshot
  /** What is refused of the messages of this source; absent: nothing. */
  schema?: SchemaControls
  /** Id of the OAuth app whose tokens this source takes; with `isRequired` a write key alone is refused. */
  oauth?: { app: string; isRequired: boolean }
  /** Of a source of type `javascript`: what its settings tell the browser library. */
  browser?: BrowserSettings
}

/** The toggles of the schema page (contract: sources.md §8). Names are compared as they are. */
export interface SchemaControls {
  /** Names of track events; page and screen calls go as `Page Viewed` and `Screen Viewed`. */
  blockedEvents: string[]
  /** Dotted paths below `traits` of identify calls. */
  blockedTraits: string[]
  /** Dotted paths below `traits` of group calls. */
  blockedGroupTraits: string[]
  /** Number of the source that gets the blocked events. */
  forwardBlockedEventsTo?: number
}

export interface BrowserSettings {
  /** Of the library's sending: `standard` sends each call, `batching` collects them. */
  deliveryStrategy?: { strategy: 'standard' | 'batching'; config?: Record<string, unknown> | undefined }
  /** The `plan` of the settings JSON, beside what blocked events make of it. */
  plan?: Record<string, unknown>
  /** Filters of device-mode destinations run in the page. Default true. */
  hasDeviceModeFilters?: boolean
}

/** An app of OAuth's client credentials (contract: ingest.md, OAuth 2.0). */
export interface OAuthAppSnapshot {
  /** The `sub` of its assertions. */
  id: string
  workspace: number
  name: string
  /** `kid` -> RSA public key, PEM. One or two. */
  publicKeys: Record<string, string>
  tokenLifetimeSeconds: number
  scopes: string[]
  /** Hashes (SHA-256, hex) of tokens that were revoked and have not expired. */
  revokedTokens: string[]
}

export interface WebhookSnapshot {
  /** Field of the message -> value or mapping directives, resolved against `{ body, headers, query }`. */
  fields: Record<string, unknown>
  /** SHA-256, hex, of the token that callers must give. */
  tokenHash?: string
}

/** JSON whose sealed strings look like `{"$sealed": "..."}`. */
export type SealedJson = Record<string, unknown>

export interface DestinationSnapshot {
  /** Number of the connection in `outcomes`; never used again. A destination has one source, so it is one connection. */
  number: number
  id: string
  workspace: number
  source: number
  slug: string
  name: string
  /** A folder of `connectors/destinations`, or the slug of a provider's destination. */
  type: string
  /** `device`: it runs in the page, and the server sends nothing. Default `cloud`. */
  mode?: 'cloud' | 'device'
  /** Consent categories of which each must be given (contract: privacy.md). */
  consentCategories?: string[]
  isEnabled: boolean
  settings: SealedJson
  /** What an OAuth connector signs in with: `accessToken`, `refreshToken`. */
  auth?: SealedJson
  /** Absent: the destination's presets. */
  mappings?: MappingSnapshot[]
  filters: FilterSnapshot[]
  delivery: Partial<DeliverySettings>
  /** First offset of each partition of `events` that belongs to this connection; a partition not named starts at 0. */
  start: Record<number, number>
}

export interface MappingSnapshot {
  id: string
  name: string
  action: string
  /** FQL. */
  trigger: string
  /** Mapping directives per field of the action; strings that came from the environment are sealed. */
  fields: SealedJson
  isEnabled: boolean
}

export interface FilterSnapshot {
  title: string
  /** FQL. */
  if: string
  actions: FilterAction[]
  isEnabled: boolean
}

export type FilterAction =
  | { type: 'DROP' }
  | { type: 'SAMPLE'; percent: number; path?: string }
  | { type: 'DROP_PROPERTIES' | 'ALLOW_PROPERTIES'; fields: Record<string, string[]> }

export interface WarehouseSnapshot {
  /** Shares its number space with destinations: source × warehouse is a connection. */
  number: number
  id: string
  workspace: number
  slug: string
  name: string
  /** A folder of `connectors/warehouses`. */
  type: string
  isEnabled: boolean
  /** Numbers of the sources that are loaded. */
  sources: number[]
  settings: SealedJson
  /** `every 10s`, `every 1m`, `every 1h`, a cron line, or `manual`. */
  schedule: string
  /** source slug -> table -> false. */
  selectiveSync: Record<string, Record<string, boolean>>
}

export interface DeliverySettings {
  retryWindowHours: number
  retryFirstDelayMs: number
  retryMaxDelayMs: number
  requestTimeoutMs: number
  batchMaxWaitMs: number
  ordered: boolean
  /** Absent: no limit. */
  requestsPerSecond?: number
  /** Absent: adaptive, from 10 up to 100. */
  concurrency?: number
}

export interface DeploymentSettings {
  egress: { allow: string[]; sink?: string }
  limits: {
    messageBytesMax: number
    bodyBytesMax: number
    batchMessagesMax?: number
    inFlightBytesMax: number
  }
  ingest: {
    unknownWriteKey: 401 | 200
    idCoercion: boolean
    keepRejectedDays: number
    trustedProxies: string[]
    collectIpv6: boolean
  }
  dedupe: { windowDays: number }
  delivery: DeliverySettings
  /** Without `diskReserveBytes` it depends on the size of the disk. */
  journal: { bytesMax?: number; diskReserveBytes?: number; segmentBytes: number }
  archive: { isEnabled: boolean }
  retention: { archiveDays?: number; deadLetterDays: number }
}

export const defaultDelivery: DeliverySettings = {
  retryWindowHours: 24,
  retryFirstDelayMs: 5_000,
  retryMaxDelayMs: 3_600_000,
  requestTimeoutMs: 5_000,
  batchMaxWaitMs: 1_000,
  ordered: false,
}

export const defaultDeployment: DeploymentSettings = {
  egress: { allow: [] },
  limits: { messageBytesMax: 32_768, bodyBytesMax: 524_288, inFlightBytesMax: 64 * 1024 * 1024 },
  ingest: {
    unknownWriteKey: 401,
    idCoercion: true,
    keepRejectedDays: 7,
    trustedProxies: ['127.0.0.0/8', '::1/128'],
    collectIpv6: false,
  },
  dedupe: { windowDays: 7 },
  delivery: defaultDelivery,
  journal: { segmentBytes: 64 * 1024 * 1024 },
  archive: { isEnabled: true },
  retention: { deadLetterDays: 30 },
}
