/**
 * The browser library in a real browser, pointed at a real product by nothing but its address: each way of putting it into a
 * page makes its calls, and what a webhook received and what is in the warehouse is compared with the calls that were made.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page, Route } from 'playwright-core'
import type { PublicAddress } from '../../src/browser/index.ts'
import { assertBalanced, type Status } from '../support/accounting.ts'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { startChromium } from './chromium.ts'
import { startPageServer, type PageServer } from './page-server.ts'
import { pageWithSnippet, watch, type SnippetPage, type Watched } from './web-page.ts'

type Message = ReturnType<FakeVendor['messages']>[number]

const umdFolder = fileURLToPath(new URL('dist/umd', import.meta.resolve('@segment/analytics-next/package.json')))

let vendor: FakeVendor
let platform: Platform
let site: PageServer
let browser: Browser
let context: BrowserContext
let page: Page
let watched: Watched

before(async () => {
  vendor = await fakeVendor()
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
sources:
  web: { name: Web shop, type: javascript, writeKeys: [WEB_KEY] }
  kept:
    name: Shop that keeps requests alive
    type: javascript
    writeKeys: [KEPT_KEY]
    settings: { deliveryStrategy: { strategy: standard, config: { keepalive: true, credentials: include } } }
  closing: { name: Shop that closes, type: javascript, writeKeys: [CLOSING_KEY] }
destinations:
  hook: { source: web, type: webhook, settings: { url: "${vendor.url}" } }
  kept-hook: { source: kept, type: webhook, settings: { url: "${vendor.url}" } }
  closing-hook: { source: closing, type: webhook, settings: { url: "${vendor.url}" } }
warehouses:
  local: { type: duckdb, settings: { path: warehouse.duckdb }, schedule: manual }
egress: { allow: [127.0.0.1/32] }
`,
  })
  site = await startPageServer({ library: umdFolder })
  browser = await startChromium()
})
after(async () => {
  await browser?.close()
  await site?.close()
  await platform?.dispose()
  await vendor?.close()
})

beforeEach(async () => {
  context = await browser.newContext()
  watched = watch(context)
  page = await context.newPage()
})
afterEach(() => context.close())

/** A page of the site with the snippet, and `script` after it. */
function snippetPage(script: string, loadOptions?: object, given: Partial<SnippetPage> = {}): string {
  const address: PublicAddress = { protocol: 'http', host: `127.0.0.1:${platform.port}` }
  const options = loadOptions === undefined ? {} : { loadOptions: JSON.stringify(loadOptions) }
  return pageWithSnippet({ address, script, ...options, ...given })
}

/** What the webhook received of one browser, once there are `count` messages of it. */
async function receivedFrom(anonymousId: string, count: number): Promise<Message[]> {
  const own = () => vendor.messages().filter((message) => message['anonymousId'] === anonymousId)
  await vendor.until(() => own().length >= count)
  return own()
}

const summaryOf = ({ type, event, name, userId, groupId, properties, traits }: Message) =>
  JSON.parse(JSON.stringify({ type, event, name, userId, groupId, properties, traits })) as Record<string, unknown>

/** The calls among the messages, told by type and event, without what the library adds to the properties of pages. */
function callsIn(messages: Message[]): string[] {
  return messages.map(({ type, event, name }) => [type, event ?? name].filter(Boolean).join(' ')).sort()
}

const inBatches = {
  integrations: { 'Segment.io': { deliveryStrategy: { strategy: 'batching', config: { size: 5, timeout: 200 } } } },
}

test('the snippet: calls made before the library is there are kept, and all calls arrive as they were made', async () => {
  const script = `
    analytics.setAnonymousId('snippet')
    analytics.identify('u1', { email: 'zoë@example.com', plan: 'pro' })
    analytics.track('Order Completed', { order_id: 'o1', total: 30.5, products: [{ sku: 'G' }] })
    analytics.group('org9', { name: 'Acme' })
    analytics.page('Docs', 'Pricing', { section: 'plans' })
    analytics.alias('u2')`
  site.setPage('/shop', snippetPage(script))
  await page.goto(`${site.url}/shop?utm_source=news&utm_campaign=spring`)
  const messages = await receivedFrom('snippet', 6)
  assert.deepEqual(callsIn(messages), ['alias', 'group', 'identify', 'page', 'page Pricing', 'track Order Completed'])
  const find = (type: string) => messages.find((message) => message['type'] === type)!
  assert.deepEqual(summaryOf(find('track')), {
    ...{ type: 'track', event: 'Order Completed', userId: 'u1' },
    properties: { order_id: 'o1', total: 30.5, products: [{ sku: 'G' }] },
  })
  assert.deepEqual(find('identify')['traits'], { email: 'zoë@example.com', plan: 'pro' })
  assert.deepEqual(find('group')['groupId'], 'org9')
  const seen = find('track')['context'] as Record<string, unknown>
  assert.match(String(seen['userAgent']), /Chrome/)
  assert.equal(seen['ip'], '127.0.0.1')
  assert.deepEqual(seen['campaign'], { source: 'news', name: 'spring' })
  assert.deepEqual([...watched.hosts].sort(), [new URL(site.url).host, `127.0.0.1:${platform.port}`].sort())
  assert.deepEqual(watched.complaints, [])
})

test('a script tag alone, without a snippet, over plain http', async () => {
  site.setPage('/tag', `<script src="${platform.url}/analytics.js/v1/WEB_KEY/analytics.min.js"></script>`)
  await page.goto(`${site.url}/tag`)
  await page.waitForFunction('window.analytics && analytics.initialized')
  await page.evaluate("analytics.setAnonymousId('tag'); analytics.track('Tagged')")
  assert.deepEqual(callsIn(await receivedFrom('tag', 1)), ['track Tagged'])
  assert.deepEqual([...watched.hosts].sort(), [new URL(site.url).host, `127.0.0.1:${platform.port}`].sort())
})

test('the npm package: the address of the CDN is all it needs', async () => {
  const script = `
    const analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: 'WEB_KEY', cdnURL: '${platform.url}' })
    analytics.setAnonymousId('npm')
    analytics.identify('u3', { plan: 'free' })
    analytics.track('Signed Up', { plan: 'free' })`
  site.setPage('/npm', `<script src="/library/index.js"></script><script>${script}</script>`)
  await page.goto(`${site.url}/npm`)
  assert.deepEqual(callsIn(await receivedFrom('npm', 2)), ['identify', 'track Signed Up'])
  assert.deepEqual([...watched.hosts].sort(), [new URL(site.url).host, `127.0.0.1:${platform.port}`].sort())
  assert.deepEqual(watched.complaints, [])
})

test('batching: every call arrives, in fewer requests', async () => {
  const script = `
    analytics.setAnonymousId('batching')
    for (let i = 0; i < 12; i++) analytics.track('Clicked', { i })`
  site.setPage('/batching', snippetPage(script, inBatches))
  let batches = 0
  page.on('request', (request) => {
    if (request.method() === 'POST' && request.url().endsWith('/v1/b')) batches += 1
  })
  await page.goto(`${site.url}/batching`)
  const messages = await receivedFrom('batching', 13)
  const clicks = messages.filter((message) => message['event'] === 'Clicked')
  const numbers = clicks.map((message) => (message['properties'] as { i: number }).i)
  assert.deepEqual(
    numbers.sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, i) => i),
  )
  assert.ok(batches > 0 && batches < 13, `${batches} requests`)
})

test('the query string: ajs_ parameters set the anonymous id, identify and track', async () => {
  site.setPage('/landing', snippetPage(''))
  const query = new URLSearchParams({
    ...{
      ajs_aid: 'query',
      ajs_uid: 'u4',
      ajs_trait_plan: 'gold plan',
      ajs_event: 'Link Clicked',
      ajs_prop_letter: 'week 9',
    },
  })
  await page.goto(`${site.url}/landing?${query}`)
  const messages = await receivedFrom('query', 3)
  assert.deepEqual(callsIn(messages), ['identify', 'page', 'track Link Clicked'])
  const find = (type: string) => messages.find((message) => message['type'] === type)!
  assert.deepEqual([find('identify')['userId'], find('identify')['traits']], ['u4', { plan: 'gold plan' }])
  assert.deepEqual(find('track')['properties'], { letter: 'week 9' })
})

test('below a path of the site itself, nothing leaves the site', async () => {
  site.proxy('collect', platform.url)
  const address = { protocol: 'http', host: `${new URL(site.url).host}/collect` } as const
  const script = "analytics.setAnonymousId('first-party'); analytics.track('Looked')"
  site.setPage('/own', snippetPage(script, undefined, { address }))
  await page.goto(`${site.url}/own?ajs_event=Came`)
  assert.deepEqual(callsIn(await receivedFrom('first-party', 3)), ['page', 'track Came', 'track Looked'])
  assert.deepEqual([...watched.hosts], [new URL(site.url).host])
  assert.deepEqual(watched.complaints, [])
})

test('a page that is left sends what it still holds', async () => {
  // A browser lets a page that is gone send 64 KB at most, so what is held here is less.
  const script = `
    analytics.setAnonymousId('leaving')
    for (let i = 0; i < 40; i++) analytics.track('Read', { i, text: 'x'.repeat(200) })`
  const holding = {
    'Segment.io': { deliveryStrategy: { strategy: 'batching', config: { size: 1000, timeout: 600_000 } } },
  }
  site.setPage('/leaving', snippetPage(script, { integrations: holding }))
  site.setPage('/next', '<title>Next</title>')
  await page.goto(`${site.url}/leaving`)
  await page.waitForFunction('analytics.initialized')
  await page.goto(`${site.url}/next`)
  const messages = await receivedFrom('leaving', 41)
  assert.equal(new Set(messages.map((message) => message.messageId)).size, 41)
})

/** Loads a page, leaves it for another one, and gives the messages of that browser. */
async function leave(anonymousId: string, html: string, count: number): Promise<Message[]> {
  site.setPage(`/${anonymousId}`, html)
  site.setPage('/next', '<title>Next</title>')
  await page.goto(`${site.url}/${anonymousId}`)
  await page.waitForFunction('analytics.initialized')
  await page.goto(`${site.url}/next`)
  return receivedFrom(anonymousId, count)
}

for (const moment of ['pagehide', 'beforeunload', 'visibilitychange']) {
  test(`what a page tracks at ${moment} arrives, where the source keeps requests alive`, async () => {
    const anonymousId = `kept-${moment}`
    const script = `
      analytics.setAnonymousId('${anonymousId}')
      addEventListener('${moment}', () => analytics.track('Left', { moment: '${moment}' }), true)`
    const messages = await leave(anonymousId, snippetPage(script, undefined, { writeKey: 'KEPT_KEY' }), 2)
    assert.deepEqual(callsIn(messages), ['page', 'track Left'])
  })

  test(`what a page tracks at ${moment} arrives with what it had collected`, async () => {
    const anonymousId = `collected-${moment}`
    const holding = {
      'Segment.io': { deliveryStrategy: { strategy: 'batching', config: { size: 1000, timeout: 600_000 } } },
    }
    const script = `
      analytics.setAnonymousId('${anonymousId}')
      analytics.track('Read')
      addEventListener('${moment}', () => analytics.track('Left', { moment: '${moment}' }), true)`
    // The library sends what it holds twice when more is tracked after it was told that the page goes; here it is taken once.
    const html = snippetPage(script, { integrations: holding }, { writeKey: 'CLOSING_KEY' })
    const messages = await leave(anonymousId, html, 3)
    assert.deepEqual(callsIn(messages), ['page', 'track Left', 'track Read'])
  })
}

test('a page sends beacons of its own, of text and of JSON', async () => {
  const script = `
    addEventListener('pagehide', () => {
      const body = (event) => JSON.stringify({ writeKey: 'WEB_KEY', batch: [
        { type: 'track', event, anonymousId: 'beacon', messageId: 'beacon-' + event },
      ] })
      navigator.sendBeacon('${platform.url}/v1/batch', body('text'))
      navigator.sendBeacon('${platform.url}/v1/batch', new Blob([body('json')], { type: 'application/json' }))
      const one = { writeKey: 'WEB_KEY', event: 'single', anonymousId: 'beacon', messageId: 'beacon-single' }
      navigator.sendBeacon('${platform.url}/v1/t', new Blob([JSON.stringify(one)], { type: 'text/plain' }))
    })`
  const messages = await leave('beacon', snippetPage(script), 3)
  assert.deepEqual(callsIn(messages), ['track json', 'track single', 'track text'])
  assert.deepEqual(watched.complaints, [])
})

test('what a closing page could not send is sent by the next page of the site', async () => {
  const script = `
    analytics.setAnonymousId('later')
    addEventListener('pagehide', () => analytics.track('Left'))`
  const closing = { writeKey: 'CLOSING_KEY' }
  site.setPage('/later', snippetPage(script, undefined, closing))
  site.setPage('/back', snippetPage('', undefined, closing))
  await page.route(/\/v1\/t$/, (route) => route.abort())
  await page.goto(`${site.url}/later`)
  await page.waitForFunction('analytics.initialized')
  await page.evaluate("analytics.track('Held')")
  await page.unroute(/\/v1\/t$/)
  await page.goto(`${site.url}/back`)
  const messages = await receivedFrom('later', 4)
  assert.deepEqual(callsIn(messages), ['page', 'page', 'track Held', 'track Left'])
})

test('the demo page works as it is served, under its own content policy', async () => {
  await page.goto(`${platform.url}/demo/WEB_KEY`)
  // The page call that the page makes by itself comes before the id by which the others are found.
  await page.locator('#sent li').first().waitFor()
  await page.evaluate("analytics.setAnonymousId('demo')")
  for (const call of ['identify', 'track', 'page', 'screen', 'group', 'alias'])
    await page.getByRole('button', { name: `Send ${call}` }).click()
  await page.locator('#sent li', { hasText: '→ 200' }).nth(6).waitFor()
  const messages = await receivedFrom('demo', 6)
  const calls = ['alias', 'group', 'identify', 'page Pricing', 'screen Checkout', 'track Order Completed']
  assert.deepEqual(callsIn(messages), calls)
  await page.getByText('The library is ready').waitFor()
  const shown = await page.locator('#sent pre').allTextContents()
  const shownIds = shown.map((text) => (JSON.parse(text) as Message).messageId)
  for (const { messageId } of messages) assert.ok(shownIds.includes(messageId), 'the page shows what was sent')
  assert.deepEqual([...watched.hosts], [`127.0.0.1:${platform.port}`])
  assert.deepEqual(watched.complaints, [])
})

describe('when the way to the product breaks', () => {
  const cors = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Retry-After' }
  const faults: { name: string; run: (route: Route) => Promise<void> }[] = [
    { name: 'a reset connection', run: (route) => route.abort('connectionreset') },
    { name: 'a 503', run: (route) => route.fulfill({ status: 503, headers: cors, body: '{}' }) },
    {
      name: 'a 429',
      run: (route) => route.fulfill({ status: 429, headers: { ...cors, 'retry-after': '1' }, body: '{}' }),
    },
    {
      // The product has taken the message, and the browser does not learn of it.
      name: 'a lost answer',
      run: async (route) => {
        await route.fetch()
        await route.abort('connectionreset')
      },
    },
  ]
  for (const { name, run } of faults) {
    test(`${name} loses nothing and doubles nothing`, async () => {
      const anonymousId = name.replaceAll(' ', '-')
      let triedCount = 0
      let answeredCount = 0
      const allAnswered = Promise.withResolvers<void>()
      await page.route(/\/v1\/t$/, async (route) => {
        triedCount += 1
        if (triedCount <= 2) return run(route)
        await route.fulfill({ response: await route.fetch() })
        answeredCount += 1
        if (answeredCount === 4) allAnswered.resolve()
      })
      const script = `
        analytics.setAnonymousId(${JSON.stringify(anonymousId)})
        for (let i = 0; i < 4; i++) analytics.track('Tried', { i })`
      site.setPage('/trying', snippetPage(script))
      await page.goto(`${site.url}/trying`)
      await allAnswered.promise
      const messages = await receivedFrom(anonymousId, 5)
      assert.equal(triedCount, 6, 'the two that failed were tried once more')
      assert.deepEqual(callsIn(messages), ['page', 'track Tried', 'track Tried', 'track Tried', 'track Tried'])
      const numbers = messages.flatMap((each) => (each['properties'] as { i?: number }).i ?? [])
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        [0, 1, 2, 3],
      )
    })
  }
})

test('the warehouse has the messages of the webhook, one row each, and the accounting is exact', async () => {
  assert.equal((await platform.cli('sync', 'local')).code, 0)
  const tables: Record<string, string> = {
    ...{ track: 'tracks', identify: 'identifies', page: 'pages', group: 'groups', alias: 'aliases' },
  }
  for (const [type, table] of Object.entries(tables)) {
    const rows: { id: string }[] = []
    for (const source of ['web', 'kept', 'closing']) {
      // A source of which no such call came has no such table.
      const { code, stdout } = await platform.cli('sql', `select id from ${source}.${table}`, '--json')
      if (code === 0) rows.push(...(JSON.parse(stdout) as { id: string }[]))
    }
    const received = vendor.messages().filter((message) => message['type'] === type)
    assert.deepEqual(rows.map(({ id }) => id).sort(), received.map(({ messageId }) => messageId).sort(), table)
  }
  const orders = await platform.json(
    'sql',
    "select order_id, total, products, user_id from web.order_completed where anonymous_id = 'snippet'",
  )
  assert.deepEqual(orders, [{ order_id: 'o1', total: 30.5, products: '[{"sku":"G"}]', user_id: 'u1' }])
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  const processed = ['web', 'kept', 'closing'].map((source) => status.sources[source]?.processed ?? 0)
  assert.equal(
    processed.reduce((sum, each) => sum + each),
    vendor.messages().length,
  )
  assert.equal(status.sources['web']?.duplicate, 2, 'the two messages whose answers were lost came again')
  assert.deepEqual(status.sources['web']?.rejected, {})
})
