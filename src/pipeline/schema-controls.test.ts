/** What the schema of a source refuses: events, traits, and where blocked events go instead. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { decodeReceived, eventKinds, type Decision, type Frame } from '../journal/index.ts'
import type { SchemaControls } from '../snapshot/index.ts'
import { createDedupeMemory } from './dedupe-memory.ts'
import type { Pipeline } from './consume.ts'
import { aTime, createBed, sourceWith, track, type Bed } from './testing/pipeline-bed.ts'

async function aBed(t: TestContext, schema: Partial<SchemaControls>): Promise<Bed> {
  const bed = await createBed()
  t.after(() => bed.end())
  bed.configure([sourceWith(1, schema), sourceWith(2)])
  return bed
}

/** Lets a pipeline decide what was sent, and says what it came to, message by message. */
async function decide(bed: Bed, ask?: (pipeline: Pipeline) => unknown): Promise<Frame[]> {
  const pipeline = await bed.start()
  await bed.settled(pipeline)
  await ask?.(pipeline)
  await pipeline.stop()
  assert.deepEqual(bed.failures, [])
  return (await bed.events()).filter((item) => item.type === 'frame')
}

const contentOf = (frame: Frame | undefined) => JSON.parse(frame!.body.toString()) as Record<string, unknown>
const kindsOf = (frames: Frame[]) => frames.map(({ kind }) => kind)

const { duplicate, dropped } = eventKinds

test('a blocked event is dropped as event_setting, with its message; others of the source and of others are not', async (t) => {
  const bed = await aBed(t, { blockedEvents: ['Order Completed', 'constructor'] })
  await bed.send({ messages: [track('a', { properties: { total: 7 } }), track('b', { event: 'order completed' })] })
  await bed.send({ source: 2, messages: [track('c')] })
  const frames = await decide(bed, (pipeline) => {
    assert.deepEqual(pipeline.status().sources[1], {
      processed: 1,
      duplicate: 0,
      rejected: {},
      dropped: { event_setting: 1 },
    })
  })
  assert.deepEqual(kindsOf(frames), [dropped, eventKinds.track, eventKinds.track])
  const { code, messageId, type, message } = contentOf(frames[0])
  assert.deepEqual([code, messageId, type], ['event_setting', 'a', 'track'])
  assert.deepEqual((message as { properties: unknown }).properties, { total: 7 })
})

test('page and screen calls are blocked as Page Viewed and Screen Viewed, whatever their own names', async (t) => {
  const bed = await aBed(t, { blockedEvents: ['Page Viewed', 'Home'] })
  const call = (type: string, messageId: string) => ({ type, messageId, userId: 'u', name: 'Home' })
  await bed.send({ messages: [call('page', 'a'), call('screen', 'b'), track('c', { event: 'Home' })] })
  assert.deepEqual(kindsOf(await decide(bed)), [dropped, eventKinds.screen, dropped])
})

test('calls without an event have nothing to block', async (t) => {
  const bed = await aBed(t, { blockedEvents: ['', 'undefined', 'identify'] })
  await bed.send({ messages: [{ type: 'identify', messageId: 'a', userId: 'u', event: 'identify' }] })
  assert.deepEqual(kindsOf(await decide(bed)), [eventKinds.identify])
})

test('a blocked event takes its id: a copy is a duplicate, also when the event is allowed meanwhile and the index is lost', async (t) => {
  const bed = await aBed(t, { blockedEvents: ['Order Completed'] })
  await bed.send({ messages: [track('a'), track('a')] })
  await decide(bed)
  bed.configure([sourceWith(1)])
  await bed.send({ messages: [track('a')] })
  const pipeline = await bed.start(createDedupeMemory())
  await bed.settled(pipeline)
  const frames = (await bed.events()).filter((item) => item.type === 'frame')
  assert.deepEqual(kindsOf(frames), [dropped, duplicate, duplicate])
  assert.equal((contentOf(frames[1]) as unknown as Decision).type, 'track')
  const traced = await pipeline.trace(1, 'a')
  assert.deepEqual(
    traced.map(({ result, decision }) => [result, decision?.code]),
    [
      ['dropped', 'event_setting'],
      ['duplicate', 'duplicate'],
      ['duplicate', 'duplicate'],
    ],
  )
  await pipeline.stop()
})

test('blocking counts from the next decision on, for the pipeline that runs; what is decided stays', async (t) => {
  const bed = await aBed(t, {})
  const pipeline = await bed.start()
  await bed.send({ messages: [track('a')] })
  await bed.settled(pipeline)
  bed.configure([sourceWith(1, { blockedEvents: ['Order Completed'] })])
  await bed.send({ messages: [track('b'), track('a')] })
  await bed.settled(pipeline)
  bed.configure([sourceWith(1)])
  await bed.send({ messages: [track('c')] })
  await bed.settled(pipeline)
  await pipeline.stop()
  const frames = (await bed.events()).filter((item) => item.type === 'frame')
  assert.deepEqual(kindsOf(frames), [eventKinds.track, dropped, duplicate, eventKinds.track])
})

// ---- Traits --------------------------------------------------------------------------------------------------------------

async function traitsAfter(t: TestContext, blockedTraits: string[], sent: string) {
  const bed = await aBed(t, { blockedTraits })
  await bed.send({ route: 'identify', body: Buffer.from(`{"messageId":"a","userId":"u",${sent}}`) })
  const [frame] = await decide(bed)
  return {
    ...(contentOf(frame) as { traits: unknown; context: Record<string, unknown> }),
    json: frame!.body.toString(),
  }
}

test('blocked traits are taken out, at any depth and out of lists, and the message names them', async (t) => {
  const { traits, context } = await traitsAfter(
    t,
    ['email', 'address.street', 'jobs.$.salary', 'a.b', 'tags.$', 'not.there'],
    '"traits":{"email":"x@y","address":{"street":"s","city":"c"},"jobs":[{"salary":1,"title":"t"},{"salary":2},3],"a.b":1,"a":{"b":2},"tags":[1],"name":"n"}',
  )
  assert.deepEqual(traits, { address: { city: 'c' }, jobs: [{ title: 't' }, {}, 3], a: {}, tags: [], name: 'n' })
  assert.deepEqual(context['protocols'], {
    sourceId: 'src_1',
    omitted: ['email', 'address.street', 'jobs.$.salary', 'a.b', 'tags.$'],
  })
})

test('a message keeps what else it says in context.protocols, its exact numbers and its odd names', async (t) => {
  const { json, context } = await traitsAfter(
    t,
    ['email'],
    '"context":{"protocols":{"event_version":2},"locale":"en"},"traits":{"email":1,"__proto__":{"x":1},"big":9007199254740993.25}',
  )
  assert.deepEqual(context, { protocols: { event_version: 2, sourceId: 'src_1', omitted: ['email'] }, locale: 'en' })
  assert.match(json, /"traits":\{"__proto__":\{"x":1\},"big":9007199254740993\.25\}/)
})

test('a message without blocked traits is stored as if nothing were blocked', async (t) => {
  const sent = '"traits":{"address":"street","list":[{"email":1}],"nothing":null}'
  const { json } = await traitsAfter(t, ['email', 'address.street', 'list.email', 'nothing.at.all'], sent)
  const { json: plain } = await traitsAfter(t, [], sent)
  assert.equal(json, plain)
})

test('traits of group calls have names of their own; those of a batch-level context stay with the others of the batch', async (t) => {
  const bed = await aBed(t, { blockedTraits: ['email'], blockedGroupTraits: ['plan'] })
  const batch = [
    { type: 'group', messageId: 'a', userId: 'u', groupId: 'g', traits: { plan: 'p', email: 'e' } },
    { type: 'identify', messageId: 'b', userId: 'u', traits: { plan: 'p', email: 'e' } },
    { type: 'identify', messageId: 'c', userId: 'u', traits: { plan: 'p' } },
  ]
  await bed.send({ body: Buffer.from(JSON.stringify({ batch, context: { locale: 'en' } })), count: 3 })
  const contents = (await decide(bed)).map(contentOf)
  assert.deepEqual(
    contents.map(({ traits }) => traits),
    [{ email: 'e' }, { plan: 'p' }, { plan: 'p' }],
  )
  assert.deepEqual(
    contents.map(({ context }) => context),
    [
      { locale: 'en', protocols: { sourceId: 'src_1', omitted: ['plan'] } },
      { locale: 'en', protocols: { sourceId: 'src_1', omitted: ['email'] } },
      { locale: 'en' },
    ],
  )
})

test('whatever the traits and the names, what is blocked is gone and named, and all else is there', async (t) => {
  const name = fc.constantFrom('a', 'b', 'c', '__proto__')
  const path = fc.array(name, { minLength: 1, maxLength: 3 })
  const leaf = fc.constantFrom(1, 'x', null, [1])
  const { traits } = fc.letrec<{ traits: object }>((tie) => ({
    traits: fc.dictionary(name, fc.oneof({ maxDepth: 3 }, leaf, tie('traits'))),
  }))
  const bed = await aBed(t, {})
  const pipeline = await bed.start()
  let next = 0
  await fc.assert(
    fc.asyncProperty(traits, fc.array(path, { maxLength: 4 }), async (sent, paths) => {
      bed.configure([sourceWith(1, { blockedTraits: paths.map((names) => names.join('.')) })])
      await bed.send({ messages: [{ type: 'identify', messageId: `m${(next += 1)}`, userId: 'u', traits: sent }] })
      await bed.settled(pipeline)
      const stored = contentOf((await bed.events(next - 1)).filter((item) => item.type === 'frame')[0])
      const left = pathsOf(stored['traits'])
      const isBlocked = (there: string[]) => paths.some((names) => names.every((each, i) => each === there[i]))
      assert.deepEqual(
        left,
        pathsOf(sent).filter((there) => !isBlocked(there)),
      )
      const { protocols } = stored['context'] as { protocols?: { omitted: string[] } }
      const gone = paths.filter((names) => pathsOf(sent).some((there) => there.join() === names.join()))
      assert.equal(protocols === undefined, gone.length === 0)
      for (const omitted of protocols?.omitted ?? []) assert.ok(paths.some((names) => names.join('.') === omitted))
    }),
    { numRuns: 100 },
  )
  await pipeline.stop()
})

/** Of everything below a value, in order. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).flatMap(([key, below]) => [[key], ...pathsOf(below).map((path) => [key, ...path])])
}

// ---- Forwarding ----------------------------------------------------------------------------------------------------------

test('a blocked event comes to the other source as a message of its own, as it was, with an id and a mark of where from', async (t) => {
  const bed = await aBed(t, { blockedEvents: ['Order Completed'], forwardBlockedEventsTo: 2 })
  const body = `{"messageId":"a","userId":"u","event":"Order Completed","timestamp":"2026-03-01T10:00:00Z","sentAt":"2026-03-01T11:00:00Z","integrations":{"All":false},"properties":{"big":9007199254740993}}`
  await bed.send({ route: 'track', body: Buffer.from(body) })
  const [blocked, forwarded, ...others] = await decide(bed, async (pipeline) => {
    assert.deepEqual(pipeline.status().forwarded, { 2: 1 })
    assert.deepEqual((await pipeline.trace(1, 'a'))[0]?.decision?.forwarding, {
      source: 2,
      workspace: 1,
      from: 'src_1',
    })
    assert.equal((await pipeline.trace(1, 'blocked-a'))[0]?.source, 2)
  })
  assert.deepEqual(others, [])
  const was = (contentOf(blocked) as unknown as Decision).message as Record<string, unknown>
  const is = contentOf(forwarded)
  assert.deepEqual(is, { ...was, messageId: 'blocked-a', forwardedFromProject: 'src_1' })
  assert.match(forwarded!.body.toString(), /9007199254740993/)
  const { source, kind, flags, timeMs, inputPartition } = forwarded!
  assert.deepEqual([source, kind, timeMs, inputPartition], [2, eventKinds.track, aTime, 1_000])
  assert.equal(flags, 1, 'it says that integrations are restricted, and not that it is to be forwarded')
})

test('a source that is disabled gets what is forwarded; one that is gone does not, and the event is blocked all the same', async (t) => {
  const bed = await aBed(t, {})
  const blocking = sourceWith(1, { blockedEvents: ['Order Completed'], forwardBlockedEventsTo: 2 })
  bed.configure([blocking, { ...sourceWith(2), isEnabled: false }])
  await bed.send({ messages: [track('a')] })
  assert.deepEqual(kindsOf(await decide(bed)), [dropped, eventKinds.track])
  bed.configure([blocking])
  await bed.send({ messages: [track('b')] })
  assert.deepEqual(kindsOf(await decide(bed)), [dropped, eventKinds.track, dropped])
})

test('nothing is forwarded to a source of another workspace, or to the source itself', async (t) => {
  const bed = await aBed(t, {})
  const blocking = (to: number) => sourceWith(1, { blockedEvents: ['Order Completed'], forwardBlockedEventsTo: to })
  bed.configure([blocking(2), { ...sourceWith(2), workspace: 9 }])
  await bed.send({ messages: [track('a')] })
  await decide(bed)
  bed.configure([blocking(1)])
  await bed.send({ messages: [track('b')] })
  assert.deepEqual(kindsOf(await decide(bed)), [dropped, dropped])
  assert.ok(!(await bed.journal.partitions('received')).includes(1_000))
})

test('a request that the door took stays a request, whatever it says of forwarding', async (t) => {
  const bed = await aBed(t, { blockedEvents: ['Order Completed'] })
  await bed.send({ messages: [track('a', { forwarded: { messageId: 'x', flags: 0 }, forwardedFromProject: 'src_2' })] })
  assert.deepEqual(kindsOf(await decide(bed)), [dropped])
  const frame = await bed.journal.readOne('received', 0, 0)
  assert.equal(decodeReceived(frame!.body).head.forwarded, undefined)
})
