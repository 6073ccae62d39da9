import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { gunzipSync } from 'node:zlib'
import { browserCatalogueText } from '../../scripts/browser-destinations.ts'
import type { DestinationSnapshot } from '../snapshot/index.ts'
import {
  browserCatalogue,
  createBrowserLibrary,
  neutralFolderOf,
  neutralPattern,
  renderDemoPage,
  settingsFor,
  snippetFor,
  type PathNames,
  type PublicAddress,
  type SettingsParts,
} from './index.ts'
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
  const file = (writeKey: string, isGzipped: boolean, given: { address?: PublicAddress; names?: PathNames } = {}) =>
    library.script({ writeKey, address, names: 'usual', isGzipped, ...given })
  const script = async (writeKey: string, names: PathNames = 'usual') =>
    (await (await file(writeKey, false, { names })).read()).toString()
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
    assert.equal((window['tracker'] as { _cdn?: string })._cdn, 'https://own.example.org')
    assert.equal(window['analytics'], undefined)
  })

  test('is the same script gzipped, under another tag', async () => {
    const [plain, gzipped] = await Promise.all([file('WEB_KEY', false), file('WEB_KEY', true)])
    assert.deepEqual(gunzipSync(await gzipped.read()), await plain.read())
    assert.notEqual(gzipped.etag, plain.etag)
    assert.ok((await gzipped.read()).byteLength < 40_000)
  })

  test('has another tag for another key, address or names of paths', async () => {
    const files = [
      await file('WEB_KEY', true),
      await file('OTHER_KEY', true),
      await file('WEB_KEY', true, { address: { ...address, protocol: 'https' } }),
      await file('WEB_KEY', true, { names: 'neutral' }),
    ]
    assert.equal(new Set(files.map(({ etag }) => etag)).size, 4)
  })

  test('with neutral names asks for nothing below a name that blockers know, and finds its chunks all the same', async () => {
    const text = await script('WEB_KEY', 'neutral')
    for (const word of ['/analytics-next/bundles', '/v1/projects', '/settings"', '.bundle.', 'tsub-middleware'])
      assert.ok(!text.includes(word), word)
    // What webpack makes of the number of a chunk.
    const names = /\w\.u=function\((\w)\)\{return(\{[^}]+\}\[\1\]\+"\.js")\}/.exec(text)
    const nameOf = runInNewContext(`(${names?.[1]}) => (${names?.[2]})`) as (chunk: number) => string
    const chunk = await library.chunk(nameOf(104), true)
    const usual = await library.chunk('schemaFilter.bundle.a6a77355d52c20e3a83d.js', true)
    assert.deepEqual(await chunk?.read(), await usual?.read())
  })

  test('with neutral names looks for its settings in the folder its script came from', async () => {
    const folder = neutralFolderOf('WEB_KEY')
    const src = `https://shop.example.org/${folder}/m.js`
    const line = (await script('WEB_KEY', 'neutral')).split('\n', 1)[0] ?? ''
    const cdnOf = (window: Record<string, unknown>) => (window['analytics'] as { _cdn?: string })._cdn
    assert.equal(cdnOf(runInPage(line, { src }).window), `https://shop.example.org/${folder}`)
    assert.equal(cdnOf(runInPage(line).window), `http://events.example.org:4000/${folder}`)
  })

  test('gets the plan as an option of its start when a destination in the page must not see a blocked event', async () => {
    const blocking = { plan: { track: { __default: { enabled: true }, 'Debug Ping': { enabled: false } } } }
    const planOf = async (settings: object, window: object = {}) => {
      const { window: after } = runInPage(await firstLine(), { window })
      const { _loadOptions: options } = after['analytics'] as { _loadOptions: LoadOptions }
      options.updateCDNSettings(settings)
      return options.plan
    }
    interface LoadOptions {
      plan?: unknown
      updateCDNSettings(settings: object): object
    }
    assert.equal(await planOf({ ...blocking, remotePlugins: [{}] }), blocking.plan)
    assert.equal(await planOf({ ...blocking, remotePlugins: [] }), undefined)
    assert.equal(await planOf({ plan: { track: { __default: { enabled: true } } }, remotePlugins: [{}] }), undefined)
    const own = { analytics: { _loadOptions: { plan: 'own', updateCDNSettings: (settings: object) => settings } } }
    assert.equal(await planOf({ ...blocking, remotePlugins: [{}] }, own), 'own')
  })

  test('has a bundle for every destination that runs in pages, in a folder of its name and one that hides it', async () => {
    for (const [slug, { file: name }] of Object.entries(browserCatalogue().destinations)) {
      const hidden = Buffer.from(slug).toString('base64').replaceAll('=', '')
      const [plain, gzipped, other] = [
        library.bundle(slug, name, false),
        library.bundle(slug, name, true),
        library.bundle(hidden, name, true),
      ]
      const text = await plain!.read()
      assert.deepEqual(gunzipSync(await gzipped!.read()), text)
      // The two are built alike but for the folder's name.
      assert.ok((await other!.read()).byteLength > 500)
      assert.ok(text.includes(`${slug}Destination`), `${slug} calls itself as the settings do`)
    }
  })

  test('gives no other file of the package of bundles', () => {
    const { file: name } = browserCatalogue().destinations['heap']!
    for (const [folder, other] of [
      ['heap', `${name}.map`],
      ['heap', `${name}.gz`],
      ['braze', name],
      ['..', 'manifest-latest.json'],
      ['', name],
      ['__proto__', name],
    ] as const)
      assert.equal(library.bundle(folder, other, false), undefined, `${folder}/${other}`)
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

describe('the settings of a source', () => {
  const settingsOf = (parts: Partial<SettingsParts> = {}) =>
    // Whatever a page gets is JSON.
    JSON.parse(
      JSON.stringify(
        settingsFor({ writeKey: 'WEB_KEY', source: {}, destinations: [], address, names: 'usual', ...parts }),
      ),
    ) as Record<string, Record<string, unknown>> & { remotePlugins: RemotePlugin[] }
  interface RemotePlugin extends Record<string, unknown> {
    settings: { subscriptions: Record<string, unknown>[] }
  }

  const heap: DestinationSnapshot = {
    ...{ number: 3, id: 'dst_3', workspace: 1, source: 1, slug: 'heap', name: 'Heap', type: 'heap', mode: 'device' },
    ...{ isEnabled: true, settings: { appId: '42' }, filters: [], delivery: {}, start: {} },
  }

  test('name the source and the installation, and every value has the type that the strictest library wants', () => {
    const settings = settingsOf()
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

  test('tell how the library sends', () => {
    const deliveryStrategy = { strategy: 'batching' as const, config: { size: 5, timeout: 1000 } }
    const { integrations } = settingsOf({ source: { browser: { deliveryStrategy } } })
    assert.deepEqual((integrations?.['Segment.io'] as Record<string, unknown>)['deliveryStrategy'], deliveryStrategy)
  })

  test('say in the plan what is blocked, beside what the source says', () => {
    const blocked = { enabled: false, integrations: {} }
    const given = { track: { 'Debug Ping': { enabled: true, integrations: { Heap: false } } } }
    const schema = { blockedEvents: ['Clicked'], blockedTraits: ['ssn'], blockedGroupTraits: ['plan'] }
    const everything = { __default: { enabled: true, integrations: {} } }
    assert.deepEqual(settingsOf({ source: { browser: { plan: given }, schema } })['plan'], {
      track: { ...everything, ...given.track, Clicked: blocked },
      identify: { ...everything, ssn: blocked },
      group: { ...everything, plan: blocked },
    })
  })

  test('describe a destination that runs in the page, with its presets', () => {
    const { remotePlugins, integrations } = settingsOf({ destinations: [heap] })
    const { file, presets } = browserCatalogue().destinations['heap']!
    assert.equal(remotePlugins.length, 1)
    const { settings, ...plugin } = remotePlugins[0]!
    assert.deepEqual(plugin, {
      name: 'Heap Web (Actions)',
      creationName: 'Heap Web (Actions)',
      libraryName: 'heapDestination',
      url: `https://cdn.segment.com/next-integrations/actions/heap/${file}`,
    })
    assert.equal((settings as Record<string, unknown>)['appId'], '42')
    assert.deepEqual(
      settings.subscriptions.map(({ name, enabled, partnerAction, subscribe }) => [
        ...[name, enabled, partnerAction, subscribe],
      ]),
      [
        ['Track Event', true, 'trackEvent', 'type = "track"'],
        ['Identify User', true, 'identifyUser', 'type = "identify"'],
      ],
    )
    assert.deepEqual(settings.subscriptions[0]?.['mapping'], presets[0]?.fields)
    const integration = integrations?.['Heap Web (Actions)'] as Record<string, unknown>
    assert.equal(integration['bundlingStatus'], 'bundled')
    assert.deepEqual(integration['versionSettings'], { componentTypes: [] })
  })

  test('fill in the defaults of its settings, as a form would', () => {
    const fullstory = { ...heap, type: 'fullstory', settings: { orgId: 'o1' } }
    const { remotePlugins } = settingsOf({ destinations: [fullstory] })
    const { subscriptions: _, ...settings } = remotePlugins[0]!.settings
    assert.deepEqual(settings, { orgId: 'o1', debug: false, recordOnlyThisIFrame: false })
  })

  test('give the mappings of a destination as the bundle reads them, and only those that are on', () => {
    const mapping = (name: string, isEnabled: boolean) => ({
      ...{ id: `map_${name}`, name, action: 'trackEvent', isEnabled },
      trigger: `type = 'track' and (event = "A" or event = "B")`,
      fields: { name: { '@path': '$.event' } },
    })
    const mappings = [mapping('on', true), mapping('off', false)]
    const { remotePlugins } = settingsOf({ destinations: [{ ...heap, mappings }] })
    assert.deepEqual(remotePlugins[0]?.settings.subscriptions, [
      {
        ...{ id: 'map_on', name: 'on', enabled: true, partnerAction: 'trackEvent' },
        subscribe: 'type = "track" and (event = "A" or event = "B")',
        mapping: { name: { '@path': '$.event' } },
      },
    ])
  })

  test('say nothing of destinations that are off, run here, or have nothing to do', () => {
    const silent: DestinationSnapshot[] = [
      { ...heap, isEnabled: false },
      { ...heap, mode: 'cloud' },
      { ...heap, type: 'webhook', settings: { url: 'https://secret.example.org' } },
      { ...heap, mappings: [] },
      { ...heap, filters: [{ title: 'x', if: 'length(event) > 3', actions: [{ type: 'DROP' }], isEnabled: true }] },
    ]
    assert.deepEqual(settingsOf({ destinations: silent }), settingsOf())
  })

  test('carry the filters of destinations in the page, unless the source has them off', () => {
    const filters = [{ title: 'No tests', if: 'event = "Test"', actions: [{ type: 'DROP' as const }], isEnabled: true }]
    const destinations = [{ ...heap, filters }]
    const rules = settingsOf({ destinations })['middlewareSettings']?.['routingRules']
    assert.deepEqual(rules, [
      {
        destinationName: 'Heap Web (Actions)',
        matchers: [{ type: 'fql', ir: '["=","event",{"value":"Test"}]' }],
        transformers: [[{ type: 'drop' }]],
      },
    ])
    const off = settingsOf({ destinations, source: { browser: { hasDeviceModeFilters: false } } })
    assert.deepEqual(off['middlewareSettings'], { routingRules: [] })
  })

  test('do not claim that a destination has what only prepares events for another', () => {
    const { integrations, remotePlugins } = settingsOf({
      destinations: [{ ...heap, type: 'amplitude-plugins', settings: {} }],
    })
    assert.equal(remotePlugins.length, 1)
    assert.equal((integrations?.['Amplitude (Actions)'] as Record<string, unknown>)['bundlingStatus'], undefined)
  })

  test('tell consent tools the categories of each destination and of all', () => {
    const advertising = { ...heap, consentCategories: ['Advertising', 'Analytics'] }
    const hook: DestinationSnapshot = { ...heap, type: 'webhook', mode: 'cloud', consentCategories: ['Analytics'] }
    const both = settingsOf({ destinations: [advertising, hook] })
    assert.deepEqual(both['consentSettings'], {
      allCategories: ['Advertising', 'Analytics'],
      hasUnmappedDestinations: false,
    })
    const integration = both['integrations']?.['Heap Web (Actions)'] as Record<string, unknown>
    assert.deepEqual(integration['consentSettings'], { categories: ['Advertising', 'Analytics'] })
    const { consentCategories: _, ...unmapped } = hook
    const mixed = settingsOf({ destinations: [advertising, unmapped] })['consentSettings']
    assert.equal(mixed?.['hasUnmappedDestinations'], true)
    assert.deepEqual(settingsOf()['consentSettings'], { allCategories: [], hasUnmappedDestinations: true })
  })

  test('with neutral names lead to paths without a word', () => {
    const folder = neutralFolderOf('WEB_KEY')
    const { integrations, remotePlugins } = settingsOf({ destinations: [heap], names: 'neutral' })
    const segment = integrations?.['Segment.io'] as Record<string, unknown>
    assert.equal(segment['apiHost'], `events.example.org:4000/${folder}`)
    const { file } = browserCatalogue().destinations['heap']!
    assert.equal(remotePlugins[0]?.['url'], `https://cdn.segment.com/d/aGVhcA/${file}`)
  })
})

test('a neutral folder is the same for a key at any time, another for another key, and made of consonants', () => {
  assert.equal(neutralFolderOf('WEB_KEY'), neutralFolderOf('WEB_KEY'))
  assert.notEqual(neutralFolderOf('WEB_KEY'), neutralFolderOf('OTHER_KEY'))
  assert.match(`/${neutralFolderOf('WEB_KEY')}/t`, neutralPattern)
  assert.doesNotMatch('/analyticsnow/t', neutralPattern)
})

test('the catalogue of browser destinations is in step with the package that is installed', async () => {
  const written = await readFile(new URL('./destinations.json', import.meta.url), 'utf8')
  assert.equal(written, await browserCatalogueText(), 'run node scripts/browser-destinations.ts')
  assert.equal(Object.keys(browserCatalogue().destinations).length, 25)
})

describe('the demo page', () => {
  const render = (given: Partial<Parameters<typeof renderDemoPage>[0]> = {}) =>
    renderDemoPage({ name: 'Web shop', writeKey: 'WEB_KEY', address, names: 'usual', hasDeviceMode: false, ...given })

  test('has the snippet, and a policy that lets only its own scripts and the installation in', async () => {
    const below = { ...address, host: 'shop.example.org/collect' }
    const { html, policy } = await render({ address: below })
    assert.ok(html.includes(snippetFor('WEB_KEY', below)))
    assert.ok(!/\{\{\w+\}\}/.test(html))
    assert.ok(policy.includes("default-src 'none'"))
    assert.ok(policy.includes("connect-src 'self' http://shop.example.org;"))
    assert.ok(!policy.includes('unsafe') && !policy.includes('https:'))
    assert.equal(policy.match(/sha256-/g)?.length, html.match(/<(script|style)>/g)?.length)
  })

  test('lets vendors in where destinations run in the page', async () => {
    const { policy } = await render({ hasDeviceMode: true })
    assert.match(policy, /script-src 'self' http:\/\/events.example.org:4000 https: 'sha256-/)
    assert.ok(!policy.includes('unsafe'))
  })

  test('has the snippet with neutral paths when that is chosen', async () => {
    const { html } = await render({ names: 'neutral' })
    assert.ok(html.includes(snippetFor('WEB_KEY', address, 'neutral')))
    assert.match(html, /<a href="\?paths=neutral" aria-current="page">/)
  })

  test('shows a name and a key as text', async () => {
    const { html } = await render({ name: '<img src=x onerror=alert(1)>', writeKey: awkwardKey })
    assert.ok(!html.includes('<img'))
    assert.equal(html.match(/<\/script>/g)?.length, html.match(/<script>/g)?.length)
  })
})
