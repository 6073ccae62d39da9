import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { runDemo, type DemoOptions } from './send.ts'

async function demoAgainst(t: TestContext, listener: RequestListener, options: Partial<DemoOptions> = {}) {
  const server = createServer((request, response) => {
    request.resume()
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const url = `http://127.0.0.1:${port}`
  return runDemo({ url, writeKey: 'KEY', seed: 1, rate: 1e6, count: 20, batch: 10, clock: systemClock, ...options })
}

test('what was not taken is sent again until it is', async (t) => {
  let requests = 0
  const progress = await demoAgainst(t, (_, response) => {
    requests += 1
    response.writeHead(requests === 1 ? 503 : 200).end()
  })
  assert.deepEqual([progress.acknowledged, progress.retries, requests], [20, 1, 3])
})

test('an answer that will not change ends the demo with its reason', async (t) => {
  await assert.rejects(
    demoAgainst(t, (_, response) => response.writeHead(401).end('{"code":"unknown_source"}')),
    { code: 'demo_refused', message: /401.*unknown_source/ },
  )
})
