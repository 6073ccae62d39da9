/** The webhook as receivers see it (contract: destinations.md §7, §9.2, §10.1, §12), and the config file of the design, word for word,
 *  with its staging sink. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fakeVendor, type FakeVendor, type VendorAnswer, type VendorRequest } from '../support/fake-vendor.ts'
import { startPlatform, type Platform } from '../support/platform.ts'
import { assertBalanced, type ConnectionStatus, type Status } from '../support/accounting.ts'

const sign = (text: string) => createHmac('sha1', 'hush-42').update(text).digest('hex')

let vendor: FakeVendor
before(async () => {
  vendor = await fakeVendor()
})
after(() => vendor.close())

async function send(platform: Platform, writeKey: string, batch: object[]): Promise<void> {
  const body = JSON.stringify({ writeKey, batch })
  assert.equal((await fetch(`${platform.url}/v1/batch`, { method: 'POST', body })).status, 200)
}

async function ended(platform: Platform, received: number): Promise<Map<string, ConnectionStatus>> {
  for (let attempt = 0; ; attempt++) {
    const status = (await platform.json('status')) as Status
    assertBalanced(status)
    const connections = status.connections.filter(({ destination }) => destination !== undefined)
    if (connections.every((one) => one.received === received && one.waiting === 0))
      return new Map(connections.map((one) => [one.destination ?? '', one]))
    assert.ok(attempt < 200, JSON.stringify(status))
    await wait(100)
  }
}

test('the config file of the design: mapping, filter, signature and staging sink', async (t) => {
  vendor.answerWith(200)
  const platform = await startPlatform({
    environment: { CI_TOKEN: 'token-of-ci', HOOK_SECRET: 'hush-42' },
    config: `
workspace: { name: Acme, slug: acme }
tokens:                                  # Public API tokens, for automation
  ci: { token: \${CI_TOKEN}, role: Workspace Owner }
sources:
  web: { name: Website, type: javascript, writeKeys: [WEB_KEY] }
  api: { name: Backend, type: http-api,   writeKeys: [API_KEY] }
destinations:
  crm-hook:
    source: web                          # one source, as in the reference product
    type: webhook
    enabled: true
    settings: { url: https://example.org/hook, sharedSecret: \${HOOK_SECRET} }
    mappings:                            # absent: the destination's presets
      - { action: send, trigger: 'type = "track"', fields: { url: https://example.org/hook, method: POST } }
    filters:
      - { title: drop staff, if: 'match(context.traits.email, "*@acme.example")', actions: [{ type: DROP }] }
warehouses:
  local: { type: duckdb, sources: [web, api], settings: { path: warehouse.duckdb }, schedule: every 1m }
egress:
  allow: [127.0.0.1/32]
  sink: http://127.0.0.1:${vendor.port}
limits: { eventsPerSecond: 1000 }
`,
  })
  t.after(() => platform.dispose())
  await send(platform, 'WEB_KEY', [
    { type: 'track', messageId: 'd1', userId: 'u1', event: 'Déjà Vu' },
    {
      type: 'track',
      messageId: 'd2',
      userId: 'u2',
      event: 'Seen',
      context: { traits: { email: 'x@acme.example' } },
    },
    { type: 'page', messageId: 'd3', userId: 'u1' },
  ])
  const hook = (await ended(platform, 3)).get('crm-hook')
  assert.deepEqual([hook?.delivered, hook?.dropped], [1, { FILTERED_BY_RULES: 1, NO_MATCHING_MAPPING: 1 }])
  const [request, ...others] = vendor.requests
  assert.ok(request !== undefined && others.length === 0)
  assert.deepEqual([request.method, request.path], ['POST', '/hook'])
  assert.equal(request.headers['x-tributary-original-url'], 'https://example.org/hook')
  assert.equal(request.headers['x-signature'], sign(request.body))
  assert.equal(request.headers['content-type'], 'application/json')
  assert.match(request.headers['user-agent'] ?? '', /^Tributary\/\S+ \(compatible; Segment\.io\/1\.0\)$/)
  assert.equal((JSON.parse(request.body) as { event: string }).event, 'Déjà Vu')

  const exported = await platform.cli('export')
  for (const text of [
    exported.stdout,
    platform.stdout(),
    platform.stderr(),
    (await platform.cli('trace', 'd1')).stdout,
  ])
    assert.doesNotMatch(text, /hush-42|token-of-ci/)
  assert.match(exported.stdout, /sharedSecret: \$\{HOOK_SECRET\}/)
})

/** What is answered first (200 ever after), and what comes of it: delivered at the second try, or discarded under the code. */
const first: Record<string, { answer: VendorAnswer; code?: string }> = {
  s408: { answer: 408 },
  s423: { answer: 423 },
  s429: { answer: { status: 429, headers: { 'retry-after': '1' } } },
  s500: { answer: 500 },
  s503: { answer: 503 },
  s511: { answer: 511 },
  hangs: { answer: 'hang' },
  resets: { answer: 'reset' },
  s301: { answer: { status: 301, headers: { location: '/hook/elsewhere' } }, code: '301' },
  's307-away': { answer: { status: 307, headers: { location: 'http://127.0.0.2/elsewhere' } }, code: '307' },
  s400: { answer: 400, code: '400' },
  s401: { answer: 401, code: '401' },
  s404: { answer: 404, code: '404' },
  s410: { answer: 410, code: '410' },
  s501: { answer: 501, code: '501' },
}

test('each kind of answer has its class, and batches are signed by their first element', async (t) => {
  const seen = new Map<string, VendorRequest[]>()
  vendor.answerWith((request) => {
    const name = request.path.split('/')[2] ?? ''
    const requests = seen.get(name) ?? []
    seen.set(name, [...requests, request])
    return requests.length === 0 ? (first[name]?.answer ?? 200) : 200
  })
  const plain = Object.keys(first).map(
    (name) => `  ${name}: { source: api, type: webhook, settings: { url: "${vendor.url}/${name}" } }`,
  )
  const platform = await startPlatform({
    environment: { HOOK_SECRET: 'hush-42' },
    config: `
sources:
  api: { name: Backend, type: http-api, writeKeys: [API_KEY] }
destinations:
${plain.join('\n')}
  batches:
    source: api
    type: webhook
    settings: { sharedSecret: "\${HOOK_SECRET}" }
    delivery: { batchMaxWaitMs: 300 }
    mappings:
      - action: send
        trigger: type = "track"
        fields:
          url: { '@template': '${vendor.url}/batches?user={{userId}}' }
          method: PUT
          headers: { X-Team: growth }
          batch_size: 10
          data: { id: { '@path': $.messageId }, user: { '@path': $.userId } }
egress: { allow: [127.0.0.1/32] }
delivery: { retryFirstDelayMs: 100, retryMaxDelayMs: 200, requestTimeoutMs: 500 }
`,
  })
  t.after(() => platform.dispose())
  await send(
    platform,
    'API_KEY',
    Array.from({ length: 15 }, (_, i) => ({
      type: 'track',
      messageId: `c${i}`,
      userId: `u${i % 2}`,
      event: 'Classed',
    })),
  )
  const connections = await ended(platform, 15)
  for (const [name, { code }] of Object.entries(first)) {
    const { delivered, discarded, deadLetters } = connections.get(name) ?? assert.fail(name)
    const expected = code === undefined ? [15, {}, 0] : [14, { [code]: 1 }, 1]
    assert.deepEqual([delivered, discarded, deadLetters], expected, name)
  }
  assert.equal(seen.has('elsewhere'), false)
  const limited = seen.get('s429') ?? []
  const firstId = (request: VendorRequest | undefined) =>
    (JSON.parse(request?.body ?? '{}') as { messageId?: string }).messageId
  const again = limited.findLast((request) => firstId(request) === firstId(limited[0]))
  assert.ok(again !== undefined && again.atMs - limited[0]!.atMs >= 1000, 'Retry-After is kept')

  const batches = vendor.requests.filter(({ path }) => path.startsWith('/hook/batches'))
  assert.deepEqual(
    batches
      .map(({ method, path, headers, body }) => [
        method,
        path,
        headers['x-team'],
        (JSON.parse(body) as unknown[]).length,
      ])
      .sort(),
    [
      ['PUT', '/hook/batches?user=u0', 'growth', 8],
      ['PUT', '/hook/batches?user=u1', 'growth', 7],
    ],
  )
  for (const { body, headers } of batches) {
    const [element] = JSON.parse(body) as object[]
    assert.equal(headers['x-signature'], sign(JSON.stringify(element)))
  }
})
