/** The source debugger, as people use it: what came in, as it was sent and as it went on, by the API, live, and on the command line. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { SamplingAnswer, SourceEvent } from '../../src/api/index.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

interface Answer {
  source: string
  sampling: SamplingAnswer
  events: SourceEvent[]
  next: string | null
}

let platform: Platform
const token = { authorization: 'Bearer ops-token' }

before(async () => {
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
tokens: { ops: { token: ops-token } }
sources:
  api: { type: http-api, writeKeys: [API_KEY], schema: { blockedEvents: [Debug Ping], forwardBlockedEventsTo: audit } }
  audit: { type: http-api, writeKeys: [AUDIT_KEY] }
  other: { type: http-api, writeKeys: [OTHER_KEY] }
`,
  })
})
after(() => platform.dispose())

async function send(messages: unknown[], writeKey = 'API_KEY'): Promise<void> {
  const body = JSON.stringify({ batch: messages, writeKey })
  const response = await fetch(`${platform.url}/v1/batch`, { method: 'POST', body })
  assert.equal(response.status, 200)
}

const track = (messageId: string, event: unknown = 'Ordered') => ({ type: 'track', messageId, userId: 'u-1', event })

async function ask(query = '', source = 'api'): Promise<Answer> {
  const response = await fetch(`${platform.url}/tributary/v1/sources/${source}/events${query}`, { headers: token })
  const text = await response.text()
  assert.equal(response.status, 200, text)
  return JSON.parse(text) as Answer
}

/** Asks until so many are there. */
async function until(count: number, query = '', source = 'api'): Promise<Answer> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await ask(query, source)
    if (answer.events.length >= count) return answer
    await wait(50)
  }
  throw new Error(`${count} events did not come`)
}

interface ServerSentEvent {
  event: string
  id?: string
  data: string
}

/** A client of server-sent events that reads as it is asked. */
async function listen(query = '', headers: Record<string, string> = {}) {
  const request = get(`${platform.url}/tributary/v1/sources/api/events/live${query}`, {
    headers: { ...token, ...headers },
    agent: false,
  })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  assert.deepEqual([response.statusCode, response.headers['content-type']], [200, 'text/event-stream; charset=utf-8'])
  const events = read(response)
  return {
    leave: () => request.destroy(),
    /** The next event of this kind; undefined at the end. */
    async next(kind = 'message'): Promise<ServerSentEvent | undefined> {
      for (;;) {
        const { value, done } = await events.next()
        if (done) return undefined
        if (value.event === kind) return value
      }
    },
  }
}

async function* read(response: IncomingMessage): AsyncGenerator<ServerSentEvent, undefined> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield serverSentEvent(text.slice(0, end))
      text = text.slice(end + 2)
    }
  }
  return undefined
}

function serverSentEvent(text: string): ServerSentEvent {
  const fields = new Map(
    text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  )
  const id = fields.get('id')
  return {
    event: fields.get('event') ?? 'message',
    data: fields.get('data') ?? '',
    ...(id === undefined ? {} : { id }),
  }
}

test('a good, a duplicate and an invalid message are shown with decision, code, and both forms', async () => {
  await send([
    { ...track('m-1'), properties: { order: 9007199254740993 }, writeKey: 'API_KEY' },
    track('m-1'),
    track('m-2', 7),
  ])
  const { source, sampling, events, next } = await until(3)
  assert.deepEqual([source, sampling.share, sampling.seen, next], ['api', 1, 3, null])
  assert.deepEqual(
    events.map(({ messageId, decision, code }) => [messageId, decision, code]),
    [
      ['m-2', 'rejected', 'event_not_string'],
      ['m-1', 'duplicate', 'duplicate'],
      ['m-1', 'processed', undefined],
    ],
  )
  const [invalid, duplicate, good] = events
  assert.equal(good?.call, `analytics.track('Ordered', {\n  order: 9007199254740992,\n})`)
  assert.equal((good?.raw as Record<string, unknown>)['writeKey'], '***')
  assert.equal((good?.processed as Record<string, unknown>)['version'], 2)
  assert.deepEqual(duplicate?.raw, track('m-1'))
  assert.deepEqual(duplicate?.processed, { code: 'duplicate', messageId: 'm-1', type: 'track' })
  assert.equal(invalid?.call, 'analytics.track(7)')
  assert.ok(!JSON.stringify(events).includes('API_KEY'))
})

test('a blocked event is shown as dropped where it was sent, and as a message of the source that it goes on to', async () => {
  await send([track('b-1', 'Debug Ping')])
  const [blocked] = (await until(1, '?messageId=b-1')).events
  assert.deepEqual([blocked?.decision, blocked?.code, blocked?.name], ['dropped', 'event_setting', 'Debug Ping'])
  assert.deepEqual(blocked?.raw, track('b-1', 'Debug Ping'))
  const [forwarded] = (await until(1, '?name=Debug%20Ping', 'audit')).events
  assert.equal(forwarded?.decision, 'processed')
  assert.equal((forwarded?.raw as { event: string }).event, 'Debug Ping')
})

test('events are searched and paged', async () => {
  await send([
    track('s-1', 'Searched'),
    track('s-2', 'Searched'),
    { type: 'page', messageId: 's-3', anonymousId: 'anon-9', name: 'Home' },
  ])
  await until(1, '?messageId=s-3')
  const ids = async (query: string) => (await ask(query)).events.map(({ messageId }) => messageId)
  assert.deepEqual(await ids('?name=Searched'), ['s-2', 's-1'])
  assert.deepEqual(await ids('?userId=anon-9'), ['s-3'])
  assert.deepEqual(await ids('?q=%22HOME%22'), ['s-3'])
  const first = await ask('?name=Searched&limit=1')
  assert.deepEqual(await ids(`?name=Searched&limit=1&before=${first.next}`), ['s-1'])
})

test('who may not, what is not there and what is no place is said', async () => {
  const status = async (path: string, headers: Record<string, string> = token) => {
    const response = await fetch(`${platform.url}/tributary/v1/sources/${path}`, { headers })
    return [response.status, ((await response.json()) as { code: string }).code]
  }
  assert.deepEqual(await status('api/events', {}), [401, 'unauthorized'])
  assert.deepEqual(await status('api/events/live', {}), [401, 'unauthorized'])
  assert.deepEqual(await status('nowhere/events'), [404, 'source_not_found'])
  assert.deepEqual(await status('nowhere/events/live'), [404, 'source_not_found'])
  const live = `${platform.url}/tributary/v1/sources/api/events/live`
  assert.equal((await fetch(live, { method: 'HEAD', headers: token })).status, 200)
  assert.deepEqual(await status('api/events?before=yesterday'), [400, 'bad_request'])
})

test('events come live, each with an id from which a client goes on that was away', async () => {
  const client = await listen('?name=Live')
  assert.deepEqual(Object.keys(JSON.parse((await client.next('sampling'))!.data) as object).slice(0, 3), [
    'perSecond',
    'seen',
    'kept',
  ])
  await send([track('l-1', 'Live'), track('l-0', 'Quiet')])
  const first = await client.next()
  assert.equal((JSON.parse(first!.data) as SourceEvent).messageId, 'l-1')
  client.leave()
  await send([track('l-2', 'Live')])
  await until(1, '?messageId=l-2')
  const again = await listen('?name=Live', { 'last-event-id': first!.id! })
  await send([track('l-3', 'Live')])
  const [second, third] = [await again.next(), await again.next()]
  assert.deepEqual(
    [second, third].map((event) => (JSON.parse(event!.data) as SourceEvent).messageId),
    ['l-2', 'l-3'],
  )
  again.leave()
})

test('clients that have left make room for others', async () => {
  const clients = await Promise.all(Array.from({ length: 50 }, () => listen()))
  await Promise.all(clients.map((client) => client.next('sampling')))
  const one = await fetch(`${platform.url}/tributary/v1/sources/api/events/live`, { headers: token })
  assert.deepEqual([one.status, ((await one.json()) as { code: string }).code], [503, 'too_many_live_views'])
  for (const client of clients) client.leave()
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(`${platform.url}/tributary/v1/sources/api/events/live`, { headers: token })
    await response.body?.cancel()
    if (response.status === 200) break
    assert.ok(attempt < 100, 'the places were not given back')
    await wait(50)
  }
})

test('a source that sends too much is sampled, and how much is told', async () => {
  const flood = Array.from({ length: 3_000 }, (_, i) => track(`f-${i}`, 'Flood'))
  await send(flood.slice(0, 1_500), 'OTHER_KEY')
  await send(flood.slice(1_500), 'OTHER_KEY')
  const response = async () =>
    (await (await fetch(`${platform.url}/tributary/v1/sources/other/events`, { headers: token })).json()) as Answer
  for (let attempt = 0; attempt < 100 && (await response()).sampling.seen < 3_000; attempt++) await wait(50)
  const { sampling } = await response()
  assert.equal(sampling.seen, 3_000)
  assert.ok(sampling.kept >= 50 && sampling.kept < 500, String(sampling.kept))
  const { stderr } = await platform.cli('events', 'other')
  assert.match(stderr, /A sample: \d+ of 3000 events since 20/)
})

test('the command line shows a line an event, and whole events as JSON', async () => {
  const red = track('c-1', 'Red \u001b[31m "alert"')
  await send([red, track('c-2', ''), red])
  await until(2, '?messageId=c-1')
  const { code, stdout, stderr } = await platform.cli('events', 'api', '--limit', '3')
  assert.equal(code, 0, stderr)
  const lines = stdout.trimEnd().split('\n')
  assert.match(lines[0]!, /^20\S+Z {2}processed {2}track "Red \\u\{1b\}\[31m "alert"" {2}u-1$/)
  assert.match(lines[1]!, /rejected {2}\(event_not_defined\) {2}track {2}u-1$/)
  assert.match(lines[2]!, /duplicate {2}track "Red .* {2}u-1$/)
  const found = await platform.cli('events', 'api', '--id', 'c-1', '--text', 'alert', '--json')
  const events = found.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as SourceEvent)
  assert.deepEqual(
    events.map(({ decision }) => decision),
    ['processed', 'duplicate'],
  )
  assert.deepEqual(events[0]?.raw, red)
  const unknown = await platform.cli('events', 'nowhere')
  assert.deepEqual([unknown.code, unknown.stderr.includes('There are: api, audit, other.')], [1, true])
})

test('--follow goes on with what comes', async () => {
  const launcher = fileURLToPath(new URL('../../bin/tributary.mjs', import.meta.url))
  const environment = { ...process.env, TRIBUTARY_DATA: platform.dataDirectory, TRIBUTARY_PORT: String(platform.port) }
  await send([track('w-1', 'Followed')])
  await until(1, '?messageId=w-1')
  const child = spawn(process.execPath, [launcher, 'events', 'api', '--follow', '--name', 'Followed'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  try {
    assert.match((await lines.next()).value as string, /track "Followed" {2}u-1$/)
    await send([track('w-2', 'Followed')])
    assert.match((await lines.next()).value as string, /processed {2}track "Followed"/)
  } finally {
    child.kill('SIGINT')
  }
})

test('a stop ends live views in good order, and after a start the events are there', async () => {
  const client = await listen()
  await client.next('sampling')
  const { events } = await ask('?limit=1')
  assert.equal(await platform.stop(), 0)
  // In good order: a connection that the door had to cut would be an error here.
  assert.equal(await client.next(), undefined)
  platform = await platform.restart()
  assert.deepEqual((await ask('?limit=1')).events, events)
})
