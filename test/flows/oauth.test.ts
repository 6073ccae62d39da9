/** OAuth over the started product: the commands of the guide, the Node SDK, restarts, revocation, a client whose clock goes wrong. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Analytics } from '@segment/analytics-node'
import type { Status } from '../support/accounting.ts'
import { codeBlocks, readPages } from '../support/documentation.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

const page = readPages().find(({ path }) => path === 'docs/guide/oauth.md') ?? assert.fail('the page is gone')
const [makeKeys, getToken, useToken] = codeBlocks(page, 'bash').map(({ text }) => text)
let directory: string
let platform: Platform

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tributary-oauth-'))
  shell(makeKeys ?? '')
  const [example] = codeBlocks(page, 'yaml')
  platform = await startPlatform({
    config: `
workspace: { name: Acme, slug: acme }
tokens: { ops: { token: ops-token } }
${example?.text.replace('required: false', 'required: true')}
`,
    environment: { BACKEND_PUBLIC_KEY: readFileSync(join(directory, 'public.pem'), 'utf8') },
  })
})
after(async () => {
  await platform.dispose()
  await rm(directory, { recursive: true })
})

/** Runs the lines as the page has them, with the port of this server. */
function shell(script: string): string {
  const text = script.replaceAll('127.0.0.1:4000', `127.0.0.1:${platform?.port}`)
  return execFileSync('/bin/sh', ['-ec', text], { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

async function send(headers: Record<string, string>, messageId: string): Promise<number> {
  const body = JSON.stringify({ writeKey: 'API_KEY', userId: 'u', event: 'E', messageId })
  return (await fetch(`${platform.url}/v1/track`, { method: 'POST', headers, body })).status
}

function sdk(): Analytics {
  return new Analytics({
    writeKey: 'API_KEY',
    host: platform.url,
    flushAt: 1,
    oauthSettings: {
      clientId: 'backend',
      keyId: 'key-1',
      clientKey: readFileSync(join(directory, 'private.pem'), 'utf8'),
      authServer: platform.url,
    },
  })
}

async function received(): Promise<number> {
  return ((await platform.json('status')) as Status).sources['api']?.received ?? 0
}

function tokenOfPage(): string {
  shell(getToken ?? '')
  return (JSON.parse(readFileSync(join(directory, 'token.json'), 'utf8')) as { access_token: string }).access_token
}

test('the commands of the guide get a token and send with it; the write key alone is refused', async () => {
  const before = await received()
  assert.equal(shell(`${getToken}\n${useToken}`).trim(), '{"success":true}')
  assert.equal(await send({ authorization: `Basic ${btoa('API_KEY:')}` }, 'plain'), 401)
  assert.equal(await received(), before + 1)
})

test('the SDK sends; a token goes on over a restart until it is revoked, and others of the app stay', async () => {
  const analytics = sdk()
  const before = await received()
  analytics.track({ userId: 'u1', event: 'First' })
  await analytics.flush()
  assert.equal(await received(), before + 1)

  const token = tokenOfPage()
  const other = tokenOfPage()
  const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
  await platform.stop()
  platform = await platform.restart()
  assert.equal(await send(bearer(token), 'after-restart'), 200)

  const revoked = await fetch(`${platform.url}/tributary/v1/oauth-apps/backend/revoke-token`, {
    method: 'POST',
    headers: { authorization: 'Bearer ops-token' },
    body: JSON.stringify({ token }),
  })
  assert.equal(revoked.status, 200)
  for (let i = 0; (await send(bearer(token), `revoked-${i}`)) === 200; i++) {
    assert.ok(i < 50, 'a revoked token is refused within seconds')
    await wait(50)
  }
  assert.equal(await send(bearer(other), 'other'), 200)
})

test('an SDK whose token is refused gets another one for what comes next', async () => {
  const tokens: string[] = []
  const analytics = sdk()
  analytics.on('http_request', ({ headers }) => tokens.push(headers['Authorization']?.replace('Bearer ', '') ?? ''))
  analytics.track({ userId: 'u1', event: 'Taken' })
  await analytics.flush()
  await fetch(`${platform.url}/tributary/v1/oauth-apps/backend/revoke-token`, {
    method: 'POST',
    headers: { authorization: 'Bearer ops-token' },
    body: JSON.stringify({ token: tokens[0] }),
  })
  for (let i = 0; (await send({ authorization: `Bearer ${tokens[0]}` }, `refused-${i}`)) === 200; i++) await wait(50)
  // This one is lost: the SDK gives up at a 401 and says so.
  const lost = new Promise((resolve) => analytics.on('error', resolve))
  analytics.track({ userId: 'u1', event: 'Refused' })
  await lost
  const before = await received()
  analytics.track({ userId: 'u1', event: 'Taken again' })
  await analytics.closeAndFlush()
  assert.equal(await received(), before + 1)
  assert.equal(new Set(tokens).size, 2)
})

test('an SDK whose clock is an hour ahead learns ours from the refusal, and loses nothing', async () => {
  const before = await received()
  const script = join(directory, 'client.mjs')
  const sdkPath = fileURLToPath(import.meta.resolve('@segment/analytics-node'))
  await writeFile(
    script,
    `
import { readFileSync } from 'node:fs'
const now = Date.now
Date.now = () => now() + 3_600_000
const { Analytics } = await import(${JSON.stringify(sdkPath)})
const analytics = new Analytics({
  writeKey: 'API_KEY', host: ${JSON.stringify(platform.url)}, flushAt: 1,
  oauthSettings: {
    clientId: 'backend', keyId: 'key-1', clientKey: readFileSync('private.pem', 'utf8'), authServer: ${JSON.stringify(platform.url)},
  },
})
analytics.track({ userId: 'u1', event: 'From the future' })
await analytics.closeAndFlush()
`,
  )
  await new Promise<void>((resolve, reject) => {
    execFile(process.execPath, [script], { cwd: directory }, (error) => (error === null ? resolve() : reject(error)))
  })
  assert.equal(await received(), before + 1)
  const metrics = await (await fetch(`${platform.url}/metrics`)).text()
  assert.match(metrics, /tributary_gateway_oauth_tokens_total\{[^}]*result="invalid_request"[^}]*\} 1/)
})
