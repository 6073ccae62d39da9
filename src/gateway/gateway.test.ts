import assert from 'node:assert/strict'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { systemClock, type Clock } from '../base/clock.ts'
import { diskFileSystem, type FileSystem } from '../base/file-system.ts'
import { silentLogger } from '../base/logger.ts'
import { readSecretKey } from '../base/secrets.ts'
import { createMetrics } from '../base/metrics.ts'
import { decodeReceived, openJournal, type Frame, type Journal } from '../journal/index.ts'
import {
  createFixedSnapshotSource,
  defaultDeployment,
  type DeploymentSettings,
  type Snapshot,
  type SourceSnapshot,
} from '../snapshot/index.ts'
import { createGateway, type Gateway } from './index.ts'

const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(key).toString('base64')}` })
const message = { type: 'track', userId: 'u1', event: 'Tested', messageId: 'm1' }

let directory: string
let journal: Journal
let gateway: Gateway
let url: string

interface Setup {
  settings?: Partial<DeploymentSettings>
  source?: Partial<SourceSnapshot>
  workspaceEventsPerSecond?: number
  clock?: Clock
  fileSystem?: FileSystem
  diskReserveBytes?: number
}

async function setUp(setup: Setup = {}): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'tributary-gateway-'))
  let ids = 0
  journal = await openJournal({
    directory,
    fileSystem: setup.fileSystem ?? diskFileSystem,
    clock: systemClock,
    newId: () => `journal-${(ids += 1)}`,
    ...(setup.diskReserveBytes === undefined ? {} : { diskReserveBytes: setup.diskReserveBytes }),
  })
  gateway = await createGateway({
    journal,
    snapshots: createFixedSnapshotSource(snapshotOf(setup)),
    clock: setup.clock ?? systemClock,
    random: Math.random,
    secrets: [readSecretKey('a key of the test')],
    newId: randomUUID,
    log: silentLogger,
    metrics: createMetrics('gateway'),
    partition: 0,
    nextOffsetAtLeast: 0,
    host: '127.0.0.1',
    port: 0,
    controlSocketPath: join(directory, 'control.sock'),
  })
  url = `http://127.0.0.1:${gateway.port}`
}

function snapshotOf(setup: Setup): Snapshot {
  const source = (number: number, slug: string, writeKey: string): SourceSnapshot => ({
    number,
    id: `src_${number}`,
    workspace: 1,
    slug,
    name: slug,
    type: 'http-api',
    isEnabled: true,
    isClientSide: false,
    writeKeys: [writeKey],
    ip: 'keep',
    ...setup.source,
  })
  return {
    number: 1,
    publishedAtMs: 0,
    workspaces: [
      {
        number: 1,
        id: 'ws_1',
        slug: 'acme',
        name: 'Acme',
        ...(setup.workspaceEventsPerSecond === undefined ? {} : { eventsPerSecond: setup.workspaceEventsPerSecond }),
      },
    ],
    sources: [source(1, 'api', 'API_KEY'), source(2, 'other', 'OTHER_KEY')],
    destinations: [],
    warehouses: [],
    settings: { ...defaultDeployment, ...setup.settings },
  }
}

async function tearDown(): Promise<void> {
  await gateway.stop()
  await journal.close()
  await rm(directory, { recursive: true })
}

async function post(path: string, body: unknown, headers: Record<string, string> = basic('API_KEY:')) {
  // fetch takes a Buffer as well; its types know the DOM's names only.
  const sent = (typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)) as string
  const response = await fetch(url + path, { method: 'POST', body: sent, headers, redirect: 'manual' })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: JSON.parse(text) as Record<string, unknown> }
}

async function frames(): Promise<Frame[]> {
  const reader = await journal.openReader('received', 0, 0)
  const items = await reader.read(64 * 1024 * 1024)
  await reader.close()
  return items.filter((item) => item.type === 'frame')
}

describe('the tracking API', () => {
  before(() => setUp())
  after(tearDown)

  const paths = ['identify', 'track', 'page', 'screen', 'group', 'alias', 'i', 't', 'p', 's', 'g', 'a']
  for (const path of paths.flatMap((name) => [`/v1/${name}`, `/v1/${name}/`])) {
    test(`POST ${path} answers exactly 200 {"success":true}`, async () => {
      const { status, text, headers } = await post(path, message)
      assert.deepEqual([status, text, headers.get('content-type')], [200, '{"success":true}', 'application/json'])
    })
  }

  for (const path of ['batch', 'import', 'b'].flatMap((name) => [`/v1/${name}`, `/v1/${name}/`])) {
    test(`POST ${path} takes a batch`, async () => {
      assert.equal((await post(path, { batch: [message, message] })).text, '{"success":true}')
    })
  }

  test('the frame holds the request as it came, with source, time, count and running total', async () => {
    const before = (await frames()).at(-1)
    await post('/v1/batch', { sentAt: 'x', batch: [message, message, message] })
    const frame = (await frames()).at(-1)
    assert.ok(frame !== undefined && before !== undefined)
    const { head, body } = decodeReceived(frame.body)
    assert.equal(head.route, 'batch')
    assert.deepEqual(JSON.parse(body.toString()), { sentAt: 'x', batch: [message, message, message] })
    assert.equal(frame.source, 1)
    assert.equal(frame.index, 3)
    assert.equal(frame.sourceTotal, before.sourceTotal + 3)
    assert.ok(Math.abs(frame.timeMs - Date.now()) < 60_000)
  })

  const keyForms: [string, Record<string, string>, object][] = [
    ['Basic with a colon', basic('API_KEY:'), message],
    ['Basic without the colon', basic('API_KEY'), message],
    ['X-Write-Key', { 'x-write-key': 'API_KEY' }, message],
    ['writeKey in the body', {}, { ...message, writeKey: 'API_KEY' }],
    ['writeKey in the body when the header is empty', basic(':'), { ...message, writeKey: 'API_KEY' }],
  ]
  for (const [form, headers, body] of keyForms) {
    test(`the write key may come as ${form}`, async () => {
      assert.equal((await post('/v1/track', body, headers)).status, 200)
    })
  }

  test('the write key of a batch may stand after the batch or in its first message', async () => {
    assert.equal((await post('/v1/b', `{"batch":[${JSON.stringify(message)}],"writeKey":"API_KEY"}`, {})).status, 200)
    assert.equal((await post('/v1/b', { batch: [{ ...message, writeKey: 'API_KEY' }] }, {})).status, 200)
  })

  test('the header wins over the body', async () => {
    await post('/v1/track', { ...message, writeKey: 'OTHER_KEY' })
    assert.equal((await frames()).at(-1)?.source, 1)
  })

  test('an unknown or missing write key is 401 with code and message, and nothing is stored', async () => {
    const count = (await frames()).length
    for (const headers of [basic('WRONG:'), {}]) {
      const { status, json } = await post('/v1/track', message, headers)
      assert.equal(status, 401)
      assert.equal(json['code'], 'unknown_source')
      assert.equal(json['success'], false)
      assert.equal(typeof json['message'], 'string')
      assert.equal(json['error'], json['message'])
    }
    assert.equal((await frames()).length, count)
  })

  for (const type of [
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=UTF-8',
  ]) {
    test(`the body is JSON also when its type says ${type}`, async () => {
      assert.equal((await post('/v1/track', message, { ...basic('API_KEY:'), 'content-type': type })).status, 200)
    })
  }

  test('gzip is undone, also with chunked transfer', async () => {
    const gzip = { ...basic('API_KEY:'), 'content-encoding': 'gzip' }
    assert.equal((await post('/v1/track', gzipSync(JSON.stringify(message)), gzip)).status, 200)
    const request = httpRequest(`${url}/v1/b`, { method: 'POST', headers: gzip })
    const body = gzipSync(JSON.stringify({ batch: [message] }))
    request.write(body.subarray(0, 20))
    request.end(body.subarray(20))
    const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }]
    response.resume()
    assert.equal(response.statusCode, 200)
    assert.deepEqual(JSON.parse(decodeReceived((await frames()).at(-1)!.body).body.toString()), { batch: [message] })
  })

  const bad: [string, string, string | Buffer, Record<string, string>][] = [
    ['broken JSON', '/v1/track', '{"type":', {}],
    ['an empty body', '/v1/track', '', {}],
    ['an array', '/v1/track', '[]', {}],
    ['null', '/v1/batch', 'null', {}],
    ['a batch that is not an array', '/v1/batch', '{"batch":{}}', {}],
    ['no batch', '/v1/batch', '{}', {}],
    ['invalid UTF-8', '/v1/track', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), {}],
    ['broken gzip', '/v1/track', 'not gzip', { 'content-encoding': 'gzip' }],
    ['another encoding', '/v1/track', '{}', { 'content-encoding': 'br' }],
  ]
  for (const [what, path, body, headers] of bad) {
    test(`${what} is 400 with code and message`, async () => {
      const { status, json } = await post(path, body, { ...basic('API_KEY:'), ...headers })
      assert.equal(status, 400)
      assert.equal(json['code'], 'bad_request')
      assert.equal(typeof json['message'], 'string')
    })
  }

  test('a call of 32,768 bytes is taken and a larger one is 400 message_too_large', async () => {
    const empty = JSON.stringify({ ...message, properties: { fill: '' } }).length
    const sized = (bytes: number) => ({ ...message, properties: { fill: 'x'.repeat(bytes - empty) } })
    assert.equal((await post('/v1/track', sized(32_768))).status, 200)
    const { status, json } = await post('/v1/track', sized(32_769))
    assert.deepEqual([status, json['code'], json['message']], [400, 'message_too_large', 'Exceed payload limit'])
    assert.equal(
      (await post('/v1/track', { ...sized(32_768), writeKey: 'API_KEY' })).status,
      200,
      'the key does not count',
    )
    assert.equal(
      (await post('/v1/batch', { batch: [sized(40_000), message] })).status,
      200,
      'in a batch it is put aside later',
    )
  })

  test('a body of 512 KiB is taken, a larger one is 400 body_too_large, also as a gzip bomb', async () => {
    const sized = (bytes: number) =>
      `{"batch":[${JSON.stringify(message)}],"x":"${'y'.repeat(bytes - JSON.stringify({ batch: [message], x: '' }).length)}"}`
    assert.equal((await post('/v1/batch', sized(524_288))).status, 200)
    assert.equal((await post('/v1/batch', sized(524_289))).json['code'], 'body_too_large')
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 32))
    const { status, json } = await post('/v1/batch', bomb, { ...basic('API_KEY:'), 'content-encoding': 'gzip' })
    assert.deepEqual([status, json['code']], [400, 'body_too_large'])
  })

  test('a preflight names the headers, echoes the origin and can be kept', async () => {
    const response = await fetch(`${url}/v1/t`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://shop.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-retry-count',
      },
    })
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('access-control-allow-origin'), 'https://shop.example')
    const allowed = response.headers.get('access-control-allow-headers')?.toLowerCase() ?? ''
    for (const name of ['authorization', 'content-type', 'x-retry-count']) assert.ok(allowed.includes(name))
    assert.ok(Number(response.headers.get('access-control-max-age')) > 0)
    assert.equal(response.headers.get('vary'), 'Origin')
  })

  test('answers to a page, errors too, can be read by it and expose Retry-After', async () => {
    for (const key of ['API_KEY:', 'WRONG:']) {
      const { headers } = await post('/v1/t', message, { ...basic(key), origin: 'https://shop.example' })
      assert.equal(headers.get('access-control-allow-origin'), 'https://shop.example')
      assert.equal(headers.get('access-control-expose-headers'), 'Retry-After')
    }
  })

  test('metrics of libraries are answered and thrown away', async () => {
    const count = (await frames()).length
    assert.equal((await post('/v1/m', '{"series":[]}', {})).text, '{"success":true}')
    assert.equal((await frames()).length, count)
  })

  test('an unknown path is 404 and a wrong method 405, in JSON', async () => {
    assert.deepEqual(
      [(await post('/v1/nothing', {})).status, (await post('/v1/nothing', {})).json['code']],
      [404, 'not_found'],
    )
    const response = await fetch(`${url}/v1/track`)
    assert.equal(response.status, 405)
    assert.equal(((await response.json()) as { code: string }).code, 'method_not_allowed')
  })

  test('a verbose answer tells the outcome of each message', async () => {
    const { json } = await post(
      '/v1/batch',
      { batch: [message, { type: 'track', userId: 'u', messageId: 'm2' }, 5] },
      { ...basic('API_KEY:'), 'x-tributary-verbose': 'true' },
    )
    assert.deepEqual(json['results'], [
      { index: 0, messageId: 'm1', status: 'accepted' },
      { index: 1, messageId: 'm2', status: 'rejected', code: 'event_not_defined' },
      { index: 2, messageId: null, status: 'rejected', code: 'bad_request' },
    ])
  })

  test('headers that are too large and garbage are answered in JSON', async () => {
    for (const [text, status] of [
      [`POST /v1/track HTTP/1.1\r\nHost: x\r\nX-Big: ${'y'.repeat(40_000)}\r\n\r\n`, '431'],
      ['GARBAGE\r\n\r\n', '400'],
    ] as const) {
      const socket = connect(gateway.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(text)
      let answer = ''
      for await (const chunk of socket) answer += String(chunk)
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
      assert.equal((JSON.parse(answer.split('\r\n\r\n')[1]!) as { code: string }).code, 'bad_request')
    }
  })

  test('health pages answer without any other process; the console answers 503 while control is away', async () => {
    assert.equal((await fetch(`${url}/health/live`)).status, 200)
    assert.equal((await fetch(`${url}/health/ready`)).status, 200)
    const response = await fetch(`${url}/`)
    assert.equal(response.status, 503)
    assert.equal(((await response.json()) as { code: string }).code, 'process_away')
  })

  test('other paths are passed on to the control process, with the client address', async () => {
    const control = createServer((request, response) => {
      response.setHeader('x-seen', `${request.method} ${request.url} ${request.headers['x-forwarded-for']}`)
      request.pipe(response)
    })
    await new Promise<void>((resolve) => control.listen(join(directory, 'control.sock'), resolve))
    const response = await fetch(`${url}/api/x?y=1`, { method: 'POST', body: 'hello' })
    assert.equal(await response.text(), 'hello')
    assert.equal(response.headers.get('x-seen'), 'POST /api/x?y=1 127.0.0.1')
    control.closeAllConnections()
    await new Promise((resolve) => control.close(resolve))
  })
})

describe('limits and settings', () => {
  beforeEach((context) => {
    // Each test sets up its own gateway; the hook only makes sure it is taken down.
    if ('after' in context) context.after(tearDown)
  })

  test('over the rate of a source: 429 with whole seconds to wait; another source is not touched', async () => {
    let nowMs = 1_000_000
    await setUp({ source: { eventsPerSecond: 10 }, clock: { ...systemClock, now: () => nowMs } })
    assert.equal(
      (await post('/v1/batch', { batch: Array(12).fill(message) })).status,
      200,
      'a burst is taken, its debt is paid later',
    )
    const { status, headers, json } = await post('/v1/track', message)
    assert.deepEqual(
      [status, json['code'], headers.get('retry-after'), headers.get('x-ratelimit-reset')],
      [429, 'too_many_requests', '1', '1'],
    )
    assert.equal((await post('/v1/track', message, basic('OTHER_KEY:'))).status, 200)
    nowMs += 1_000
    assert.equal((await post('/v1/track', message)).status, 200)
  })

  test('the rate of a workspace counts all its sources', async () => {
    await setUp({ workspaceEventsPerSecond: 2, clock: { ...systemClock, now: () => 1_000_000 } })
    assert.equal((await post('/v1/batch', { batch: [message, message] })).status, 200)
    assert.equal((await post('/v1/track', message, basic('OTHER_KEY:'))).status, 429)
  })

  test('unknownWriteKey: 200 answers as Segment does and stores nothing', async () => {
    await setUp({ settings: { ingest: { ...defaultDeployment.ingest, unknownWriteKey: 200 } } })
    assert.equal((await post('/v1/track', message, basic('WRONG:'))).text, '{"success":true}')
    assert.deepEqual(await frames(), [])
  })

  test('a disabled source is answered 200 and its messages carry the verdict', async () => {
    await setUp({ source: { isEnabled: false } })
    assert.equal((await post('/v1/track', message)).status, 200)
    assert.equal(decodeReceived((await frames())[0]!.body).head.verdict, 'source_disabled')
  })

  test('below the disk reserve: 503 with Retry-After, and nothing is stored', async () => {
    let freeBytes = 10 ** 12
    await setUp({ fileSystem: { ...diskFileSystem, freeBytes: async () => freeBytes }, diskReserveBytes: 10 ** 9 })
    assert.equal((await post('/v1/track', message)).status, 200)
    freeBytes = 10 ** 6
    let refused = await post('/v1/track', message)
    // The reserve is looked at now and then, not for each request.
    for (let i = 0; i < 200 && refused.status === 200; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      refused = await post('/v1/track', message)
    }
    assert.equal(refused.status, 503)
    assert.equal(refused.json['code'], 'unavailable')
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d{0,2}$/)
    freeBytes = 10 ** 12
    let taken = await post('/v1/track', message)
    for (let i = 0; i < 200 && taken.status !== 200; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      taken = await post('/v1/track', message)
    }
    assert.equal(taken.status, 200, 'it recovers by itself')
  })

  test('more bytes in flight than allowed: 503', async () => {
    await setUp({ settings: { limits: { ...defaultDeployment.limits, inFlightBytesMax: 100 } } })
    const { status, json } = await post('/v1/batch', { batch: Array(10).fill(message) })
    assert.deepEqual([status, json['code']], [503, 'unavailable'])
  })

  test('the client address of a client-side source comes through trusted proxies only', async () => {
    await setUp({ source: { isClientSide: true } })
    await post('/v1/t', message, {
      ...basic('API_KEY:'),
      'x-forwarded-for': '6.6.6.6, 203.0.113.9, 127.0.0.1',
      'user-agent': 'Browser/1',
    })
    const { head } = decodeReceived((await frames())[0]!.body)
    assert.equal(head.ip, '203.0.113.9')
    assert.equal(head.userAgent, 'Browser/1')
  })

  test('totals go on after a restart', async () => {
    await setUp()
    await post('/v1/batch', { batch: [message, message] })
    await post('/v1/track', message, basic('OTHER_KEY:'))
    assert.deepEqual(gateway.totals(), { '1': 2, '2': 1 })
    await gateway.stop()
    gateway = await createGateway({
      journal,
      snapshots: createFixedSnapshotSource(snapshotOf({})),
      clock: systemClock,
      random: Math.random,
      secrets: [readSecretKey('a key of the test')],
      newId: randomUUID,
      log: silentLogger,
      metrics: createMetrics('gateway'),
      partition: 0,
      nextOffsetAtLeast: 0,
      host: '127.0.0.1',
      port: 0,
      controlSocketPath: join(directory, 'control.sock'),
    })
    url = `http://127.0.0.1:${gateway.port}`
    await post('/v1/track', message)
    assert.deepEqual(gateway.totals(), { '1': 3, '2': 1 })
    assert.equal((await frames()).at(-1)?.sourceTotal, 3)
  })
})
