import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { gunzipSync } from 'node:zlib'
import { createBrowserLibrary, renderDemoPage, settingsFor, snippetFor, type PublicAddress } from './index.ts'
import { createRecentBytes } from './recent-bytes.ts'

const address: PublicAddress = { protocol: 'http', host: 'events.example.org:4000' }
/** Every character that ends a string, a script or a template somewhere. */
const awkwardKey = '</script><!--"\'$&`\\'

/** Runs a script as in a page whose script tag has the given address; the DOM is only what such scripts touch. */
function runInPage(script: string, options: { src?: string; globalName?: string; window?: object } = {}) {
  const inserted: { src?: string; attributes: Record<string, string> }[] = []
  const errors: string[] = []
  const window: Record<string, unknown> = { console: { error: (text: string) => errors.push(text) }, ...options.window }
  const document = {
    currentScript: options.src === undefined ? null : { src: options.src },
    title: 'A page',
    referrer: '',
    querySelector: (selector: string) =>
      selector.startsWith('script') && options.globalName !== undefined
        ? { dataset: { globalSegmentAnalyticsKey: options.globalName } }
        : null,
    createElement: () => {
      const element = {
        attributes: {} as Record<string, string>,
        setAttribute: (name: string, value: string) => (element.attributes[name] = value),
      }
      return element
    },
    getElementsByTagName: () => [
      { parentNode: { insertBefore: (element: (typeof inserted)[number]) => inserted.push(element) } },
    ],
  }
  const location = { pathname: '/pricing', href: 'https://shop.example.org/pricing?a=1', search: '?a=1' }
  runInNewContext(script, { window, document, location, console: window['console'] })
  return { window, inserted, errors }
}

const codeOf = (snippet: string) => snippet.replace(/^<script>/, '').replace(/<\/script>$/, '')

describe('the snippet', () => {
  test('loads the script of the source from the installation and queues a page call with the page it was made on', () => {
    const { window, inserted } = runInPage(codeOf(snippetFor('WEB_KEY', address)))
    assert.equal(inserted[0]?.src, 'http://events.example.org:4000/analytics.js/v1/WEB_KEY/analytics.min.js')
    assert.equal(inserted[0].attributes['data-global-segment-analytics-key'], 'analytics')
    const analytics = window['analytics'] as unknown[] & Record<string, unknown>
    assert.equal(analytics['_cdn'], 'http://events.example.org:4000')
    assert.equal(analytics['_writeKey'], 'WEB_KEY')
    assert.deepEqual(JSON.parse(JSON.stringify(analytics[0])), [
      'page',
      { __t: 'bpc', p: '/pricing', u: 'https://shop.example.org/pricing?a=1', s: '?a=1', t: 'A page', r: '' },
    ])
  })

  test('twice in a page, says so and changes nothing', () => {
    const code = codeOf(snippetFor('WEB_KEY', address))
    const { window, inserted, errors } = runInPage(`${code};${code}`)
    assert.equal(inserted.length, 1)
    assert.equal((window['analytics'] as unknown[]).length, 1)
    assert.match(errors[0] ?? '', /twice/)
  })

  test('stays one script whatever the write key holds', () => {
    const snippet = snippetFor(awkwardKey, address)
    assert.equal(snippet.match(/<\/script/g)?.length, 1)
    assert.ok(!snippet.includes('<!--'))
    const { window } = runInPage(codeOf(snippet))
    assert.equal((window['analytics'] as { _writeKey?: string })._writeKey, awkwardKey)
  })

  test('is the one in the guide', async () => {
    const guide = await readFile(new URL('../../docs/guide/sources.md', import.meta.url), 'utf8')
    assert.ok(guide.includes(snippetFor('WRITE_KEY', { protocol: 'https', host: 'events.example.org' })))
  })

  test('is small', () => {
    assert.ok(snippetFor('WEB_KEY', address).length < 2000)
  })
})

describe('the library', () => {
  const library = createBrowserLibrary()
  const script = async (writeKey: string) => (await (await library.script(writeKey, address, false)).read()).toString()
  const firstLine = async () => (await script('WEB_KEY')).split('\n', 1)[0] ?? ''

  test('has the write key in it, and nothing is left of the placeholder', async () => {
    const text = await script('WEB_KEY')
    assert.ok(text.includes('window.analyticsWriteKey="WEB_KEY"'))
    assert.ok(!text.includes('__WRITE_KEY__'))
  })

  test('takes any write key as it is', async () => {
    const assignment = /window\.analyticsWriteKey=("(?:[^"\\]|\\.)*")/.exec(await script(awkwardKey))
    assert.equal(JSON.parse(assignment?.[1] ?? ''), awkwardKey)
  })

  test('looks for its settings where its script came from', async () => {
    const src = 'http://127.0.0.1:4000/collect/analytics.js/v1/WEB_KEY/analytics.min.js'
    const { window } = runInPage(await firstLine(), { src })
    assert.equal((window['analytics'] as { _cdn?: string })._cdn, 'http://127.0.0.1:4000/collect')
  })

  test('looks at the public address when the browser does not tell where the script came from', async () => {
    const { window } = runInPage(await firstLine())
    assert.equal((window['analytics'] as { _cdn?: string })._cdn, 'http://events.example.org:4000')
  })

  test('leaves what the page has set, under whatever global name', async () => {
    const page = { tracker: { _cdn: 'https://own.example.org' } }
    const { window } = runInPage(await firstLine(), { globalName: 'tracker', window: page })
    assert.deepEqual(window['tracker'], { _cdn: 'https://own.example.org' })
    assert.equal(window['analytics'], undefined)
  })

  test('is the same script gzipped, under another tag', async () => {
    const [plain, gzipped] = await Promise.all([
      library.script('WEB_KEY', address, false),
      library.script('WEB_KEY', address, true),
    ])
    assert.deepEqual(gunzipSync(await gzipped.read()), await plain.read())
    assert.notEqual(gzipped.etag, plain.etag)
    assert.ok((await gzipped.read()).byteLength < 40_000)
  })

  test('has another tag for another key or address', async () => {
    const files = [
      await library.script('WEB_KEY', address, true),
      await library.script('OTHER_KEY', address, true),
      await library.script('WEB_KEY', { ...address, protocol: 'https' }, true),
    ]
    assert.equal(new Set(files.map(({ etag }) => etag)).size, 3)
  })

  test('gives chunks by their hashed names only', async () => {
    const name = 'queryString.bundle.34b193ada8fe288d1bd1.js'
    const [plain, gzipped] = await Promise.all([library.chunk(name, false), library.chunk(name, true)])
    assert.deepEqual(gunzipSync((await gzipped?.read())!), await plain?.read())
    for (const other of [
      'standalone.js',
      'index.js',
      '../../package.json',
      `${name}.gz`,
      `../umd/${name}`,
      '',
      '__proto__',
    ])
      assert.equal(await library.chunk(other, false), undefined, other)
  })
})

describe('what is kept in memory', () => {
  test('is bounded in bytes, and the least recently used goes first', async () => {
    const recent = createRecentBytes(10)
    let made = 0
    const take = (name: string, byteCount = 4) =>
      recent.take(name, () => {
        made += 1
        return Promise.resolve(Buffer.alloc(byteCount))
      })
    await take('a')
    await take('b')
    await take('a')
    await take('c')
    assert.equal(recent.byteCount, 8)
    await take('a')
    assert.equal(made, 3, 'b went, a stayed')
    await take('large', 11)
    assert.equal(recent.byteCount, 0, 'what is larger than all the room is not kept')
  })

  test('is made once, however many ask at the same time, and again after a failure', async () => {
    const recent = createRecentBytes(10)
    let made = 0
    const fail = () => {
      made += 1
      return Promise.reject(new Error('no disk'))
    }
    const results = await Promise.allSettled([recent.take('a', fail), recent.take('a', fail)])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.equal(made, 1)
    assert.equal((await recent.take('a', () => Promise.resolve(Buffer.alloc(1)))).byteLength, 1)
  })
})

test('settings name the source and the installation, and every value has the type that the strictest library wants', () => {
  const settings = settingsFor('WEB_KEY', address) as Record<string, unknown>
  assert.deepEqual(settings['integrations'], {
    'Segment.io': {
      apiKey: 'WEB_KEY',
      apiHost: 'events.example.org:4000/v1',
      protocol: 'http',
      unbundledIntegrations: [],
      addBundledMetadata: true,
      maybeBundledConfigIds: {},
      versionSettings: { version: '4.4.7', componentTypes: ['browser'] },
    },
  })
  assert.deepEqual(settings['metrics'], { sampleRate: 0, host: 'events.example.org:4000/v1' })
  assert.deepEqual(settings['middlewareSettings'], { routingRules: [] })
  assert.deepEqual(settings['remotePlugins'], [])
  assert.ok(!JSON.stringify(settings).includes('segment.com'))
  for (const name of ['integrations', 'plan', 'edgeFunction', 'middlewareSettings', 'metrics', 'consentSettings']) {
    assert.equal(Object.getPrototypeOf(settings[name]), Object.prototype, name)
  }
})

describe('the demo page', () => {
  test('has the snippet, and a policy that lets only its own scripts and the installation in', async () => {
    const { html, policy } = await renderDemoPage(
      { name: 'Web shop', writeKey: 'WEB_KEY' },
      { ...address, host: 'shop.example.org/collect' },
    )
    assert.ok(html.includes(snippetFor('WEB_KEY', { ...address, host: 'shop.example.org/collect' })))
    assert.ok(!/\{\{\w+\}\}/.test(html))
    assert.ok(policy.includes("default-src 'none'"))
    assert.ok(policy.includes("connect-src 'self' http://shop.example.org;"))
    assert.ok(!policy.includes('unsafe'))
    assert.equal(policy.match(/sha256-/g)?.length, html.match(/<(script|style)>/g)?.length)
  })

  test('shows a name as text', async () => {
    const { html } = await renderDemoPage({ name: '<img src=x onerror=alert(1)>', writeKey: awkwardKey }, address)
    assert.ok(!html.includes('<img'))
    assert.equal(html.match(/<\/script>/g)?.length, html.match(/<script>/g)?.length)
  })
})
