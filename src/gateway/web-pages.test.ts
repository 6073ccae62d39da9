import assert from 'node:assert/strict'
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { browserCatalogue, neutralFolderOf } from '../browser/index.ts'
import { createFixedSnapshotSource, defaultDeployment, type Snapshot } from '../snapshot/index.ts'
import { addressSet } from './client-address.ts'
import { parsePublicUrl, type AddressOptions } from './public-address.ts'
import { createSourceDirectory } from './source-directory.ts'
import { createWebPages } from './web-pages.ts'
import { webRouteOf } from './web-routes.ts'

const settingsPath = '/v1/projects/WEB_KEY/settings'
const scriptPath = '/analytics.js/v1/WEB_KEY/analytics.min.js'
const { file: heapFile } = browserCatalogue().destinations['heap']!
const bundlePath = `/next-integrations/actions/heap/${heapFile}`
const sharedPath = `/next-integrations/actions/${browserCatalogue().sharedFiles[0]}`
const chunkPath = '/analytics-next/bundles/queryString.bundle.34b193ada8fe288d1bd1.js'

function snapshotOf(writeKeys: string[]): Snapshot {
  return {
    number: 1,
    publishedAtMs: 0,
    workspaces: [{ number: 1, id: 'ws_1', slug: 'acme', name: 'Acme' }],
    sources: [
      {
        ...{ number: 1, id: 'src_1', workspace: 1, slug: 'web', name: 'Web shop', type: 'javascript' },
        ...{ isEnabled: true, isClientSide: true, writeKeys, ip: 'keep' },
      },
    ],
    destinations: [],
    warehouses: [],
    settings: defaultDeployment,
  }
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  json(): Record<string, unknown>
}

/** A listener of nothing but these pages. */
async function serve(options: Partial<AddressOptions> = {}) {
  const snapshots = createFixedSnapshotSource(snapshotOf(['WEB_KEY', 'a/b c']))
  const sources = createSourceDirectory(snapshots)
  const isTrustedProxy = addressSet(['127.0.0.0/8'])
  const pages = createWebPages(sources, snapshots, {
    publicAddress: undefined,
    isTls: false,
    isTrustedProxy,
    ...options,
  })
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const route = webRouteOf(path) ?? pages.neutralRouteOf(path)
    if (route === undefined || route.kind === 'tracking') response.writeHead(599).end('not one of these pages')
    else void pages.answer(route, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port,
    snapshots,
    // fetch may set neither Host nor Accept-Encoding.
    get: (path: string, headers: Record<string, string> = {}, method = 'GET') =>
      new Promise<Answer>((resolve, reject) => {
        const request = httpRequest({ host: '127.0.0.1', port, path, headers, method, agent: false }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => {
            const body = Buffer.concat(chunks)
            const json = () => JSON.parse(body.toString()) as Record<string, unknown>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body, json })
          })
        })
        request.on('error', reject)
        request.end()
      }),
    async close() {
      pages.close()
      sources.close()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Served = Awaited<ReturnType<typeof serve>>

function segmentOf(answer: Answer): { apiHost: string; protocol: string; apiKey: string } {
  const { integrations } = answer.json() as { integrations: { 'Segment.io': ReturnType<typeof segmentOf> } }
  return integrations['Segment.io']
}

describe('web pages', () => {
  let served: Served
  before(async () => {
    served = await serve()
  })
  after(() => served.close())

  for (const path of [settingsPath, '/projects/WEB_KEY/settings']) {
    test(`GET ${path} gives settings that point back here, open to every origin, for a minute`, async () => {
      const answer = await served.get(path, { origin: 'http://shop.example.org' })
      assert.equal(answer.status, 200)
      assert.deepEqual(
        { ...segmentOf(answer), versionSettings: 0, unbundledIntegrations: 0, maybeBundledConfigIds: 0 },
        {
          ...{ apiKey: 'WEB_KEY', apiHost: `127.0.0.1:${served.port}/v1`, protocol: 'http', addBundledMetadata: true },
          ...{ versionSettings: 0, unbundledIntegrations: 0, maybeBundledConfigIds: 0 },
        },
      )
      assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
      assert.equal(answer.headers['cache-control'], 'public, max-age=60')
      assert.equal(answer.headers['access-control-allow-origin'], '*')
      assert.equal(answer.headers.vary, 'Origin')
    })
  }

  for (const path of [settingsPath, scriptPath, chunkPath, bundlePath]) {
    test(`${path} is not sent again to who has it`, async () => {
      const { headers, body } = await served.get(path, { 'accept-encoding': 'gzip' })
      const etag = headers.etag ?? ''
      assert.match(etag, /^"[\w-]+"$/)
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const again = await served.get(path, { 'accept-encoding': 'gzip', 'if-none-match': known })
        assert.deepEqual([again.status, again.body.byteLength, again.headers.etag], [304, 0, etag], known)
        assert.equal(again.headers['access-control-allow-origin'], '*')
      }
      const other = await served.get(path, { 'accept-encoding': 'gzip', 'if-none-match': '"other"' })
      assert.deepEqual([other.status, other.body], [200, body])
    })

    test(`HEAD ${path} answers as GET does, without a body`, async () => {
      const [head, get] = [await served.get(path, {}, 'HEAD'), await served.get(path)]
      assert.deepEqual([head.status, head.body.byteLength], [200, 0])
      assert.equal(head.headers['content-length'], String(get.body.byteLength))
      assert.equal(head.headers.etag, get.headers.etag)
    })

    test(`OPTIONS ${path} lets a page send what headers it likes`, async () => {
      const answer = await served.get(
        path,
        { origin: 'http://a.example', 'access-control-request-method': 'GET' },
        'OPTIONS',
      )
      assert.equal(answer.status, 200)
      assert.equal(answer.headers['access-control-allow-origin'], 'http://a.example')
    })

    test(`PUT ${path} is refused`, async () => {
      const answer = await served.get(path, {}, 'PUT')
      assert.deepEqual([answer.status, answer.json()['code']], [405, 'method_not_allowed'])
    })
  }

  for (const path of [scriptPath, '/analytics.js/v1/WEB_KEY/platform/analytics.min.js']) {
    test(`GET ${path} gives the library with the key in it, gzipped to who takes that`, async () => {
      const plain = await served.get(path)
      const gzipped = await served.get(path, { 'accept-encoding': 'br, gzip;q=0.8' })
      assert.equal(plain.headers['content-type'], 'text/javascript; charset=utf-8')
      assert.equal(plain.headers['content-encoding'], undefined)
      assert.equal(gzipped.headers['content-encoding'], 'gzip')
      assert.equal(gzipped.headers.vary, 'Accept-Encoding')
      assert.deepEqual(gunzipSync(gzipped.body), plain.body)
      assert.match(plain.body.toString(), /analyticsWriteKey="WEB_KEY"/)
      assert.equal(plain.headers['cache-control'], 'public, max-age=300')
      const refused = await served.get(path, { 'accept-encoding': 'gzip;q=0' })
      assert.equal(refused.headers['content-encoding'], undefined)
    })
  }

  for (const path of [bundlePath, sharedPath, `/next-integrations/actions/aGVhcA/${heapFile}`]) {
    test(`${path} is code for a page, in the one charset that it is written in, to be kept for ever`, async () => {
      const plain = await served.get(path)
      assert.equal(plain.status, 200)
      assert.equal(plain.headers['content-type'], 'text/javascript; charset=utf-8')
      assert.equal(plain.headers['cache-control'], 'public, max-age=31536000, immutable')
      assert.equal(plain.headers['access-control-allow-origin'], '*')
      const gzipped = await served.get(path, { 'accept-encoding': 'gzip' })
      assert.equal(gzipped.headers['content-encoding'], 'gzip')
      assert.deepEqual(gunzipSync(gzipped.body), plain.body)
    })
  }

  for (const path of [
    `${bundlePath}.map`,
    '/next-integrations/actions/heap/other.js',
    '/next-integrations/actions/..%2f..%2fcjs/index.js',
    `/next-integrations/actions/unknown/${heapFile}`,
  ]) {
    test(`${path} is not there`, async () => {
      assert.equal((await served.get(path)).status, 404)
    })
  }

  describe('below the neutral folder of a write key', () => {
    const folder = `/${neutralFolderOf('WEB_KEY')}`

    test('settings lead back into the folder', async () => {
      const answer = await served.get(`${folder}/s/WEB_KEY`)
      assert.equal(segmentOf(answer).apiHost, `127.0.0.1:${served.port}${folder}`)
    })

    test('the script, its chunks and the bundles are the ones of the usual paths', async () => {
      const script = await served.get(`${folder}/m.js`)
      assert.ok(script.body.includes('window.analyticsWriteKey="WEB_KEY"'))
      const [chunk, usualChunk] = [await served.get(`${folder}/c/34b193ada8fe288d1bd1.js`), await served.get(chunkPath)]
      assert.deepEqual(chunk.body, usualChunk.body)
      const bundle = await served.get(`${folder}/d/aGVhcA/${heapFile}`)
      assert.equal(bundle.status, 200)
      assert.equal((await served.get(`${folder}/d/688/${sharedPath.split('/').at(-1)}`)).status, 200)
    })

    test('of no source, nothing is there', async () => {
      assert.equal((await served.get(`/${neutralFolderOf('ANOTHER')}/m.js`)).status, 599)
    })
  })

  test('chunks may be kept for ever', async () => {
    const { status, headers } = await served.get(chunkPath)
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal(headers['cross-origin-resource-policy'], 'cross-origin')
    const map = await served.get(`${chunkPath}.map`)
    assert.equal(map.headers['content-type'], 'application/json; charset=utf-8')
  })

  for (const name of [
    'none.bundle.js',
    '..%2f..%2f..%2fpackage.json',
    '%2e%2e%2fstandalone.js',
    'standalone.js',
    '%',
    '',
  ]) {
    test(`/analytics-next/bundles/${name} is not there`, async () => {
      const answer = await served.get(`/analytics-next/bundles/${name}`, { origin: 'http://a.example' })
      assert.deepEqual([answer.status, answer.json()['code']], [404, 'not_found'])
      assert.equal(answer.headers['access-control-allow-origin'], 'http://a.example')
    })
  }

  for (const path of [settingsPath, scriptPath, '/demo/WEB_KEY'].map((path) => path.replace('WEB_KEY', 'NO_KEY'))) {
    test(`${path} says that no source has the key`, async () => {
      const answer = await served.get(path, { origin: 'http://a.example' })
      assert.deepEqual([answer.status, answer.json()['code']], [404, 'unknown_write_key'])
      assert.equal(answer.headers['content-type'], 'application/json')
      assert.equal(answer.headers['access-control-allow-origin'], 'http://a.example')
    })
  }

  test('a key is read percent-decoded', async () => {
    assert.equal(segmentOf(await served.get('/v1/projects/a%2Fb%20c/settings')).apiKey, 'a/b c')
  })

  test('a page that came over https is never told http', async () => {
    for (const headers of [{ origin: 'https://shop.example.org' }, { referer: 'https://shop.example.org/cart' }])
      assert.equal(segmentOf(await served.get(settingsPath, headers)).protocol, 'https')
    assert.equal(segmentOf(await served.get(settingsPath, { origin: 'http://shop.example.org' })).protocol, 'http')
  })

  test('behind a trusted proxy, the address is the one the client used', async () => {
    const headers = { 'x-forwarded-host': 'events.example.org, inner', 'x-forwarded-proto': 'https, http' }
    const { apiHost, protocol } = segmentOf(await served.get(settingsPath, headers))
    assert.deepEqual([apiHost, protocol], ['events.example.org/v1', 'https'])
  })

  test('behind a trusted proxy that takes a path off, the path is in the address', async () => {
    const headers = { 'x-forwarded-host': 'shop.example.org', 'x-forwarded-prefix': '/collect/' }
    assert.equal(segmentOf(await served.get(settingsPath, headers)).apiHost, 'shop.example.org/collect/v1')
    for (const prefix of ['collect', '/a"b', '//evil.example.org', '/a/../b?c'])
      assert.equal((await served.get(settingsPath, { 'x-forwarded-prefix': prefix })).status, 400, prefix)
  })

  test('a host that is none never reaches an answer', async () => {
    for (const host of ['a";alert(1)//', 'a/b', 'a b', '<b>', 'a:b'])
      assert.equal((await served.get(settingsPath, { 'x-forwarded-host': host })).status, 400, host)
  })

  test('the demo page comes with its policy and is not kept', async () => {
    const { status, headers, body } = await served.get('/demo/WEB_KEY')
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'text/html; charset=utf-8')
    assert.match(
      String(headers['content-security-policy']),
      new RegExp(`connect-src 'self' http://127.0.0.1:${served.port};`),
    )
    assert.equal(headers['cache-control'], 'no-store')
    assert.match(body.toString(), /Web shop/)
  })
})

test('a key that is taken away has no settings any more', async () => {
  const served = await serve()
  try {
    assert.equal((await served.get(settingsPath)).status, 200)
    served.snapshots.replace({ ...snapshotOf(['NEW_KEY']), number: 2 })
    assert.equal((await served.get(settingsPath)).status, 404)
    assert.equal((await served.get('/v1/projects/NEW_KEY/settings')).status, 200)
  } finally {
    await served.close()
  }
})

test('the public address wins over what a request says, and may have a path', async () => {
  const served = await serve({ publicAddress: parsePublicUrl('https://shop.example.org/collect/') })
  try {
    const { apiHost, protocol } = segmentOf(await served.get(settingsPath, { 'x-forwarded-host': 'other.example.org' }))
    assert.deepEqual([apiHost, protocol], ['shop.example.org/collect/v1', 'https'])
  } finally {
    await served.close()
  }
})

test('forwarded headers of a stranger are not believed', async () => {
  const served = await serve({ isTrustedProxy: () => false })
  try {
    const headers = { 'x-forwarded-host': 'evil.example.org', 'x-forwarded-proto': 'https' }
    const { apiHost, protocol } = segmentOf(await served.get(settingsPath, headers))
    assert.deepEqual([apiHost, protocol], [`127.0.0.1:${served.port}/v1`, 'http'])
  } finally {
    await served.close()
  }
})

test('with a certificate of its own, the door tells https', async () => {
  const served = await serve({ isTls: true })
  try {
    assert.equal(segmentOf(await served.get(settingsPath)).protocol, 'https')
  } finally {
    await served.close()
  }
})
