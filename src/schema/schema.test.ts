import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { isIsoTimestamp } from '../protocol/index.ts'
import { createRegistry } from './testing/registry.ts'
import { createBed, aTime, type Bed, type Sent } from './testing/bed.ts'
import { lists } from './read-message.ts'
import { openSchemaStore } from './schema-store.ts'
import type { SchemaReader } from './schema-reader.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

async function withBed(run: (bed: Bed) => Promise<void>, options?: Parameters<typeof createBed>[0]): Promise<void> {
  const bed = await createBed(options)
  try {
    await run(bed)
  } finally {
    await bed.end()
  }
}

// ---- What it should say, counted in the plainest way ---------------------------------------------------------------------

interface Expected {
  types: Set<string>
  firstSeenMs: number
  lastSeenMs: number
  allowed: number
  blocked: number
}

function oracle(sent: readonly Sent[]): Record<string, unknown> {
  const names = new Map<string, Expected>()
  for (const each of sent) {
    const decision = each.body as { code?: string; message?: Record<string, unknown> }
    const isBlocked = each.type === 'dropped'
    if (isBlocked && decision.code !== 'event_setting') continue
    const message = (isBlocked ? decision.message : each.body) as Record<string, unknown>
    const call = isBlocked ? (message['type'] as string) : (each.type ?? 'track')
    const group = groupOf(call, message)
    if (group === undefined) continue
    const found = new Map<string, Set<string>>([['', new Set()]])
    spread((message['traits'] ?? message['properties'] ?? {}) as object, '', found)
    const { protocols } = (message['context'] ?? {}) as { protocols?: { omitted: string[] } }
    const omitted = (protocols?.omitted ?? []).filter((name) => !found.has(`.${name}`))
    for (const name of omitted) found.set(`.${name}`, new Set())
    for (const [name, types] of found) {
      const key = `${each.source ?? 1} ${group}${name}`
      const at = each.atMs ?? aTime
      const known = names.get(key) ?? { types: new Set(), firstSeenMs: at, lastSeenMs: at, allowed: 0, blocked: 0 }
      names.set(key, known)
      for (const type of types) known.types.add(type)
      known.firstSeenMs = Math.min(known.firstSeenMs, at)
      known.lastSeenMs = Math.max(known.lastSeenMs, at)
      if (isBlocked || omitted.includes(name.slice(1))) known.blocked += 1
      else known.allowed += 1
    }
  }
  // Calls of identify and group are no names.
  return Object.fromEntries(
    [...names]
      .filter(([key]) => !/^\d (identify|group):$/.test(key))
      .sort()
      .map(([key, { types, ...counts }]) => [key, { ...counts, types: [...types].sort().join() }]),
  )
}

function groupOf(call: string, message: Record<string, unknown>): string | undefined {
  if (call === 'track') return `track:${String(message['event'])}`
  if (call === 'page') return 'track:Page Viewed'
  if (call === 'screen') return 'track:Screen Viewed'
  return call === 'identify' || call === 'group' ? `${call}:` : undefined
}

function spread(object: object, prefix: string, into: Map<string, Set<string>>): void {
  for (const [key, value] of Object.entries(object) as [string, unknown][]) note(value, `${prefix}.${key}`, into)
}

function note(value: unknown, name: string, into: Map<string, Set<string>>): void {
  into.set(name, (into.get(name) ?? new Set()).add(typeOf(value)))
  if (Array.isArray(value)) for (const item of value as unknown[]) note(item, `${name}.$`, into)
  else if (typeof value === 'object' && value !== null) spread(value, name, into)
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'string') return isIsoTimestamp(value) ? 'date-time' : 'string'
  return Number.isInteger(value) ? 'integer' : typeof value
}

/** All that the view says of all sources, in the words of the oracle. */
function everything(reader: SchemaReader): Record<string, unknown> {
  const said: [string, unknown][] = []
  const add = (key: string, { name: _, types, ...counts }: { name: string; types: string[] }) => {
    const { isArchived: __, properties: ___, ...rest } = counts as Record<string, unknown>
    said.push([key, { ...rest, types: types.toSorted().join() }])
  }
  for (const source of [1, 2, 3]) {
    for (const event of reader.events(source, '30d').events) {
      const key = `${source} track:${event.name}`
      add(key, { ...event, types: [] })
      for (const each of reader.properties(source, event.name, '30d')?.properties ?? [])
        add(`${key}.${each.name}`, each)
    }
    for (const type of ['identify', 'group'] as const)
      for (const each of reader.traits(source, type, '30d')?.properties ?? [])
        add(`${source} ${type}:.${each.name}`, each)
  }
  return Object.fromEntries(said.sort(([a], [b]) => (a < b ? -1 : 1)))
}

// ---- Counting ------------------------------------------------------------------------------------------------------------

const name = fc.constantFrom('a', 'b', 'c', 'length', '__proto__', 'ü')
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<unknown>('x', '2026-03-01T09:00:00Z', 1, 1.5, true, null),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(name, tie('any'), { maxKeys: 3 }),
  ),
})).any
const values = fc.dictionary(name, value, { maxKeys: 4 })
const event = fc.constantFrom('A', 'B', 'Page Viewed', 'C'.repeat(50))
const place = {
  source: fc.constantFrom(1, 2),
  partition: fc.constantFrom(0, 1),
  atMs: fc.integer({ min: aTime - 20 * DAY, max: aTime }),
}
const context = fc.constantFrom({}, { protocols: { omitted: ['secret', 'deep.secret'] } })
const sent: fc.Arbitrary<Sent> = fc.oneof(
  fc.record({ ...place, type: fc.constant('track' as const), body: fc.record({ event, properties: values }) }),
  fc.record({
    ...place,
    type: fc.constantFrom('page' as const, 'screen' as const),
    body: fc.record({ name: event, properties: values }),
  }),
  fc.record({
    ...place,
    type: fc.constantFrom('identify' as const, 'group' as const),
    body: fc.record({ traits: values, context }),
  }),
  fc.record({
    ...place,
    type: fc.constant('dropped' as const),
    body: fc.record({
      code: fc.constantFrom('event_setting', 'JOURNAL_CORRUPT'),
      message: fc.record({ type: fc.constant('track'), event, properties: values }),
    }),
  }),
  fc.record({
    ...place,
    type: fc.constantFrom('alias' as const, 'rejected' as const, 'duplicate' as const),
    body: fc.record({ code: fc.constant('duplicate'), event, properties: values }),
  }),
)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(sent, { minLength: 1, maxLength: 20 }).map((some) => ({ do: 'send' as const, some })),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ask' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), turns: fc.nat({ max: 12 }) }) },
)

/** Small enough that names and shapes are forgotten all the time. */
const tight = { shapesMax: 12, referencesMax: 60, nameBytesMax: 6_000 }

for (const [memory, limits] of [
  ['plenty of memory', undefined],
  ['so little memory that it forgets all the time', tight],
] as const) {
  test(`counts are exact, whatever comes and whenever it is killed, with ${memory}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await withBed(async (bed) => {
          const all: Sent[] = []
          for (const each of steps) {
            if (each.do === 'send') {
              all.push(...each.some)
              await bed.send(...each.some)
            } else if (each.do === 'ask') {
              assert.deepEqual(await bed.schema.ask(everything), oracle(all))
            } else {
              const asked = bed.schema.ask(everything)
              for (let turns = 0; turns < each.turns; turns += 1) await turn()
              bed.kill()
              await asked
            }
          }
          assert.deepEqual(await bed.schema.ask(everything), oracle(all))
        }, limits && { limits })
      }),
      { numRuns: 60 },
    )
  })
}

test('at every moment of a write a kill would leave counts and place that belong together', async () => {
  await withBed(async (bed) => {
    const names = Array.from({ length: 300 }, (_, i) => `p${i}`)
    const states = new Set<number>()
    for (let write = 1; write <= 3; write += 1) {
      const properties = Object.fromEntries(names.map((each) => [each, write]))
      await bed.send(...['A', 'B', 'C'].map((event) => ({ body: { event, properties } })))
      let isDone = false
      const asked = bed.schema.ask(() => {}).then(() => (isDone = true))
      for (let moment = 0; !isDone; moment += 1) {
        await turn()
        const store = openSchemaStore(bed.copyFile(`moment-${write}-${moment}`))
        const place = store.open(bed.journal.id).get(0) ?? 0
        const events = store.countedEvents(1, lists.track, 0)
        assert.equal(
          events.reduce((sum, event) => sum + event.allowed, 0),
          place,
        )
        for (const { name } of events) {
          const properties = store.countedProperties(store.event(1, lists.track, name)!.id, 0)
          assert.deepEqual(new Set(properties.map(({ allowed }) => allowed)), new Set([place / 3]))
        }
        store.close()
        states.add(place)
      }
      await asked
    }
    assert.deepEqual([...states], [0, 3, 6, 9])
  })
})

test('another journal begins anew', async () => {
  await withBed(async (bed) => {
    await bed.send({ body: { event: 'Old' } })
    await bed.schema.ask(() => {})
    await bed.renewJournal()
    await bed.send({ body: { event: 'New' } })
    assert.deepEqual(Object.keys(await bed.schema.ask(everything)), ['1 track:New'])
  })
})

test('a database that is none is made anew from the journal', async () => {
  await withBed(async (bed) => {
    await bed.send({ body: { event: 'A', properties: { a: 1 } } })
    const before = await bed.schema.ask(everything)
    writeFileSync(join(bed.directory, 'schema-1.sqlite'), 'this was a database once')
    bed.killKeepingFile()
    assert.deepEqual(await bed.schema.ask(everything), before)
  })
})

test('messages that come while it runs are counted without being asked', async () => {
  await withBed(async (bed) => {
    bed.schema.start()
    await bed.send({ body: { event: 'A' } }, { body: { event: 'A' } })
    const waits = async (): Promise<number> => bed.schema.look((reader) => reader.waiting)
    while ((await waits()) > 0) await turn()
    bed.kill()
    assert.equal(bed.schema.coveredThrough(0), 0, 'nothing was due to be written yet')
    assert.deepEqual(await bed.schema.look(everything), {})
    await bed.schema.ask(() => {})
    assert.equal(bed.schema.coveredThrough(0), 2)
  })
})

// ---- Windows and age -----------------------------------------------------------------------------------------------------

test('a window counts what was received in it, also after hours have become days', async () => {
  await withBed(async (bed) => {
    const ages = [0, 23 * HOUR, 26 * HOUR, 3 * DAY, 3 * DAY + 2 * HOUR, 9 * DAY, 29 * DAY, 40 * DAY]
    await bed.send(...ages.map((age) => ({ atMs: aTime - age, body: { event: 'A', properties: { a: 1 } } })))
    const counts = (reader: SchemaReader) =>
      (['24h', '7d', '30d'] as const).map((window) => {
        const [event] = reader.events(1, window).events
        const [property] = reader.properties(1, 'A', window)!.properties
        assert.deepEqual(property!.allowed, event!.allowed)
        return event!.allowed
      })
    assert.deepEqual(await bed.schema.ask(counts), [2, 5, 7])
    await bed.schema.expire()
    assert.deepEqual(await bed.schema.ask(counts), [2, 5, 7])
    bed.clock.nowMs += 60 * DAY
    await bed.schema.expire()
    assert.deepEqual(await bed.schema.ask(counts), [0, 0, 0])
    const [event] = await bed.schema.ask((reader) => reader.events(1, '30d').events)
    assert.deepEqual([event?.firstSeenMs, event?.lastSeenMs], [aTime - 40 * DAY, aTime])
  })
})

// ---- Bounds --------------------------------------------------------------------------------------------------------------

test('the 4,001st event of a source is counted and not listed, and so it stays after a restart', async () => {
  await withBed(async (bed) => {
    const names = Array.from({ length: 4_100 }, (_, i) => `Event ${i}`)
    await bed.send(...names.map((each) => ({ body: { event: each } })), { type: 'page', source: 2, body: {} })
    const look = (reader: SchemaReader) => {
      const { events, notListed } = reader.events(1, '24h')
      return { listed: events.length, ...notListed, other: reader.events(2, '24h').events.length }
    }
    const first = await bed.schema.ask(look)
    assert.deepEqual([first.listed, first.messages, first.other], [4_000, 100, 1])
    assert.ok(first.names > 80 && first.names < 120, `about 100, not ${first.names}`)
    bed.kill()
    await bed.send({ body: { event: 'Event 4099' } }, { body: { event: 'Event 0' } })
    assert.deepEqual(await bed.schema.ask(look), { ...first, messages: 101 })
  })
})

test('the 301st property of an event, and the 301st trait, are counted and not listed', async () => {
  await withBed(async (bed) => {
    const many = Object.fromEntries(Array.from({ length: 320 }, (_, i) => [`p${i}`, { inner: i }]))
    await bed.send({ body: { event: 'A', properties: many } }, { type: 'identify', body: { traits: many } })
    await bed.send({ body: { event: 'A', properties: { p0: 1, another: 2 } } })
    for (const list of await bed.schema.ask((reader) => [
      reader.properties(1, 'A', '24h')!,
      reader.traits(1, 'identify', '24h')!,
    ])) {
      assert.equal(list.properties.length, 300)
      assert.ok(Math.abs(list.notListed.names - 341) < 60, `about 340, not ${list.notListed.names}`)
    }
    assert.equal((await bed.schema.ask((reader) => reader.properties(1, 'A', '24h')))?.notListed.messages, 2)
  })
})

test('names of any characters are kept apart, and one that is too long is not listed', async () => {
  await withBed(async (bed) => {
    const names = ['a\u0000b', 'a', "'; DROP TABLE events; --", '😀', '\ud800', 'x'.repeat(512)]
    await bed.send(...[...names, 'x'.repeat(513)].map((each) => ({ body: { event: each, properties: { [each]: 1 } } })))
    const { events, notListed } = await bed.schema.ask((reader) => reader.events(1, '24h'))
    assert.deepEqual(events.map((each) => each.name).sort(), names.map((each) => each.toWellFormed()).sort())
    assert.deepEqual(notListed, { names: 1, messages: 1 })
  })
})

test('memory stays within its bounds when every message looks different, and the metrics say so', async () => {
  const { registry, read } = createRegistry()
  const limits = { shapesMax: 100, referencesMax: 300, nameBytesMax: 50_000 }
  await withBed(
    async (bed) => {
      for (let round = 0; round < 20; round += 1) {
        await bed.send(
          ...Array.from({ length: 100 }, (_, i) => ({
            source: 1 + (i % 3),
            body: { event: `E${i % 20}`, properties: { [`p${round * 100 + i}`]: i, [`q${i}`]: '' } },
          })),
        )
        await bed.schema.ask(() => {})
        // A message may come on top of a bound before it is looked at: one block is read at a time.
        assert.ok((await read('tributary_schema_shapes')) <= 100)
        assert.ok((await read('tributary_schema_references')) <= 300)
        assert.ok((await read('tributary_schema_name_bytes')) <= 50_000)
      }
      assert.equal(await read('tributary_schema_messages_total'), 2_000)
      assert.equal(await read('tributary_schema_waiting_messages'), 0)
    },
    { limits, registry },
  )
})

test('what is known of a forgotten name is forgotten with it', async () => {
  const { registry, read } = createRegistry()
  const limits = { shapesMax: 100_000, referencesMax: 1_000_000, nameBytesMax: 50_000 }
  await withBed(
    async (bed) => {
      for (let round = 0; round < 20; round += 1) {
        await bed.send(...Array.from({ length: 100 }, (_, i) => ({ body: { event: `E${round * 100 + i}` } })))
        await bed.schema.ask(() => {})
        assert.ok((await read('tributary_schema_shapes')) <= 50_000 / 200)
      }
      const { events } = await bed.schema.ask((reader) => reader.events(1, '24h'))
      assert.equal(events.length, 2_000)
    },
    { limits, registry },
  )
})

// ---- Orders --------------------------------------------------------------------------------------------------------------

test('clearing forgets one source up to now, and what comes then is seen for the first time', async () => {
  await withBed(async (bed) => {
    await bed.send({ body: { event: 'A', properties: { a: 1 } } }, { source: 2, body: { event: 'B' } })
    await bed.schema.clear(1)
    assert.deepEqual(Object.keys(await bed.schema.ask(everything)), ['2 track:B'])
    bed.kill()
    await bed.send({ atMs: aTime + 5, body: { event: 'A', properties: { b: 1 } } })
    const again = await bed.schema.ask(everything)
    assert.deepEqual(Object.keys(again), ['1 track:A', '1 track:A.b', '2 track:B'])
    assert.equal((again['1 track:A'] as Expected).firstSeenMs, aTime + 5)
  })
})

test('an archived event stays archived while it is counted on', async () => {
  await withBed(async (bed) => {
    await bed.send({ body: { event: 'A' } })
    assert.equal(await bed.schema.setArchived(1, 'A', true), true)
    assert.equal(await bed.schema.setArchived(1, 'Never Seen', true), false)
    await bed.send({ body: { event: 'A' } })
    const [event] = await bed.schema.ask((reader) => reader.events(1, '24h').events)
    assert.deepEqual([event?.isArchived, event?.allowed], [true, 2])
  })
})

test('what was seen of a source that is no more is removed', async () => {
  await withBed(async (bed) => {
    await bed.send({ body: { event: 'A' } }, { source: 2, body: { event: 'B' } })
    bed.sources.delete(1)
    await bed.schema.expire()
    assert.deepEqual(Object.keys(await bed.schema.ask(everything)), ['2 track:B'])
  })
})
