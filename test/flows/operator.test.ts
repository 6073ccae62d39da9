/** What an operator does around the server: commands before its first start, a start that is refused, output that is cut short. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCli, startPlatform, type CliResult } from '../support/platform.ts'
import type { Status } from '../support/accounting.ts'

const config = `
workspace: { name: Acme, slug: acme }
sources:
  api: { name: Backend, type: http-api, writeKeys: [API_KEY] }
warehouses:
  local: { type: duckdb, sources: [api], settings: { path: warehouse.duckdb } }
`
let directory: string
let environment: NodeJS.ProcessEnv
before(async () => {
  // Deeper than the path of a unix socket may be.
  directory = join(await mkdtemp(join(tmpdir(), 'tributary-operator-')), 'a-folder-with-a-long-name'.repeat(4))
  await mkdir(directory)
  await writeFile(join(directory, 'tributary.yaml'), config)
  environment = { ...process.env, TRIBUTARY_DATA: join(directory, 'data'), TRIBUTARY_CONFIG: '' }
  delete environment['TRIBUTARY_LOG']
})
after(() => rm(join(directory, '..'), { recursive: true }))

const cli = (...args: string[]): Promise<CliResult> => runCli(args, { cwd: directory, env: environment })

test('a command that only looks makes no data directory', async () => {
  for (const args of [['status'], ['export'], ['trace', 'm1'], ['sql', 'select 1'], ['doctor']]) {
    const { code, stderr } = await cli(...args)
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, /never started or configured/)
  }
  assert.equal(existsSync(join(directory, 'data')), false)
})

test('apply makes what the file says and nothing else, and prints nothing but the plan', async () => {
  const { code, stdout, stderr } = await cli('apply', 'tributary.yaml')
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout, '+ create workspace acme\n+ create source api\n+ create warehouse local\nApplied.\n')
  assert.equal((await cli('apply', 'tributary.yaml')).stdout, 'Nothing to change.\n')
  const { sources } = JSON.parse((await cli('status', '--json')).stdout) as Status
  assert.deepEqual(Object.keys(sources), ['api'])
})

test('commands without a server take turns', async () => {
  const results = await Promise.all(Array.from({ length: 4 }, () => cli('status', '--json')))
  assert.deepEqual(
    results.map(({ code, stderr }) => [code, stderr]),
    Array.from({ length: 4 }, () => [0, '']),
  )
})

test('a start that cannot listen says why and leaves everything for the next one, which works', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const refused = await runCli(['start'], { cwd: directory, env: { ...environment, TRIBUTARY_PORT: String(port) } })
  await new Promise((resolve) => other.close(resolve))
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: another program`))

  const platform = await startPlatform({ directory, environment: { TRIBUTARY_CONFIG: '' } })
  try {
    assert.match(platform.stdout(), /^write key: API_KEY$/m)
    const body = JSON.stringify({ writeKey: 'API_KEY', userId: 'u1', event: 'Started', messageId: 'o1' })
    assert.equal((await fetch(`${platform.url}/v1/track`, { method: 'POST', body })).status, 200)
    assert.equal((await fetch(`${platform.url}/health/flow`)).status, 200)
    assert.equal((await platform.cli('sync', 'local')).code, 0)
    assert.equal((await platform.cli('trace', 'o1')).code, 0)
  } finally {
    await platform.stop()
  }
})

test('a result is whole when it is piped, and a reader that has seen enough is no error', () => {
  const launcher = fileURLToPath(new URL('../../bin/tributary.mjs', import.meta.url))
  const query = `"${process.execPath}" "${launcher}" sql "select range as i from range(200000)" --json`
  const run = (pipe: string) =>
    spawnSync('bash', ['-o', 'pipefail', '-c', `${query} | ${pipe}`], {
      cwd: directory,
      env: environment,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    })
  const whole = run('cat')
  assert.equal((JSON.parse(whole.stdout) as unknown[]).length, 200_000)
  const cut = run('head -n 1')
  assert.deepEqual([cut.status, cut.stdout, cut.stderr], [0, '[{"i":0},\n', ''])
})
