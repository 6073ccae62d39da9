import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AppError } from './errors.ts'
import { callLocal, serveLocal, streamLocal, type LocalServer } from './local-socket.ts'

let directory: string
let server: LocalServer
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tributary-socket-'))
  server = await serveLocal(join(directory, 'x.sock'), {
    echo: async (params) => params,
    fail: async () => {
      throw new AppError('unknown_source', 404, 'No such source.', { hint: 'Look at the list.' })
    },
    count: async function* () {
      for (let i = 0; i < 1000; i++) yield i
    },
    breaks: async function* () {
      yield 1
      throw new AppError('too_much', 400, 'Too much.')
    },
  })
})
after(async () => {
  await server.close()
  await rm(directory, { recursive: true })
})

test('a call returns what the handler returned, however large', async () => {
  const params = { text: 'é'.repeat(300_000), list: [1, null, { a: true }] }
  assert.deepEqual(await callLocal(join(directory, 'x.sock'), 'echo', params), params)
})

test('an AppError arrives with its code, status and hint', async () => {
  await assert.rejects(callLocal(join(directory, 'x.sock'), 'fail'), {
    code: 'unknown_source',
    status: 404,
    hint: 'Look at the list.',
  })
})

test('a stream arrives in order and its failure arrives after its items', async () => {
  const items: unknown[] = []
  for await (const item of streamLocal(join(directory, 'x.sock'), 'count')) items.push(item)
  assert.equal(items.length, 1000)
  assert.equal(items[999], 999)
  const stream = streamLocal(join(directory, 'x.sock'), 'breaks')
  assert.deepEqual(await stream.next(), { done: false, value: 1 })
  await assert.rejects(stream.next(), { code: 'too_much' })
})

test('a process that is not there is named', async () => {
  await assert.rejects(callLocal(join(directory, 'loader.sock'), 'echo'), { code: 'process_away', message: /loader/ })
})

test('an unknown method, __proto__ too, is refused', async () => {
  await assert.rejects(callLocal(join(directory, 'x.sock'), '__proto__'), { code: 'unknown_method' })
})
