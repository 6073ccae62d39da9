import { z } from 'zod'
import { defaultDelivery, defaultDeployment } from '../../src/snapshot/index.ts'
import { sourceKinds } from '../../src/store/index.ts'
import * as schemas from '../../src/store/config-file/schemas.ts'
import { code, page, table } from './markdown.ts'

/** What each setting does, by its path in the schemas. The page is refused while one is missing here, or left over. */
const meanings: Record<string, string> = {
  'workspace.name': 'Name for people.',
  'workspace.slug': 'Short name.',
  'tokens.*.token': 'The token, as `Authorization: Bearer` carries it. Kept as a hash.',
  'tokens.*.role': 'What it may do.',
  'sources.*.name': 'Name for people. Default: the slug.',
  'sources.*.type': 'What sends: one of the [kinds](#kinds-of-sources). It never changes.',
  'sources.*.writeKeys': 'Keys that its clients use. Default: those that it has, or one that is made.',
  'sources.*.enabled': 'False: what comes is rejected as `source_disabled`.',
  'sources.*.ip': '`mask` cuts the end off client addresses, `drop` leaves them out.',
  'sources.*.labels':
    'Texts of your own, by name, such as `environment: prod`: letters, digits and `-`, with a letter in front; at most 50.',
  'sources.*.limits.eventsPerSecond': 'Messages per second; beyond it clients get 429. Default: no limit.',
  'sources.*.strict': 'True: answers tell what is wrong with a message; see [answers](http-api.md#strict-sources).',
  'sources.*.settings.eventName':
    'Type `webhook` only, as all settings: name of the event, a text or mapping directives. Default: `Webhook Received`.',
  'sources.*.settings.userId': 'Mapping directives over `body`, `headers` and `query` of the request.',
  'sources.*.settings.anonymousId': 'Likewise. Default, without a `userId`: a new id for each request.',
  'sources.*.settings.messageId': 'Likewise: the id by which the other service repeats a request. Default: a new one.',
  'sources.*.settings.timestamp': 'Likewise. Default: when it came.',
  'sources.*.settings.properties': 'Likewise. Default: the body.',
  'sources.*.settings.context': 'Likewise.',
  'sources.*.settings.integrations': 'Likewise.',
  'sources.*.settings.webhookToken': 'What callers must send. Kept as a hash. Default: nothing is asked for.',
  'sources.*.settings.deliveryStrategy.strategy':
    'Type `javascript` only, as the next ones: `batching` lets the browser library collect calls, `standard` sends each.',
  'sources.*.settings.deliveryStrategy.config': 'Of the strategy: `size`, `timeout`, `keepalive`, …',
  'sources.*.settings.plan': 'The `plan` of the settings for the browser library. Blocked events are added to it.',
  'sources.*.settings.deviceModeFilters': 'False: filters of device-mode destinations do not run in the page.',
  'sources.*.schema.blockedEvents':
    'Events that are dropped as `event_setting`; page and screen calls are `Page Viewed` and `Screen Viewed`. With `schema` in the file, the API does not change it.',
  'sources.*.schema.blockedTraits': 'Traits (dotted paths) that are taken out of identify calls.',
  'sources.*.schema.blockedGroupTraits': 'Traits (dotted paths) that are taken out of group calls.',
  'sources.*.schema.forwardBlockedEventsTo': 'Slug of a server-side source that gets the blocked events.',
  'sources.*.oauth.app': 'Name of the OAuth app whose tokens it takes. Types `http-api`, `node` and `python`.',
  'sources.*.oauth.required': 'True: a write key without a token is refused.',
  'destinations.*.mode':
    '`device`: it runs in the page, and the server sends nothing. Needs a source of type `javascript`. Default: `cloud`, but `device` for types that run in pages only.',
  'destinations.*.consentCategories': 'Categories to which the user must have consented.',
  'oauthApps.*.publicKeys':
    'One or two RSA public keys in PEM form, by key id (`kid`); or a list of them, with their RFC 7638 thumbprints as key ids.',
  'oauthApps.*.tokenLifetime': 'How long its tokens are good.',
  'oauthApps.*.scopes': 'What its tokens may be asked for.',
  'destinations.*.source': 'Slug of the one source whose messages it gets.',
  'destinations.*.type': 'A folder of connectors/destinations.',
  'destinations.*.name': 'Name for people. Default: the slug.',
  'destinations.*.enabled': 'False: its messages are dropped as `DESTINATION_DISABLED`.',
  'destinations.*.settings': 'The settings of its type.',
  'destinations.*.mappings': 'What goes out, and how it looks. Default: the presets of the type.',
  'destinations.*.mappings[].name': 'Name for people. Default: the action.',
  'destinations.*.mappings[].action': 'An action of the type.',
  'destinations.*.mappings[].trigger': 'FQL: which messages.',
  'destinations.*.mappings[].fields': 'Fields of the action: values or mapping directives.',
  'destinations.*.mappings[].enabled': 'False: it does not run.',
  'destinations.*.filters': 'Rules before the mappings; at most 10.',
  'destinations.*.filters[].title': 'Name for people.',
  'destinations.*.filters[].if': 'FQL, or `all`.',
  'destinations.*.filters[].actions':
    '`{type: DROP}`, `{type: SAMPLE, percent, path}` (percent from 0 to 1), `{type: DROP_PROPERTIES, fields}`, `{type: ALLOW_PROPERTIES, fields}`; `fields` lists names by prefix (`context`, `properties`, `""`).',
  'destinations.*.filters[].enabled': 'False: it does not run.',
  'destinations.*.delivery': 'Settings of [delivery](#delivery) for this destination alone.',
  'destinations.*.auth.accessToken': 'OAuth access token. Without effect for the types that there are.',
  'destinations.*.auth.refreshToken': 'OAuth refresh token. Likewise.',
  'warehouses.*.type': 'A folder of connectors/warehouses.',
  'warehouses.*.name': 'Name for people. Default: the slug.',
  'warehouses.*.sources':
    'Slugs of the sources that are loaded. The schema of each is its slug. Default: all sources of the file.',
  'warehouses.*.settings': 'The settings of its type.',
  'warehouses.*.schedule':
    '`every 10s`, `every 1m`, `every 1h`, a cron line (UTC), or `manual`. At least 10 s apart. Default: every 1m for `duckdb`, every 15m for others.',
  'warehouses.*.enabled': 'False: it is not loaded.',
  'warehouses.*.selectiveSync': '`{SOURCE: {TABLE: false}}` leaves a table out.',
  'egress.allow': 'Private addresses (CIDR) that destinations may reach.',
  'egress.sink': 'Staging: every outgoing request goes to this URL instead.',
  'limits.eventsPerSecond': 'Messages per second of the workspace; beyond it clients get 429. Default: no limit.',
  'limits.messageBytesMax': 'Bytes of one message, as compact JSON.',
  'limits.bodyBytesMax': 'Bytes of one request body, decompressed.',
  'limits.batchMessagesMax': 'Messages in one batch; the surplus is rejected as `batch_too_long`. Default: no limit.',
  'limits.inFlightBytesMax': 'Bytes of bodies in memory; beyond it clients get 503.',
  'ingest.unknownWriteKey': 'Status that an unknown write key is answered with.',
  'ingest.idCoercion': 'False: ids that are numbers are rejected as `id_not_string`.',
  'ingest.keepRejectedDays': 'Without effect: rejected messages are kept as long as the archive.',
  'ingest.trustedProxies': 'Addresses (CIDR) whose `X-Forwarded-*` headers are believed.',
  'ingest.collectIpv6': 'True: IPv6 addresses become `context.ip` too.',
  'dedupe.windowDays': 'Days for which a `messageId` stays taken. Fractions are allowed.',
  'delivery.retryWindowHours': 'Hours after the first attempt in which it is tried again. Fractions are allowed.',
  'delivery.retryFirstDelayMs': 'Milliseconds: ceiling of the first pause. It doubles with each retry.',
  'delivery.retryMaxDelayMs': 'Milliseconds: ceiling of any pause.',
  'delivery.requestTimeoutMs': 'Milliseconds that one request may take.',
  'delivery.batchMaxWaitMs': 'Milliseconds that a batch waits for more messages.',
  'delivery.ordered': "True: each user's messages are sent in order, the next one when the one before has ended.",
  'delivery.requestsPerSecond': 'Requests per second. Default: no limit.',
  'delivery.concurrency': 'Requests under way at once. Default: it adapts, from 10 up to 100.',
  'journal.bytesMax': 'Bytes of the hot journal. Default: a quarter of what it has and the disk has free.',
  'journal.diskReserveBytes':
    'Bytes of the disk that stay free; below it ingest answers 503. Default: 512 MiB, or a tenth of the disk if that is less.',
  'journal.segmentBytes': 'Bytes of one segment file.',
  'archive.enabled': 'False: what leaves the hot journal is gone.',
  'retention.archiveDays': 'Days for which the archive is kept. Default: for ever.',
  'retention.deadLetterDays': 'Days for which dead letters are kept.',
}

interface Row {
  path: string
  type: string
  isRequired: boolean
  schemaDefault: unknown
}

type JsonSchema = {
  type?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  enum?: unknown[]
  const?: unknown
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  additionalProperties?: JsonSchema | boolean
  default?: unknown
  format?: string
}

/** Every setting of the config file, from its schemas. */
export function configurationPage(): string {
  const described = new Set<string>()
  const section = (title: string, schema: z.ZodType, prefix: string, intro: string): string[] => {
    const rows = rowsOf(jsonSchemaOf(schema), prefix)
    for (const { path } of rows) described.add(path)
    return [`## ${title}`, ...(intro === '' ? [] : [intro]), tableOf(rows, prefix)]
  }
  const { shape } = schemas.sections
  const parts = [
    ...section('workspace', schemas.workspace, 'workspace', ''),
    ...section('sources', schemas.source, 'sources.*', 'By slug.'),
    '### Kinds of sources',
    'Of kinds that sit with people (browsers, apps) the door notes address and user agent. A type may be written in the other ways, too.',
    kindsTable(),
    ...section('destinations', schemas.destination, 'destinations.*', 'By slug. Settings of a type: see its page.'),
    ...section('warehouses', schemas.warehouse, 'warehouses.*', 'By slug. Settings of a type: see its page.'),
    ...section('tokens', schemas.token, 'tokens.*', 'By name.'),
    ...section('oauthApps', schemas.oauthApp, 'oauthApps.*', 'By name.'),
    ...Object.entries(shape).flatMap(([name, schema]) => section(name, schema, name, '')),
  ]
  const leftOver = Object.keys(meanings).filter((path) => !described.has(path))
  if (leftOver.length > 0) throw new Error(`not in the schemas any more: ${leftOver.join(', ')}`)
  return page(
    'Configuration',
    'the schemas in src/store/config-file',
    'The settings of `tributary.yaml`. `npx tributary apply FILE --dry-run` checks a file and prints what it would change; a file that is not valid is refused whole, with line, path and reason. `${NAME}` stands for a variable of the environment. What the file does not name stays as it is.',
    ...parts,
  )
}

function kindsTable(): string {
  return table(
    ['Type', 'Also', 'Name', 'Categories', 'Sits with people'],
    sourceKinds.map(({ slug, aliases, name, categories, isClientSide }) => [
      code(slug),
      aliases.map(code).join(', '),
      name,
      categories.join(', '),
      isClientSide ? 'yes' : '',
    ]),
  )
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  // JSON Schema as zod prints it, of which we use the few keys named above.
  return z.toJSONSchema(schema, { io: 'input' }) as JsonSchema
}

function rowsOf(schema: JsonSchema, prefix: string): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const path = `${prefix}.${name}`
    // The delivery settings stand once, in their own section.
    const isShownElsewhere = path === 'destinations.*.delivery'
    if (child.properties !== undefined && !isShownElsewhere) return rowsOf(child, path)
    const isRequired = schema.required?.includes(name) ?? false
    const row = { path, type: typeOf(child), isRequired, schemaDefault: child.default }
    return [row, ...(child.items?.properties === undefined ? [] : rowsOf(child.items, `${path}[]`))]
  })
}

function tableOf(rows: readonly Row[], prefix: string): string {
  return table(
    ['Setting', 'Type', 'Default', 'What it says'],
    rows.map(({ path, type, isRequired, schemaDefault }) => {
      const meaning = meanings[path]
      if (meaning === undefined) throw new Error(`scripts/reference/configuration.ts does not say what ${path} does`)
      const byDefault = schemaDefault ?? deploymentDefault(path)
      const isShown = byDefault !== undefined && !isEmpty(byDefault)
      return [
        code(path.slice(prefix.length + 1)),
        `${type}${isRequired ? ', required' : ''}`,
        isShown ? code(typeof byDefault === 'string' ? byDefault : JSON.stringify(byDefault)) : '',
        meaning,
      ]
    }),
  )
}

/** Defaults that the file leaves to the snapshot. */
function deploymentDefault(path: string): unknown {
  if (path === 'archive.enabled') return defaultDeployment.archive.isEnabled
  const defaults = { ...defaultDeployment, delivery: defaultDelivery }
  let value: unknown = defaults
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => code(String(value))).join(' or ')
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined) return [...new Set(choices.map(typeOf))].join(' or ')
  if (schema.const !== undefined) return code(String(schema.const))
  switch (schema.type) {
    case 'string':
      return schema.format === 'uri' ? 'URL' : 'text'
    case 'integer':
      return 'whole number'
    case 'boolean':
      return 'true or false'
    case 'array': {
      const items = schema.items === undefined ? 'object' : typeOf(schema.items)
      return `list of ${items === 'object' ? 'entries' : items}`
    }
    case 'object':
      return 'object'
    default:
      return schema.type ?? 'any'
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
