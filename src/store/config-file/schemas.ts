/** The shape of a config file, entry by entry (design: the black-box interface). What a shape cannot say, such as whether a named
 *  source exists, is checked in `parse-config.ts`. */
import { createHash, createPublicKey } from 'node:crypto'
import { z } from 'zod'

const text = z.string()
export const title = z.string().min(1, 'must not be empty').max(255, 'has at most 255 characters')
export const flag = z.boolean()
const json = z.record(text, z.unknown())
const count = wholeNumber(1)
const positive = z.number().gt(0, 'must be more than 0')
const notNegative = z.number().gte(0, 'must not be less than 0')

function wholeNumber(least: number) {
  return z.int('must be a whole number').gte(least, `must be at least ${least}`)
}

export const SLUG_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/
export const slug = text.regex(
  SLUG_PATTERN,
  'A slug is up to 63 lower-case letters, digits, "-" and "_", and starts with a letter or a digit.',
)
const type = text.regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'A type is lower-case letters, digits and "-".')
export const eventsPerSecond = positive.optional()

export const workspace = z.strictObject({ name: title.optional(), slug: slug.optional() })

const roles = [
  'Workspace Owner',
  'Workspace Member',
  'Source Admin',
  'Source Read-only',
  'Function Admin',
  'Function Read-only',
  'Tracking Plan Admin',
  'End User Privacy Admin',
] as const
export const token = z.strictObject({
  token: text.min(1, 'must not be empty'),
  role: z.enum(roles).default('Workspace Owner'),
})

// A write key is a user name of HTTP's basic authentication: no colon, nothing that a header cannot carry.
export const writeKey = text.regex(
  /^[\x21-\x39\x3b-\x7e]{1,200}$/,
  'A write key is 1 to 200 visible characters without ":".',
)
// Values or mapping directives.
const mapped = z.unknown().optional()
export const webhookFields = z.strictObject({
  eventName: mapped,
  userId: mapped,
  anonymousId: mapped,
  messageId: mapped,
  timestamp: mapped,
  properties: mapped,
  context: mapped,
  integrations: mapped,
})

export const webhookSettings = webhookFields.extend({ webhookToken: text.min(1, 'must not be empty').optional() })

export const websiteSettings = z.strictObject({
  deliveryStrategy: z.strictObject({ strategy: z.enum(['standard', 'batching']), config: json.optional() }).optional(),
  plan: json.optional(),
  deviceModeFilters: flag.optional(),
})

/** The settings of all kinds of sources; which of them a kind has, `checkSourceSettings` knows. */
export const sourceSettings = webhookSettings.extend(websiteSettings.shape)

/** Events that the schema of a source lists at most (contract: sources.md §8); so many of them can be blocked. */
export const SCHEMA_NAMES_MAX = 4_000
export const schemaName = text.min(1, 'must not be empty').max(1024, 'has at most 1,024 characters')
const names = z
  .array(schemaName)
  .max(SCHEMA_NAMES_MAX, `has at most ${SCHEMA_NAMES_MAX} names`)
  .transform((list) => [...new Set(list)])
  .default([])
export const schemaControls = z.strictObject({
  blockedEvents: names,
  blockedTraits: names,
  blockedGroupTraits: names,
  forwardBlockedEventsTo: text.optional(),
})

const day = 86_400
/** Words of the file for the lifetime of a token (contract: ingest.md, OAuth 2.0). */
export const tokenLifetimes = {
  '1d': day,
  '2d': 2 * day,
  '3d': 3 * day,
  '7d': 7 * day,
  '14d': 14 * day,
  '21d': 21 * day,
  '30d': 30 * day,
} as const
// What the type of Object.keys leaves out.
const lifetimeNames = Object.keys(tokenLifetimes) as (keyof typeof tokenLifetimes)[]
const publicKeys = z
  .record(text.min(1, 'must not be empty').max(200, 'has at most 200 characters'), text)
  .refine((keys) => [1, 2].includes(Object.keys(keys).length), 'needs one or two keys')
export const oauthApp = z.strictObject({
  // A list will do, too: then each key is known by its thumbprint.
  publicKeys: z.preprocess(
    (value) => (Array.isArray(value) ? Object.fromEntries(value.map((pem, i) => [keyId(pem, i), pem])) : value),
    publicKeys,
  ),
  tokenLifetime: z.enum(lifetimeNames).default('1d'),
  scopes: z
    .array(z.enum(['tracking_api:write', 'functions:write', 'public_api:read_write']))
    .min(1, 'needs at least one scope')
    .default(['tracking_api:write']),
})

/** The thumbprint of RFC 7638; of something that is no RSA key its place in the list. */
function keyId(pem: unknown, place: number): string {
  try {
    const { e, kty, n } = createPublicKey(String(pem)).export({ format: 'jwk' })
    return createHash('sha256').update(JSON.stringify({ e, kty, n })).digest('base64url')
  } catch {
    return String(place)
  }
}

// Contract: workspace.md §4.
const LABELS_MAX = 50
const labelWord = text.regex(
  /^[A-Za-z][A-Za-z0-9-]{0,99}$/,
  'A label is up to 100 letters, digits and "-" on both sides of its colon, and both start with a letter.',
)
const labelPairs = z
  .record(labelWord, labelWord)
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `has at most ${LABELS_MAX} labels`)
// The list is how the API shows them (contract: sources.md, source object).
export const labels = z.preprocess((value) => (isLabelList(value) ? labelsOf(value) : value), labelPairs)

function isLabelList(value: unknown): value is { key: unknown; value: unknown }[] {
  return Array.isArray(value) && value.every((label) => typeof label === 'object' && label !== null && 'key' in label)
}

function labelsOf(list: { key: unknown; value: unknown }[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [String(key), value]))
}

export const ipRule = z.enum(['keep', 'mask', 'drop'])
export const sourceOAuth = z.strictObject({ app: text, required: flag.default(true) })

export const source = z.strictObject({
  name: title.optional(),
  type: type.default('http-api'),
  writeKeys: z.array(writeKey).min(1, 'needs at least one write key').optional(),
  enabled: flag.default(true),
  ip: ipRule.default('keep'),
  labels: labels.default({}),
  limits: z.strictObject({ eventsPerSecond }).default({}),
  strict: flag.default(false),
  settings: sourceSettings.default({}),
  schema: schemaControls.optional(),
  oauth: sourceOAuth.optional(),
})

export const delivery = z.strictObject({
  retryWindowHours: notNegative.optional(),
  retryFirstDelayMs: count.optional(),
  retryMaxDelayMs: count.optional(),
  requestTimeoutMs: count.optional(),
  batchMaxWaitMs: wholeNumber(0).optional(),
  ordered: flag.optional(),
  requestsPerSecond: positive.optional(),
  concurrency: count.optional(),
})

const mapping = z.strictObject({
  name: title.optional(),
  action: text,
  trigger: text,
  fields: json.default({}),
  enabled: flag.default(true),
})

// Two shapes are in use, `[ssn]` and `{ fields: [ssn] }` (contract: destinations.md §7); kept is the first.
const namesOfObject = z.preprocess((value) => (isFieldsObject(value) ? value.fields : value), z.array(text))
const fieldNames = z.record(text, namesOfObject)

function isFieldsObject(value: unknown): value is { fields: unknown } {
  return typeof value === 'object' && value !== null && Object.keys(value).join() === 'fields'
}
const filterAction = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('DROP') }),
  z.strictObject({ type: z.literal('SAMPLE'), percent: z.number(), path: text.optional() }),
  z.strictObject({ type: z.literal('DROP_PROPERTIES'), fields: fieldNames }),
  z.strictObject({ type: z.literal('ALLOW_PROPERTIES'), fields: fieldNames }),
])
const filter = z.strictObject({ title, if: text, actions: z.array(filterAction), enabled: flag.default(true) })

export const destination = z.strictObject({
  source: text,
  type,
  name: title.optional(),
  mode: z.enum(['cloud', 'device']).optional(),
  consentCategories: z.array(title).default([]),
  enabled: flag.default(true),
  settings: json.default({}),
  mappings: z.array(mapping).optional(),
  filters: z.array(filter).default([]),
  delivery: delivery.default({}),
  auth: z.strictObject({ accessToken: text.optional(), refreshToken: text.optional() }).optional(),
})

export const warehouse = z.strictObject({
  type,
  name: title.optional(),
  sources: z.array(text).optional(),
  settings: json.default({}),
  schedule: text.optional(),
  enabled: flag.default(true),
  selectiveSync: z.record(text, z.record(text, flag)).default({}),
})

/** Sections that set something for the whole deployment. */
export const sections = z.strictObject({
  egress: z.strictObject({
    allow: z.array(text).optional(),
    sink: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
  }),
  limits: z.strictObject({
    eventsPerSecond,
    messageBytesMax: count.optional(),
    bodyBytesMax: count.optional(),
    batchMessagesMax: count.optional(),
    inFlightBytesMax: count.optional(),
  }),
  ingest: z.strictObject({
    unknownWriteKey: z.union([z.literal(401), z.literal(200)]).optional(),
    idCoercion: flag.optional(),
    keepRejectedDays: notNegative.optional(),
    trustedProxies: z.array(text).optional(),
    collectIpv6: flag.optional(),
  }),
  dedupe: z.strictObject({ windowDays: notNegative.optional() }),
  delivery,
  journal: z.strictObject({
    bytesMax: count.optional(),
    diskReserveBytes: wholeNumber(0).optional(),
    segmentBytes: wholeNumber(4096).optional(),
  }),
  archive: z.strictObject({ enabled: flag.optional() }),
  retention: z.strictObject({ archiveDays: notNegative.optional(), deadLetterDays: notNegative.optional() }),
})
