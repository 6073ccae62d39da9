/** What a stream of events does when its client is slow, over a real socket: the rest is told by `test/flows/source-events.test.ts`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { createDebugger } from '../debugger/index.ts'
import { createBed, track } from '../pipeline/testing/pipeline-bed.ts'
import type { Snapshot } from '../snapshot/index.ts'
import { createSourceEventsApi, createSourceEventsRoutes } from './source-events.ts'

test('a client that does not read costs no memory, and is told what it has missed when it reads again', async (t) => {
  const bed = await createBed()
  t.after(() => bed.end())
  const clock = { ...systemClock, now: () => bed.clock.nowMs }
  const sourceDebugger = createDebugger({
    journal: bed.journal,
    path: join(bed.directory, 'debugger.sqlite'),
    clock,
    log: silentLogger,
    sources: async () => new Set([1]),
    limits: { messagesPerSource: 10 },
  })
  const snapshot = { sources: [{ number: 1, slug: 'api' }] } as Snapshot
  const api = createSourceEventsApi({ clock, store: { snapshot: async () => snapshot }, debugger: sourceDebugger })
  const route = createSourceEventsRoutes(api).find(({ path }) => path.test('/tributary/v1/sources/api/events/live'))
  assert.ok(route)
  let written = 0
  const server = createServer((request, response) => {
    const write = response.write.bind(response)
    response.write = (text: string) => {
      written += text.length
      return write(text)
    }
    void route.run(request, response, route.path.exec(request.url ?? '')!, { role: 'Workspace Owner' })
  })
  const socketPath = join(bed.directory, 'http.sock')
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  t.after(() => server.close())
  const [response] = (await once(get({ socketPath, path: '/tributary/v1/sources/api/events/live' }), 'response')) as [
    IncomingMessage,
  ]

  const total = 200
  const pipeline = await bed.start()
  for (let from = 0; from < total; from += 10) {
    const messages = Array.from({ length: 10 }, (_, i) =>
      track(`m${from + i}`, { properties: { text: 'x'.repeat(30_000) } }),
    )
    await bed.send({ receivedAtMs: bed.clock.nowMs + from * 100, messages })
    await bed.settled(pipeline)
    await sourceDebugger.catchUp()
  }
  await pipeline.stop()
  assert.ok(written < 5_000_000, `${written} of the 18 MB went into buffers`)

  const ids: string[] = []
  let missed = 0
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = JSON.parse(/^data: (.*)$/m.exec(text.slice(0, end))?.[1] ?? '{}') as {
        messageId?: string
        count?: number
      }
      if (data.messageId !== undefined) ids.push(data.messageId)
      missed += data.count ?? 0
      text = text.slice(end + 2)
    }
    // Ends the stream in good order, which ends the loop.
    if (ids.at(-1) === `m${total - 1}`) void sourceDebugger.stop()
  }
  assert.ok(missed > 0)
  assert.equal(ids.length + missed, total)
  assert.equal(new Set(ids).size, ids.length)
})
