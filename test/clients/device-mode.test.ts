/**
 * Destinations that run in the page, in a real browser: the vendor's own code is a stand-in that writes down how it is called, all
 * else is the library, the bundles and the product as they are.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { browserCatalogue, neutralFolderOf, type PublicAddress } from '../../src/browser/index.ts'
import { assertBalanced, type Status } from '../support/accounting.ts'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { startChromium } from './chromium.ts'
import { startPageServer, type PageServer } from './page-server.ts'
import { pageWithSnippet, watch, type SnippetPage, type Watched } from './web-page.ts'

type Message = ReturnType<FakeVendor['messages']>[number]

const folderOf = (name: string, path: string) => fileURLToPath(new URL(path, import.meta.resolve(name)))

let vendor: FakeVendor
let platform: Platform
let address: PublicAddress
let site: PageServer
let browser: Browser
let context: BrowserContext
let page: Page
let watched: Watched

before(async () => {
  vendor = await fakeVendor()
  const hook = (name: string) => `type: webhook, settings: { url: "${vendor.url}/${name}" }`
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
sources:
  web: { name: Web shop, type: javascript, writeKeys: [WEB_KEY], schema: { blockedEvents: [Debug Ping] } }
  wrapped: { name: With consent, type: javascript, writeKeys: [CONSENT_KEY] }
  own: { name: Own plugin, type: javascript, writeKeys: [OWN_KEY] }
destinations:
  hook: { source: web, ${hook('web')} }
  heap:
    source: web
    type: heap
    settings: { appId: '42' }
    filters: [{ title: No tests, if: 'event in ["Test", "Trial"]', actions: [{ type: DROP }] }]
    mappings:
      - name: Big orders
        action: trackEvent
        trigger: type = "track" and (event = "Order Completed" or event = "Test" or event = "Debug Ping")
        fields:
          name: { '@template': 'Shop: {{event}}' }
          properties: { total: { '@path': $.properties.total } }
      - { name: Off, action: trackEvent, trigger: type = "track", fields: { name: never }, enabled: false }
  ga4: { source: web, type: google-analytics-4-web, settings: { measurementID: G-1 } }
  analysis: { source: wrapped, type: heap, settings: { appId: '43' }, consentCategories: [Analytics] }
  mapped: { source: wrapped, ${hook('mapped')}, consentCategories: [Analytics] }
  unmapped: { source: wrapped, ${hook('unmapped')} }
  copied: { source: own, ${hook('own')} }
warehouses:
  local: { type: duckdb, settings: { path: warehouse.duckdb }, schedule: manual }
egress: { allow: [127.0.0.1/32] }
`,
  })
  address = { protocol: 'http', host: `127.0.0.1:${platform.port}` }
  site = await startPageServer({
    consent: folderOf('@segment/analytics-consent-tools', '../esm'),
    'generic-utils': folderOf('@segment/analytics-generic-utils', '../esm'),
  })
  browser = await startChromium()
})
after(async () => {
  await browser?.close()
  await site?.close()
  await platform?.dispose()
  await vendor?.close()
})

/** What the script of the vendor does: it writes down the calls. */
const heapScript = `
  window.heap = { calls: [] }
  for (const name of ['track', 'identify', 'addUserProperties'])
    window.heap[name] = (...call) => window.heap.calls.push([name, ...call])`

beforeEach(async () => {
  context = await browser.newContext()
  watched = watch(context)
  const script = (body: string) => ({ status: 200, contentType: 'text/javascript', body })
  await context.route('https://cdn.heapanalytics.com/**', (route) => route.fulfill(script(heapScript)))
  await context.route('https://www.googletagmanager.com/**', (route) => route.fulfill(script('')))
  page = await context.newPage()
})
afterEach(() => context.close())

async function open(path: string, given: Partial<SnippetPage> = {}): Promise<void> {
  site.setPage(path, pageWithSnippet({ address, ...given }))
  await page.goto(`${site.url}${path}`)
  await page.waitForFunction('window.analytics && analytics.initialized')
}

/** Calls of the library after which nothing of them is left to do in the page. */
async function call(...calls: string[]): Promise<void> {
  for (const each of calls) await page.evaluate(`analytics.${each}`)
}

const heapCalls = () => page.evaluate('window.heap?.calls') as Promise<unknown[][] | undefined>
const googleCalls = async () => {
  const calls = (await page.evaluate('[...window.dataLayer].map((call) => [...call])')) as unknown[][]
  // The page call of the snippet comes whenever it is ready.
  return calls.filter(([kind, name]) => kind === 'event' && name !== 'page_view')
}

/** What the webhook at this path received of one browser, once there are `count` messages of it. */
async function receivedAt(name: string, anonymousId: string, count: number): Promise<Message[]> {
  const own = () =>
    vendor.requests
      .filter(({ path }) => path.endsWith(`/${name}`))
      .flatMap(({ body }) => [JSON.parse(body) as Message | Message[]].flat())
      .filter((message) => message['anonymousId'] === anonymousId)
  await vendor.until(() => own().length >= count)
  return own()
}

const eventsOf = (messages: Message[]) => messages.flatMap(({ event }) => (event === undefined ? [] : [String(event)]))

test('the vendor in the page is called as mappings and presets say, and the server gets every message once', async () => {
  await open('/shop', { script: "analytics.setAnonymousId('device')" })
  await call(
    `track('Order Completed', { order_id: 'o1', total: 30.5, currency: 'EUR', products: [{ product_id: 'p1', quantity: 2 }] })`,
    `track('Looked', { at: 'shoes' })`,
  )
  assert.deepEqual(await heapCalls(), [
    ['track', 'Shop: Order Completed', { total: 30.5, segment_library: 'browser-destination' }],
  ])
  const google = await googleCalls()
  assert.deepEqual(
    google.map(([, name]) => name),
    ['purchase', 'Looked'],
    'each event reaches one action of the presets',
  )
  const purchase = google[0]?.[2] as Record<string, unknown>
  assert.deepEqual([purchase['transaction_id'], purchase['value'], purchase['currency']], ['o1', 30.5, 'EUR'])
  assert.equal((purchase['items'] as Record<string, unknown>[])[0]?.['item_id'], 'p1')

  const messages = await receivedAt('web', 'device', 3)
  assert.deepEqual(eventsOf(messages), ['Order Completed', 'Looked'])
  for (const message of messages) {
    const { bundled } = message['_metadata'] as { bundled: string[] }
    assert.deepEqual(bundled, ['Google Analytics 4 Web', 'Heap Web (Actions)', 'Segment.io'])
  }
  assert.deepEqual([...watched.hosts].sort(), [
    ...[
      `127.0.0.1:${platform.port}`,
      'cdn.heapanalytics.com',
      new URL(site.url).host,
      'www.googletagmanager.com',
    ].sort(),
  ])
  assert.deepEqual(watched.complaints, [])
})

test('a filter of a destination holds a message back from it in the page, and from nobody else', async () => {
  await open('/filtered', { script: "analytics.setAnonymousId('filtered')" })
  await call("track('Test', { total: 1 })", "track('Order Completed', { total: 2 })")
  assert.deepEqual(
    (await heapCalls())?.map(([, name]) => name),
    ['Shop: Order Completed'],
  )
  assert.deepEqual(
    (await googleCalls()).map(([, name]) => name),
    ['Test', 'purchase'],
  )
  assert.deepEqual(eventsOf(await receivedAt('web', 'filtered', 3)), ['Test', 'Order Completed'])
})

test('an event that the schema blocks reaches no destination, in the page or here', async () => {
  await open('/blocked', { script: "analytics.setAnonymousId('blocked')" })
  await call("track('Debug Ping')", "track('Order Completed', { total: 3 })")
  assert.deepEqual(
    (await heapCalls())?.map(([, name]) => name),
    ['Shop: Order Completed'],
  )
  assert.deepEqual(
    (await googleCalls()).map(([, name]) => name),
    ['purchase'],
  )
  assert.deepEqual(eventsOf(await receivedAt('web', 'blocked', 2)), ['Order Completed'])
  const status = (await platform.json('status')) as Status
  assert.equal(status.sources['web']?.dropped['event_setting'], 1)
})

test('a page can leave a destination out, and then none of its code is loaded', async () => {
  const loadOptions = "{ integrations: { All: false, 'Segment.io': true, 'Heap Web (Actions)': true } }"
  await open('/some', { loadOptions, script: "analytics.setAnonymousId('some')" })
  await call(
    "track('Order Completed', { total: 4 })",
    "track('Order Completed', {}, { integrations: { 'Heap Web (Actions)': false } })",
  )
  assert.equal((await heapCalls())?.length, 1)
  assert.ok(!watched.urls.some(({ pathname }) => pathname.includes('google-analytics')))
})

test('a page that hides names asks for the bundles by others', async () => {
  await open('/hidden', { loadOptions: '{ obfuscate: true }', script: "analytics.setAnonymousId('hidden')" })
  await call("track('Order Completed', { total: 5 })")
  assert.equal((await heapCalls())?.length, 1)
  const paths = watched.urls.map(({ pathname }) => pathname)
  assert.ok(paths.some((path) => path.startsWith('/next-integrations/actions/aGVhcA/')))
  assert.ok(!paths.some((path) => path.includes('/heap/')))
})

test('with neutral paths, all that is asked for here lies below one folder without a word in it', async () => {
  await open('/neutral', {
    names: 'neutral',
    script: "analytics.setAnonymousId('neutral'); analytics.identify('u1')",
  })
  await call("track('Order Completed', { total: 6 })", "track('Debug Ping')")
  assert.equal((await heapCalls())?.length, 1)
  assert.deepEqual(eventsOf(await receivedAt('web', 'neutral', 3)), ['Order Completed'])
  const paths = watched.urls.filter(({ host }) => host === address.host).map(({ pathname }) => pathname)
  const folder = `/${neutralFolderOf('WEB_KEY')}/`
  assert.ok(paths.length >= 8, paths.join(' '))
  for (const path of paths) {
    assert.ok(path.startsWith(folder), path)
    assert.doesNotMatch(
      path,
      /analytics|segment|track|event|heap|google|integration|bundle|destination|settings|\/v1\//i,
    )
  }
  assert.deepEqual(watched.complaints, [])
})

test('below a path of the site and with neutral names, nothing but the vendors is on another host', async () => {
  site.proxy('assets', platform.url)
  await open('/first-party', {
    address: { protocol: 'http', host: `${new URL(site.url).host}/assets` },
    names: 'neutral',
    script: "analytics.setAnonymousId('own-host')",
  })
  await call("track('Order Completed', { total: 7 })")
  assert.equal((await heapCalls())?.length, 1)
  assert.deepEqual(eventsOf(await receivedAt('web', 'own-host', 2)), ['Order Completed'])
  assert.ok(!watched.hosts.has(address.host))
})

test('when a vendor or a bundle is away, the others and the server get their messages', async () => {
  await context.route(/\/actions\/google-analytics-4-web\//, (route) => route.abort())
  await open('/away', { script: "analytics.setAnonymousId('away')" })
  await call("track('Order Completed', { total: 8 })")
  assert.equal((await heapCalls())?.length, 1)
  assert.deepEqual(eventsOf(await receivedAt('web', 'away', 2)), ['Order Completed'])
})

test('a message that a plugin of the page has sent itself is not sent again from here', async () => {
  // As the settings of a destination would say it, for a name that a destination here has.
  const loadOptions = `{ updateCDNSettings: (settings) => {
    settings.integrations.Webhook = { bundlingStatus: 'bundled' }
    return settings
  } }`
  await open('/plugin', { writeKey: 'OWN_KEY', loadOptions, script: "analytics.setAnonymousId('plugin')" })
  await call("track('Sent by the page')")
  await open('/no-plugin', { writeKey: 'OWN_KEY' })
  await call("track('Sent from here')")
  assert.deepEqual(eventsOf(await receivedAt('own', 'plugin', 2)), ['Sent from here'])
  const { connections } = (await platform.json('status')) as Status
  const copied = connections.find(({ destination }) => destination === 'copied')
  assert.deepEqual(copied?.dropped, { MESSAGE_SENT_CLIENT_SIDE: 2 })
})

/** A page whose consent tool is the wrapper, around the snippet, over a visitor's choices that the page knows. */
async function openWithConsent(path: string, anonymousId: string, choices: Record<string, boolean>): Promise<void> {
  const html = pageWithSnippet({ writeKey: 'CONSENT_KEY', address })
  const wrapped = `
    <script type="importmap">{ "imports": { "@segment/analytics-generic-utils": "/generic-utils/index.js" } }</script>
    <script type="module">
      import { createWrapper } from '/consent/index.js'
      const withConsent = createWrapper({
        shouldLoadSegment: (ctx) => ctx.load({ consentModel: 'opt-in' }),
        getCategories: () => (${JSON.stringify(choices)}),
      })
      withConsent(analytics)
      analytics.setAnonymousId(${JSON.stringify(anonymousId)})
      analytics.load('CONSENT_KEY')
    </script>`
  site.setPage(path, html.replace('analytics.load("CONSENT_KEY");', '').replace('</body>', `${wrapped}</body>`))
  await page.goto(`${site.url}${path}`)
  await page.waitForFunction('window.analytics && analytics.initialized')
}

test('without consent a destination is not loaded in the page and not sent to from here', async () => {
  await openWithConsent('/refused', 'refused', { Analytics: false })
  await call("track('Bought')")
  const messages = await receivedAt('unmapped', 'refused', 2)
  for (const message of messages) {
    const { consent } = message['context'] as { consent: unknown }
    assert.deepEqual(consent, { categoryPreferences: { Analytics: false } })
  }
  assert.equal(await heapCalls(), undefined)
  assert.ok(!watched.urls.some(({ pathname }) => pathname.includes('/actions/')))
  const { connections } = (await platform.json('status')) as Status
  const mapped = connections.find(({ destination }) => destination === 'mapped')
  assert.deepEqual(mapped?.dropped, { FILTERED_BY_END_USER_CONSENT: 2 })
  assert.deepEqual(await receivedAt('mapped', 'refused', 0), [])
})

test('with consent it is', async () => {
  await openWithConsent('/agreed', 'agreed', { Analytics: true })
  await call("track('Bought')")
  assert.deepEqual(
    (await heapCalls())?.filter(([name]) => name === 'track').map(([, name]) => name),
    ['Bought'],
  )
  assert.deepEqual(eventsOf(await receivedAt('mapped', 'agreed', 2)), ['Bought'])
})

test('the demo page runs the destinations of its source, and shows which', async () => {
  await page.goto(`${platform.url}/demo/WEB_KEY?paths=neutral`)
  await page.getByText('In this page: Heap Web (Actions), Google Analytics 4 Web').waitFor()
  await page.getByRole('button', { name: 'Send track' }).click()
  await page.locator('#sent li', { hasText: '→ 200' }).nth(1).waitFor()
  assert.equal((await heapCalls())?.length, 1)
  assert.deepEqual(watched.complaints, [])
})

test('every bundle that there is registers under the name by which the settings call it', async () => {
  site.setPage('/all', '<!doctype html><title>All</title>')
  await page.goto(`${site.url}/all`)
  for (const [slug, { file }] of Object.entries(browserCatalogue().destinations)) {
    await page.addScriptTag({ url: `${platform.url}/next-integrations/actions/${slug}/${file}` })
    const kind = (await page.evaluate(`typeof window[${JSON.stringify(`${slug}Destination`)}]`)) as string
    assert.equal(kind, 'function', slug)
  }
})

test('the accounting says that a destination runs in the page, and is exact', async () => {
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  const heap = status.connections.find(({ destination }) => destination === 'heap')
  assert.deepEqual([heap?.mode, heap?.received, heap?.waiting], ['device', 0, 0])
  const { stdout } = await platform.cli('status')
  assert.match(stdout, /web → heap runs in web pages/)
  assert.equal((await platform.cli('sync', 'local')).code, 0)
  const rows = (await platform.json(
    'sql',
    "select id from web.order_completed where anonymous_id = 'device'",
  )) as unknown[]
  assert.equal(rows.length, 1)
})
