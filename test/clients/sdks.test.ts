/**
 * Real SDKs against a real product, changed by nothing but the host. Each makes the same calls; what a webhook received and what is in
 * the warehouse is compared with them, first over an undisturbed line, then over one that breaks connections, loses answers, is
 * slow, and answers 503 and 429. No SDK meets more than it tries again by itself (see `disturbedTries`).
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { assertBalanced, type Status } from '../support/accounting.ts'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { selfSigned } from '../support/self-signed.ts'
import { startFaultProxy, type Fault, type FaultProxy } from './fault-proxy.ts'

const runFile = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))
const installed = process.env['TRIBUTARY_CLIENTS'] ?? fileURLToPath(new URL('../../.clients', import.meta.url))

/** Calls of each kind. */
const COUNT = 40
const startMs = Date.parse('2026-03-01T09:00:00.000Z')
const kinds = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const
type Kind = (typeof kinds)[number]

interface Sdk {
  name: string
  /** The source's slug, and its schema in the warehouse. */
  source: string
  sourceType: string
  /** Its own name in `context.library`; absent where it gives none. */
  library?: string
  command: string[]
  /** Calls that it has. */
  kinds: readonly Kind[]
  /** The user id of the n-th calls, as text, also where the program gives a number. */
  userId: (n: number) => string
  /** What it gets over. */
  faults: readonly Fault[]
  /** Tries of each batch that meet a fault. */
  disturbedTries: number
  /** It cannot speak plain HTTP. */
  isTlsOnly?: boolean
}

const named = (n: number) => `user-${n}`
const numbered = (n: number) => String(1000 + n)
const all: readonly Fault[] = ['reset', 'lost', 'slow', 503, 429]
const jvm = (name: string) => ['-cp', `${installed}/${name}/classes:${installed}/${name}/lib/*`]

const sdks: Sdk[] = [
  {
    ...{ name: '@segment/analytics-node', source: 'node', sourceType: 'node', library: '@segment/analytics-node' },
    command: [process.execPath, `${here}node/current.mjs`],
    ...{ kinds, userId: named },
    // Tries 10 times.
    ...{ faults: all, disturbedTries: 2 },
  },
  {
    ...{ name: 'analytics-node 6', source: 'node_6', sourceType: 'node', library: 'analytics-node' },
    command: [process.execPath, `${here}node/six.mjs`],
    ...{ kinds, userId: numbered },
    // Tries 3 times after the first.
    ...{ faults: all, disturbedTries: 2 },
  },
  {
    ...{ name: 'segment-analytics-python', source: 'python', sourceType: 'python', library: 'analytics-python' },
    command: [`${installed}/python/bin/python`, `${here}python/client.py`],
    ...{ kinds, userId: numbered },
    // Tries 10 times, one batch after the other.
    ...{ faults: all, disturbedTries: 1 },
  },
  {
    ...{ name: 'analytics-go', source: 'go', sourceType: 'go', library: 'analytics-go' },
    command: [`${installed}/go/client`],
    ...{ kinds, userId: named },
    // Tries 10 times.
    ...{ faults: all, disturbedTries: 2 },
  },
  {
    ...{ name: 'analytics-java', source: 'java', sourceType: 'java', library: 'analytics-java' },
    command: ['java', ...jvm('java'), 'Client'],
    ...{ kinds, userId: named },
    // Tries on for long, but waits 15 s before the second try.
    ...{ faults: all, disturbedTries: 1 },
  },
  {
    ...{ name: 'analytics-kotlin', source: 'kotlin', sourceType: 'kotlin-android', library: 'analytics-kotlin' },
    command: ['java', ...jvm('kotlin'), 'ClientKt'],
    // Its core has no page.
    kinds: kinds.filter((kind) => kind !== 'page'),
    userId: named,
    // Tries again at each flush.
    ...{ faults: all, disturbedTries: 2 },
    isTlsOnly: true,
  },
  {
    ...{ name: 'the Rust crate', source: 'rust', sourceType: 'http-api' },
    command: [`${installed}/rust/release/client`],
    ...{ kinds, userId: named },
    // It gives its caller the error and tries nothing again, and its messages have no ids.
    ...{ faults: ['slow'], disturbedTries: 1 },
  },
]

let vendor: FakeVendor
let platform: Platform
let folder: string
const certificate = selfSigned({ withAddress: true })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-sdks-'))
  await writeFile(join(folder, 'certificate.pem'), certificate.certificate)
  const store = ['-keystore', join(folder, 'trusted.p12'), '-storetype', 'PKCS12', '-storepass', 'changeit']
  await runFile('keytool', ['-importcert', '-noprompt', '-file', join(folder, 'certificate.pem'), ...store])
  vendor = await fakeVendor()
  const sources = sdks.flatMap(({ source, sourceType }) =>
    [source, `${source}_faults`].map((slug) => ({ slug, sourceType })),
  )
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
sources:
${sources.map(({ slug, sourceType }) => `  ${slug}: { type: ${sourceType}, writeKeys: [KEY-${slug}] }`).join('\n')}
destinations:
${sources.map(({ slug }) => `  hook-${slug}: { source: ${slug}, type: webhook, settings: { url: "${vendor.url}/${slug}" } }`).join('\n')}
warehouses:
  local: { type: duckdb, settings: { path: warehouse.duckdb }, schedule: manual }
egress: { allow: [127.0.0.1/32] }
`,
  })
})
after(async () => {
  await platform?.dispose()
  await vendor?.close()
  await rm(folder, { recursive: true, force: true })
})

for (const [index, sdk] of sdks.entries()) {
  describe(sdk.name, () => {
    test('sends every call once, whole', async () => {
      if (sdk.isTlsOnly !== true) await run(sdk, platform.url, sdk.source)
      else await throughProxy(sdk, { faults: [] }, index, (proxy) => run(sdk, proxy.host, sdk.source))
      await check(sdk, sdk.source)
      assert.equal((await sourceStatus(sdk.source)).duplicate, 0)
    })
    test(`${sdk.faults.join(', ')}: loses nothing and doubles nothing`, async () => {
      const source = `${sdk.source}_faults`
      await throughProxy(sdk, sdk, index, async (proxy) => {
        await run(sdk, sdk.isTlsOnly === true ? proxy.host : proxy.url, source)
        await check(sdk, source)
        assert.deepEqual(new Set(proxy.made().keys()), new Set(sdk.faults), 'each fault was met')
      })
      const { duplicate } = await sourceStatus(source)
      assert.equal(duplicate > 0, sdk.faults.includes('lost'), `${duplicate} came twice`)
    })
  })
}

async function throughProxy(
  { isTlsOnly, disturbedTries }: Sdk,
  { faults }: { faults: readonly Fault[] },
  seed: number,
  use: (proxy: FaultProxy) => Promise<void>,
): Promise<void> {
  const tls = isTlsOnly === true ? { certificate } : {}
  const proxy = await startFaultProxy({ target: platform.url, seed, faults, disturbedTries, ...tls })
  try {
    await use(proxy)
  } finally {
    await proxy.close()
  }
}

/** Runs the program; a client that reports an error, or does not end, fails the test with what it printed. */
async function run({ command: [program = '', ...args] }: Sdk, host: string, source: string): Promise<void> {
  const trusted = `-Djavax.net.ssl.trustStore=${folder}/trusted.p12 -Djavax.net.ssl.trustStorePassword=changeit`
  const env = { ...process.env, JDK_JAVA_OPTIONS: trusted }
  await runFile(program, [...args, host, `KEY-${source}`, String(COUNT)], { timeout: 120_000, env })
}

interface Message {
  type: Kind
  messageId: string
  userId?: unknown
  previousId?: string
  groupId?: string
  event?: string
  name?: string
  properties?: Record<string, unknown>
  traits?: Record<string, unknown>
  originalTimestamp?: string
  timestamp: string
  receivedAt: string
  context?: { library?: { name?: string } }
}

async function check(sdk: Sdk, source: string): Promise<void> {
  await checkWebhook(sdk, source)
  await checkWarehouse(sdk, source)
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  const { rejected, dropped, processed } = await sourceStatus(source)
  assert.deepEqual({ rejected, dropped, processed }, { rejected: {}, dropped: {}, processed: COUNT * sdk.kinds.length })
}

async function sourceStatus(source: string) {
  const status = ((await platform.json('status')) as Status).sources[source]
  assert.ok(status !== undefined)
  return status
}

async function checkWebhook(sdk: Sdk, source: string): Promise<void> {
  const received = () =>
    vendor.requests
      .filter(({ path }) => path.endsWith(`/${source}`))
      .flatMap(({ body }) => [JSON.parse(body) as Message | Message[]].flat())
  await vendor.until(() => received().length >= COUNT * sdk.kinds.length)
  const seen = received()
    .map((message) => seenOf(message))
    .sort(byNameAndTime)
  const made = sdk.kinds.flatMap((kind) => numbers.map((n) => callOf(sdk, kind, n))).sort(byNameAndTime)
  assert.deepEqual(seen, made)
  assert.equal(new Set(received().map(({ messageId }) => messageId)).size, made.length, 'each has an id of its own')
}

const numbers = Array.from({ length: COUNT }, (_, n) => n)

interface Call extends Record<string, unknown> {
  type: Kind
  atMs: number
}

function byNameAndTime(one: Call, other: Call): number {
  return one.type.localeCompare(other.type) || one.atMs - other.atMs
}

/** What was said in the n-th call of a kind, by every program. */
function callOf(sdk: Sdk, type: Kind, n: number): Call {
  const call = { type, atMs: startMs + n * 1000, userId: sdk.userId(n), library: sdk.library }
  switch (type) {
    case 'identify':
      return { ...call, traits: { n, name: 'Zoë ☕', plan: 'pro' } }
    case 'track':
      return { ...call, event: 'Order Completed', properties: orderOf(n) }
    case 'page':
    case 'screen':
      return { ...call, name: 'Home', properties: { n } }
    case 'group':
      return { ...call, groupId: `group-${n}`, traits: { n } }
    case 'alias':
      return { ...call, previousId: `anonymous-${n}` }
  }
}

function orderOf(n: number) {
  return {
    ...{ n, total: n + 0.25, big: Number.MAX_SAFE_INTEGER, name: 'Zoë ☕', orderedAt: startMs + n * 1000 },
    address: { city: '東京', lines: ['1', '2'] },
    products: [{ sku: `sku-${n}`, quantity: 2 }],
  }
}

/** The same of what the webhook received. SDKs write the same time in different ways; user ids that are numbers count as text. */
function seenOf(message: Message): Call {
  const { type, userId, previousId, groupId, event, name, properties, traits, originalTimestamp, timestamp } = message
  const orderedAt = properties?.['orderedAt']
  const said = {
    ...{ type, atMs: Date.parse(originalTimestamp ?? timestamp), userId: String(userId) },
    library: message.context?.library?.name,
  }
  switch (type) {
    case 'identify':
      return { ...said, traits }
    case 'track':
      return { ...said, event, properties: { ...properties, orderedAt: Date.parse(String(orderedAt)) } }
    case 'page':
    case 'screen':
      return { ...said, name, properties }
    case 'group':
      return { ...said, groupId, traits }
    case 'alias':
      return { ...said, previousId }
  }
}

async function checkWarehouse(sdk: Sdk, source: string): Promise<void> {
  const { code, stderr } = await platform.cli('sync', 'local')
  assert.equal(code, 0, stderr)
  for (const kind of sdk.kinds) {
    const { table, columns, rowOf } = tables[kind]
    const library = sdk.library === undefined ? '' : ', context_library_name as library'
    const query = `select user_id, epoch_ms(original_timestamp)::double as "atMs"${library}, ${columns} from ${source}.${table} order by "atMs"`
    const rows = numbers.map((n) => {
      const { userId, atMs, ...call } = callOf(sdk, kind, n)
      const own = sdk.library === undefined ? {} : { library: sdk.library }
      return { user_id: userId, atMs, ...own, ...rowOf(call) }
    })
    const stored = (await platform.json('sql', query)) as Record<string, unknown>[]
    assert.deepEqual(stored.map(withLists), rows, table)
  }
}

/** Lists are JSON text in the warehouse, with keys in the order that the program wrote them. */
function withLists(row: Record<string, unknown>): Record<string, unknown> {
  const read = (value: unknown) => (typeof value === 'string' && value.startsWith('[') ? JSON.parse(value) : value)
  return Object.fromEntries(Object.entries(row).map(([column, value]) => [column, read(value)]))
}

const record = (value: unknown) => value as Record<string, unknown>

/** Where each kind of call ends up, and what a call is as a row there. */
const tables: Record<Kind, { table: string; columns: string; rowOf: (call: Record<string, unknown>) => object }> = {
  identify: { table: 'identifies', columns: 'n, name, plan', rowOf: ({ traits }) => record(traits) },
  track: {
    table: 'order_completed',
    columns: 'n, total, big, name, epoch_ms(ordered_at)::double as ordered_at, address_city, address_lines, products',
    rowOf({ properties }) {
      const { orderedAt, address, products, ...rest } = properties as ReturnType<typeof orderOf>
      return {
        ...rest,
        ...{ ordered_at: orderedAt, address_city: address.city },
        ...{ address_lines: address.lines, products },
      }
    },
  },
  page: { table: 'pages', columns: 'name, n', rowOf: ({ name, properties }) => ({ name, ...record(properties) }) },
  screen: { table: 'screens', columns: 'name, n', rowOf: ({ name, properties }) => ({ name, ...record(properties) }) },
  group: {
    table: 'groups',
    columns: 'group_id, n',
    rowOf: ({ groupId, traits }) => ({ group_id: groupId, ...record(traits) }),
  },
  alias: { table: 'aliases', columns: 'previous_id', rowOf: ({ previousId }) => ({ previous_id: previousId }) },
}
