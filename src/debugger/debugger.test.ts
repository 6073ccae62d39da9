import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { createBed, track, type Bed } from '../pipeline/testing/pipeline-bed.ts'
import { createDebugger, type DebuggerParts, type Followed, type SourceDebugger } from './debugger.ts'
import type { KeptMessage } from './kept-message.ts'
import type { MessageFilter } from './message-filter.ts'

let bed: Bed
let opened: SourceDebugger[]

beforeEach(async () => {
  bed = await createBed()
  opened = []
})
afterEach(async () => {
  for (const each of opened) await each.stop()
  await bed.end()
})

function open(parts: Partial<DebuggerParts> = {}): SourceDebugger {
  const made = createDebugger({
    journal: bed.journal,
    path: join(bed.directory, 'debugger.sqlite'),
    clock: { ...systemClock, now: () => bed.clock.nowMs },
    log: silentLogger,
    sources: async () => new Set([1, 2]),
    roundMs: 1,
    ...parts,
  })
  opened.push(made)
  return made
}

async function close(one: SourceDebugger): Promise<void> {
  opened = opened.filter((each) => each !== one)
  await one.stop()
}

/** Sends each list as a request and waits until the pipeline has decided all. */
async function decided(...requests: Parameters<Bed['send']>[0][]): Promise<void> {
  const pipeline = await bed.start()
  for (const request of requests) await bed.send(request)
  await bed.settled(pipeline)
  await pipeline.stop()
}

function found(one: SourceDebugger, filter: MessageFilter = {}, limit = 500): KeptMessage[] {
  return one.find(1, filter, { limit }).messages
}

const ids = (messages: KeptMessage[]) => messages.map(({ messageId }) => messageId)
const parsed = (text: string | null | undefined) => JSON.parse(text ?? 'null') as Record<string, unknown>

test('each message of a batch is shown as it was sent and as it went on, with the decision and its code', async () => {
  const good = track('m1', { properties: { total: 3 } })
  await decided({ messages: [good, track('m1'), track('m2', { event: 7 }), 'no object'] }, { messages: [] })
  const one = open()
  await one.catchUp()
  const [empty, wrong, invalid, duplicate, first] = found(one)
  assert.deepEqual(
    [first, duplicate, invalid, wrong, empty].map((each) => [each?.decision, each?.code]),
    [
      ['processed', undefined],
      ['duplicate', 'duplicate'],
      ['rejected', 'event_not_string'],
      ['rejected', 'bad_request'],
      ['rejected', 'empty_batch'],
    ],
  )
  assert.deepEqual(parsed(first?.raw), good)
  assert.equal(parsed(first?.processed)['version'], 2)
  assert.deepEqual([first?.name, first?.userId, first?.type], ['Order Completed', 'u1', 'track'])
  assert.deepEqual([duplicate?.name, duplicate?.messageId], ['Order Completed', 'm1'])
  assert.deepEqual([invalid?.messageId, parsed(invalid?.raw)['event']], ['m2', 7])
  assert.deepEqual([wrong?.raw, empty?.raw], ['"no object"', '[]'])
})

test('a write key is masked wherever it stands, in both forms', async () => {
  const key = 'a-credential'
  const message = {
    ...track('m1', { context: { writeKey: key }, properties: { list: [{ writeKey: key }] } }),
    writeKey: key,
  }
  await decided(
    { messages: [message, { ...message, messageId: 'm2', event: '' }] },
    { route: 'track', body: Buffer.from(`{"write\\u004bey":"${key}","event":"E","userId":"u"}`), count: 1 },
  )
  const one = open()
  await one.catchUp()
  assert.equal(found(one).length, 3)
  for (const { raw, processed } of found(one)) assert.ok(!`${raw}${processed}`.includes(key))
  assert.equal(parsed(found(one)[0]?.raw)['writeKey'], '***')
})

test('messages are found by name, by user, by id and by text of what was sent', async () => {
  await decided({
    messages: [
      track('m1', { event: 'A', userId: 'u1' }),
      track('m2', { event: 'B', userId: undefined, anonymousId: 'anon' }),
      { type: 'page', name: 'A', messageId: 'm3', userId: 'u1', properties: { note: 'Zürich' } },
      { type: 'identify', messageId: 'm4', userId: 12, traits: { a: 1 } },
    ],
  })
  const one = open()
  await one.catchUp()
  assert.deepEqual(ids(found(one, { name: 'A' })), ['m3', 'm1'])
  assert.deepEqual(ids(found(one, { userId: 'anon' })), ['m2'])
  assert.deepEqual(ids(found(one, { userId: '12' })), ['m4'])
  assert.deepEqual(ids(found(one, { messageId: 'm2' })), ['m2'])
  assert.deepEqual(ids(found(one, { text: 'ZÜRICH' })), ['m3'])
  assert.deepEqual(ids(found(one, { name: 'A', text: '"track"' })), ['m1'])
  assert.deepEqual(ids(found(one, { name: 'a' })), [])
})

test('pages follow each other without gap or repetition', async () => {
  await decided({ messages: Array.from({ length: 25 }, (_, i) => track(`m${i}`, { event: i % 2 ? 'Odd' : 'Even' })) })
  const one = open()
  await one.catchUp()
  const seen: (string | undefined)[] = []
  let page = one.find(1, { name: 'Even' }, { limit: 4 })
  for (;;) {
    seen.push(...ids(page.messages))
    if (!page.hasMore) break
    page = one.find(1, { name: 'Even' }, { limit: 4, before: page.messages.at(-1)! })
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 13 }, (_, i) => `m${24 - 2 * i}`),
  )
})

test('above its rate a source is sampled, and how many came is told exactly', async () => {
  const messages = (from: number) => Array.from({ length: 200 }, (_, i) => track(`m${from + i}`))
  await decided({ messages: messages(0) }, { source: 2, messages: messages(200) }, { messages: messages(400) })
  const one = open()
  await one.catchUp()
  assert.deepEqual(
    [1, 2].map((source) => [one.sampling(source).seen, one.sampling(source).kept]),
    [
      [400, 50],
      [200, 50],
    ],
  )
})

test('after a restart it goes on where it was, and shows nothing twice', async () => {
  await decided({ messages: [track('m1'), track('m2')] })
  const first = open()
  await first.catchUp()
  await close(first)
  await decided({ messages: [track('m3')] })
  const second = open()
  await second.catchUp()
  assert.deepEqual(ids(found(second)), ['m3', 'm2', 'm1'])
  assert.deepEqual([second.sampling(1).seen, second.sampling(1).kept], [3, 3])
})

test('when it comes back to a large backlog it begins near the end', async () => {
  const messages = (from: number) =>
    Array.from({ length: 1_000 }, (_, i) => track(`m${from + i}`, { event: `E${from}` }))
  await decided(
    ...Array.from({ length: 11 }, (_, i) => ({
      receivedAtMs: bed.clock.nowMs + i * 1_000,
      messages: messages(i * 1_000),
    })),
  )
  const one = open()
  await one.catchUp()
  assert.equal(found(one, { name: 'E0' }).length, 0)
  assert.equal(found(one, { name: 'E1000' }).length, 50)
  assert.equal(found(one, { name: 'E10000' }).length, 50)
})

test('a request that is gone from `received` leaves the processed form, and says why the other is missing', async () => {
  await decided({ messages: [track('m1')] })
  const journal = { ...bed.journal, readOne: async () => undefined }
  const one = open({ journal })
  await one.catchUp()
  const [message] = found(one)
  assert.deepEqual([message?.raw, message?.rawMissing, message?.name], [null, 'expired', 'Order Completed'])
  assert.deepEqual(ids(found(one, { text: 'order completed' })), ['m1'])
})

test('a form that is too large is left out', async () => {
  const large = track('m1', { properties: { text: 'x'.repeat(300_000) } })
  await decided({ messages: [large, track('m2')], head: { messageBytesMax: 500_000 } })
  const one = open()
  await one.catchUp()
  const [small, long] = found(one)
  assert.deepEqual(
    [long?.raw, long?.rawMissing, long?.processedMissing, long?.name],
    [null, 'too_large', 'too_large', 'Order Completed'],
  )
  assert.equal(parsed(small?.raw)['messageId'], 'm2')
})

test('hostile names, ids and keys are kept as they are', async () => {
  const names = ["'; DROP TABLE messages; --", '__proto__', 'a\0b', '\ud800', '\u001b[31mred', '%', '🦊'.repeat(900)]
  const messages = names.map((event, i) =>
    track(`m${i}`, { event, userId: event, properties: JSON.parse('{"__proto__":{"a":1}}') }),
  )
  await decided({ messages })
  const one = open()
  await one.catchUp()
  assert.equal(found(one).length, names.length)
  for (const [i, name] of names.entries()) {
    assert.deepEqual(ids(found(one, { name, userId: name })), [`m${i}`], name)
    assert.match(found(one, { name })[0]?.raw ?? '', /"__proto__":\{"a":1\}/)
  }
})

test('a damaged frame and a gap are passed over', async () => {
  await decided({ messages: [track('m1'), track('m2'), track('m3')] })
  const journal: typeof bed.journal = {
    ...bed.journal,
    async openReader(...args) {
      const reader = await bed.journal.openReader(...args)
      return {
        get offset() {
          return reader.offset
        },
        seek: (offset) => reader.seek(offset),
        close: () => reader.close(),
        async read(bytes) {
          const items = await reader.read(bytes)
          return items.map((item) =>
            item.offset === 0
              ? { type: 'gap', offset: 0, count: 1, reason: 'corrupt' }
              : item.type === 'frame' && item.offset === 1
                ? { ...item, isDamaged: true, body: Buffer.from('{"bro') }
                : item,
          )
        },
      }
    },
  }
  const one = open({ journal })
  await one.catchUp()
  assert.deepEqual(ids(found(one)), ['m3'])
})

test('who follows gets what comes, filtered, from the moment of the call', async () => {
  await decided({ messages: [track('old')] })
  const one = open()
  await one.catchUp()
  const items = one.follow(1, { name: 'Wanted' })[Symbol.asyncIterator]()
  one.start()
  await decided(
    { messages: [track('m1'), track('m2', { event: 'Wanted' })] },
    { source: 2, messages: [track('m3', { event: 'Wanted' })] },
  )
  assert.deepEqual(idsOf(await items.next()), ['m2'])
  await decided({ messages: [track('m4', { event: 'Wanted' })] })
  assert.deepEqual(idsOf(await items.next()), ['m4'])
})

test('who comes back with the place of the last message gets all that came meanwhile', async () => {
  await decided({ messages: [track('m1'), track('m2')] })
  const first = open()
  await first.catchUp()
  const [last] = found(first)
  await close(first)
  await decided({ messages: [track('m3'), track('m4')] })
  const second = open()
  await second.catchUp()
  const items = second.follow(1, {}, { after: last! })[Symbol.asyncIterator]()
  assert.deepEqual(idsOf(await items.next()), ['m3', 'm4'])
})

test('who is slower than the store is told how many it has missed', async () => {
  const one = open({ limits: { messagesPerSource: 5 } })
  await decided({ messages: [track('m0')] })
  await one.catchUp()
  const items = one.follow(1, {})[Symbol.asyncIterator]()
  await decided({ messages: Array.from({ length: 20 }, (_, i) => track(`m${i + 1}`)) })
  await one.catchUp()
  assert.deepEqual((await items.next()).value, { type: 'skipped', count: 15 })
  assert.deepEqual(idsOf(await items.next()), ['m16', 'm17', 'm18', 'm19', 'm20'])
})

test('followers are bounded, leave with their signal, and are ended at the stop', async () => {
  const one = open({ followersMax: 2 })
  const leaving = new AbortController()
  const first = one.follow(1, {}, { signal: leaving.signal })[Symbol.asyncIterator]().next()
  const second = one.follow(1, {})[Symbol.asyncIterator]().next()
  assert.throws(() => one.follow(1, {}), { code: 'too_many_live_views' })
  leaving.abort()
  assert.equal((await first).done, true)
  const third = one.follow(1, {})[Symbol.asyncIterator]().next()
  await close(one)
  assert.deepEqual([(await second).done, (await third).done], [true, true])
})

test('silence is broken by a sign of life', async () => {
  const timers: (() => void)[] = []
  const clock = { ...systemClock, after: (_ms: number, run: () => void) => ({ timer: timers.push(run) }) }
  const one = open({ clock })
  const next = one.follow(1, {})[Symbol.asyncIterator]().next()
  while (timers.length === 0) await new Promise(setImmediate)
  timers[0]!()
  assert.deepEqual((await next).value, { type: 'alive' })
})

function idsOf(result: IteratorResult<Followed>): (string | undefined)[] {
  const item = result.value as Followed
  assert.equal(item.type, 'messages')
  return item.type === 'messages' ? ids(item.messages) : []
}

test('a file that cannot be written is left for a new one, and the messages after that are kept', async () => {
  const one = open()
  await decided({ messages: [track('m1')] })
  await one.catchUp()
  const path = join(bed.directory, 'debugger.sqlite')
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  await decided({ messages: [track('m2')] })
  await one.catchUp()
  await decided({ messages: [track('m3')] })
  await one.catchUp()
  assert.deepEqual(ids(found(one)), ['m3'])
  other.close()
})
