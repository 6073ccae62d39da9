/** What a newcomer does: start without a config, paste the printed curl line, look at the event. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { after, before, test } from 'node:test'
import { startPlatform, type Platform } from '../support/platform.ts'
import { assertBalanced, type Status } from '../support/accounting.ts'

const run = promisify(execFile)

let platform: Platform
before(async () => {
  platform = await startPlatform()
})
after(() => platform.dispose())

test('the first start prints a write key, a curl line and a sign-in link, each on a line of its own, then the ready line', () => {
  const lines = platform.stdout().split('\n')
  assert.ok(
    lines.some((line) => /write key.*\S{8,}/.test(line)),
    platform.stdout(),
  )
  assert.ok(lines.some((line) => line.trim().startsWith('curl ')))
  assert.ok(lines.some((line) => new RegExp(`${platform.url}/sign-in/\\S+`).test(line)))
  assert.ok(lines.includes(`tributary ready ${platform.url}`))
})

test('the printed curl line works when pasted, and its event is traced into the warehouse', async () => {
  const curl = platform
    .stdout()
    .split('\n')
    .find((line) => line.trim().startsWith('curl '))
  assert.ok(curl !== undefined)
  const { stdout } = await run('sh', ['-c', curl])
  assert.equal(stdout.trim(), '{"success":true}')

  const synced = await platform.cli('sync', 'local')
  assert.equal(synced.code, 0, synced.stderr)
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  const [[slug, source] = []] = Object.entries(status.sources)
  assert.ok(slug !== undefined && source !== undefined)
  assert.equal(source.processed, 1)

  const rows = (await platform.json('sql', `select id, event_text, received_at from ${slug}.tracks`)) as Record<
    string,
    string
  >[]
  assert.equal(rows.length, 1)
  assert.match(rows[0]?.['received_at'] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\d*Z$/)
  const trace = await platform.cli('trace', rows[0]?.['id'] ?? '')
  assert.equal(trace.code, 0)
  assert.match(trace.stdout, /received/i)
  assert.match(trace.stdout, /local/)
})

test('an unknown id has no trace, an unknown command no meaning, and both say so', async () => {
  const unknown = await platform.cli('trace', 'no-such-id')
  assert.notEqual(unknown.code, 0)
  assert.match(unknown.stderr + unknown.stdout, /no-such-id/)
  const command = await platform.cli('frobnicate')
  assert.equal(command.code, 2)
  assert.match(command.stderr, /frobnicate/)
})

test('the sign-in link opens the status page once', async () => {
  const link = new RegExp(`${platform.url}/sign-in/\\S+`).exec(platform.stdout())?.[0]
  assert.ok(link !== undefined)
  const first = await fetch(link, { redirect: 'manual' })
  const cookie = first.headers.get('set-cookie')
  assert.ok(cookie !== null && /HttpOnly/i.test(cookie) && /SameSite/i.test(cookie))
  const page = await fetch(platform.url, { headers: { cookie: cookie.split(';')[0]! } })
  assert.equal(page.status, 200)
  assert.match(await page.text(), /Tributary/)
  assert.notEqual(
    (await fetch(link, { redirect: 'manual' })).headers.get('set-cookie')?.length ?? 0,
    cookie.length,
    'the link works once',
  )
  assert.notEqual((await fetch(platform.url)).status, 200, 'without the session there is no page')
})

test('health and metrics answer', async () => {
  for (const path of ['/health/live', '/health/ready', '/health/flow']) {
    const response = await fetch(platform.url + path)
    assert.equal(response.status, 200, path)
  }
  const metrics = await (await fetch(`${platform.url}/metrics`)).text()
  for (const process of ['gateway', 'pipeline', 'delivery', 'loader', 'control'])
    assert.match(metrics, new RegExp(`process="${process}"`))
})

test('a second start on the same data directory says so and exits 3', async () => {
  const second = await platform.cli('start')
  assert.equal(second.code, 3)
  assert.match(second.stderr + second.stdout, /running|in use/i)
})

test('SIGTERM stops it within 10 seconds with exit 0 and leaves no process behind', async () => {
  const pids = [...platform.children().values()]
  assert.equal(pids.length, 5)
  const startedAt = Date.now()
  assert.equal(await platform.stop(), 0)
  assert.ok(Date.now() - startedAt < 10_000)
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
})

test('status, sql and trace work without a server', async () => {
  const status = (await platform.json('status')) as Status
  assertBalanced(status)
  const rows = (await platform.json('sql', 'select count(*) as n from information_schema.tables')) as object[]
  assert.equal(rows.length, 1)
})
