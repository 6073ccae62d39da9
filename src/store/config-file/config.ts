/** A config file that was read and found sound: what it names, with defaults filled in. */
import type { z } from 'zod'
import type { DeliverySettings, FilterSnapshot, SourceSnapshot } from '../../snapshot/index.ts'
import type { webhookFields, websiteSettings } from './schemas.ts'

export interface Config {
  fileName: string
  workspace?: { name: string; slug: string }
  tokens: TokenConfig[]
  oauthApps: OAuthAppConfig[]
  sources: SourceConfig[]
  destinations: DestinationConfig[]
  warehouses: WarehouseConfig[]
  /** The sections of deployment settings that the file names, as it names them. */
  sections: ConfigSections
}

export interface TokenConfig {
  name: string
  token: SecretText
  role: string
}

export interface SourceConfig {
  slug: string
  name: string
  type: string
  /** Absent: those it has, or a new random one. */
  writeKeys?: string[]
  isEnabled: boolean
  ip: SourceSnapshot['ip']
  labels: Record<string, string>
  eventsPerSecond?: number
  isStrict: boolean
  /** Of its kind. */
  settings: WebhookFieldsConfig | WebsiteSettingsConfig
  /** Absent: the file leaves the schema to the API. */
  schema?: SchemaConfig
  /** Name of the OAuth app. */
  oauth?: { app: string; isRequired: boolean }
  /** Absent: callers of the webhook need none. */
  webhookToken?: SecretText
}

/** Field of a webhook's message -> value or mapping directives. */
export type WebhookFieldsConfig = z.infer<typeof webhookFields>
export type WebsiteSettingsConfig = Defined<z.infer<typeof websiteSettings>>

/** zod gives `T | undefined` for what may be absent; here absent is absent. */
type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

export interface SchemaConfig {
  blockedEvents: string[]
  blockedTraits: string[]
  blockedGroupTraits: string[]
  /** Slug of a source. */
  forwardBlockedEventsTo?: string
}

export interface OAuthAppConfig {
  name: string
  publicKeys: Record<string, string>
  tokenLifetimeSeconds: number
  scopes: string[]
}

export interface DestinationConfig {
  slug: string
  /** Slug of a source. */
  source: string
  type: string
  name: string
  mode: 'cloud' | 'device'
  consentCategories: string[]
  isEnabled: boolean
  settings: MarkedJson
  /** Absent: the presets. */
  mappings?: MappingConfig[]
  filters: FilterSnapshot[]
  delivery: Partial<DeliverySettings>
  /** Absent: what is stored stays. */
  auth?: MarkedJson
}

export interface MappingConfig {
  name: string
  action: string
  trigger: string
  fields: MarkedJson
  isEnabled: boolean
}

export interface WarehouseConfig {
  slug: string
  type: string
  name: string
  isEnabled: boolean
  /** Slugs of sources. */
  sources: string[]
  settings: MarkedJson
  schedule: string
  selectiveSync: Record<string, Record<string, boolean>>
}

/** The deployment's settings in the words of the file. `limits.eventsPerSecond` is the workspace's. */
export interface ConfigSections {
  egress?: { allow?: string[]; sink?: string }
  limits?: {
    eventsPerSecond?: number
    messageBytesMax?: number
    bodyBytesMax?: number
    batchMessagesMax?: number
    inFlightBytesMax?: number
  }
  ingest?: {
    unknownWriteKey?: 401 | 200
    idCoercion?: boolean
    keepRejectedDays?: number
    trustedProxies?: string[]
    collectIpv6?: boolean
  }
  dedupe?: { windowDays?: number }
  delivery?: Partial<DeliverySettings>
  journal?: { bytesMax?: number; diskReserveBytes?: number; segmentBytes?: number }
  archive?: { enabled?: boolean }
  retention?: { archiveDays?: number; deadLetterDays?: number }
}

/** JSON in which a string that must not be shown is a `SecretText`. */
export type MarkedJson = Record<string, unknown>

export interface SecretText {
  $secret: string
  /** The text in the file, when it names the environment: `${HOOK_SECRET}`. */
  $from?: string
}

/** Stands for a stored secret in an export; applied again, it changes nothing. */
export const BULLETS = '••••••••'

export function isSecretText(value: unknown): value is SecretText {
  return typeof value === 'object' && value !== null && '$secret' in value && typeof value.$secret === 'string'
}
