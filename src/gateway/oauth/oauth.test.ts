import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import { Analytics } from '@segment/analytics-node'
import fc from 'fast-check'
import { importPKCS8, SignJWT } from 'jose'
import type { Clock } from '../../base/clock.ts'
import { systemClock } from '../../base/clock.ts'
import { readSecretKey } from '../../base/secrets.ts'
import { createFixedSnapshotSource, defaultDeployment, type OAuthAppSnapshot } from '../../snapshot/index.ts'
import { snapshotOf, tryGateway, type TryGateway, type TrySetup } from '../testing/try-gateway.ts'
import { createAccessTokens, hashOfToken } from './access-token.ts'
import { createUsedIds } from './used-ids.ts'

function keyPair() {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
}

const keys = keyPair()
const app: OAuthAppSnapshot = {
  id: 'oap_1',
  workspace: 1,
  name: 'backend',
  publicKeys: { 'key-1': keys.publicKey },
  tokenLifetimeSeconds: 86_400,
  scopes: ['tracking_api:write'],
  revokedTokens: [],
}
const message = { type: 'track', event: 'Tested', userId: 'u1' }
const secrets = [readSecretKey('shared')] as const

interface Setup {
  apps?: OAuthAppSnapshot[]
  isRequired?: boolean
  clock?: Clock
  publicUrl?: string
}

interface Opened extends TryGateway {
  /** As a newer configuration has them. */
  setApps(apps: OAuthAppSnapshot[]): void
}

async function open(
  t: TestContext,
  { apps = [app], isRequired = true, clock, publicUrl }: Setup = {},
): Promise<Opened> {
  const setup: TrySetup = {
    sources: [{ oauth: { app: 'oap_1', isRequired } }, {}, { oauth: { app: 'oap_2', isRequired: true } }],
    oauthApps: apps,
  }
  const snapshots = createFixedSnapshotSource(snapshotOf(setup))
  const options = { secrets: [...secrets] as const, snapshots, publicUrl, ...(clock === undefined ? {} : { clock }) }
  const gateway = await tryGateway(t, { ...setup, options })
  return {
    ...gateway,
    setApps: (oauthApps) =>
      snapshots.replace({ ...snapshots.current, number: snapshots.current.number + 1, oauthApps }),
  }
}

interface Claims {
  sub?: string
  iss?: string
  aud?: string
  iat?: number
  exp?: number
  jti?: string
}

async function assertionFor(
  url: string,
  claims: Claims = {},
  { kid = 'key-1', alg = 'RS256', key = keys.privateKey }: { kid?: string; alg?: string; key?: string } = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const body = { iss: 'oap_1', sub: 'oap_1', aud: url, iat: now - 5, exp: now + 55, jti: randomUUID(), ...claims }
  const header = { alg, kid, typ: 'JWT' }
  return new SignJWT({ ...body }).setProtectedHeader(header).sign(await importPKCS8(key, alg))
}

function form(assertion: string, more: Record<string, string> = {}): string {
  return new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
    scope: 'tracking_api:write',
    ...more,
  }).toString()
}

async function tokenOf(gateway: TryGateway, claims: Claims = {}): Promise<string> {
  const { status, json } = await gateway.post('/token', form(await assertionFor(gateway.url, claims)))
  assert.equal(status, 200, JSON.stringify(json))
  return String(json['access_token'])
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

test('a signed assertion is exchanged for a token, with which a source that needs one is written to', async (t) => {
  const gateway = await open(t)
  const { status, json, headers } = await gateway.post('/token', form(await assertionFor(gateway.url)))
  assert.deepEqual([status, json['token_type'], json['expires_in']], [200, 'Bearer', 86_400])
  assert.equal(headers.get('cache-control'), 'no-store')
  const token = String(json['access_token'])
  const sent = await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' }, bearer(token))
  assert.deepEqual([sent.status, sent.text], [200, '{"success":true}'])
  assert.equal((await gateway.stored()).length, 1)
})

test('without a token the source refuses, with 401 and a code; other sources do not care', async (t) => {
  const gateway = await open(t)
  const refused = await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' })
  assert.deepEqual([refused.status, refused.json['code']], [401, 'unauthorized'])
  const other = await gateway.post('/v1/track', { ...message, writeKey: 'KEY_2' }, bearer('whatever'))
  assert.equal(other.status, 200)
  await fetch(`${gateway.url}/v1/pixel/track?writeKey=KEY_1&userId=u&event=E`)
  assert.equal((await gateway.stored()).length, 1)
})

test('a source that is connected and does not insist takes both', async (t) => {
  const gateway = await open(t, { isRequired: false })
  assert.equal((await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' })).status, 200)
  const token = await tokenOf(gateway)
  assert.equal((await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' }, bearer(token))).status, 200)
})

test('a token of another app, a revoked, an expired and a tampered one are refused', async (t) => {
  let nowMs = Date.now()
  const clock = { ...systemClock, now: () => nowMs }
  const gateway = await open(t, { clock })
  const token = await tokenOf(gateway)
  const status = async (key: string, given: string) =>
    (await gateway.post('/v1/track', { ...message, writeKey: key }, bearer(given))).status
  assert.equal(await status('KEY_1', token), 200)
  assert.equal(await status('KEY_3', token), 401)
  assert.equal(await status('KEY_1', `${token.slice(0, -2)}AA`), 401)
  gateway.setApps([{ ...app, revokedTokens: [hashOfToken(token)] }])
  assert.equal(await status('KEY_1', token), 401)
  gateway.setApps([])
  assert.equal(await status('KEY_1', token), 401)
  gateway.setApps([app])
  assert.equal(await status('KEY_1', token), 200)
  nowMs += 86_400_000
  assert.equal(await status('KEY_1', token), 401)
})

test('a token that was revoked does not come back in another spelling', async (t) => {
  const gateway = await open(t)
  const token = await tokenOf(gateway)
  gateway.setApps([{ ...app, revokedTokens: [hashOfToken(token)] }])
  const last = token.slice(-1)
  // The last letter of 32 bytes in base64 holds two bits that mean nothing, and padding and other letters are skipped by decoders.
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
  const same = letters.filter((letter) => letter !== last && bytesOf(letter).equals(bytesOf(last)))
  assert.equal(same.length, 3)
  const spellings = [...same.map((letter) => token.slice(0, -1) + letter), `${token}=`, `${token}~`, `${token}.`]
  for (const spelling of spellings) {
    const { status } = await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' }, bearer(spelling))
    assert.equal(status, 401, spelling)
  }

  function bytesOf(letter: string): Buffer {
    return Buffer.from(token.slice(token.indexOf('.') + 1, -1) + letter, 'base64url')
  }
})

test('a key that is taken from the app takes the tokens along that were asked for with it', async (t) => {
  const gateway = await open(t)
  const token = await tokenOf(gateway)
  const send = async () => (await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' }, bearer(token))).status
  const next = { 'key-2': keyPair().publicKey }
  gateway.setApps([{ ...app, publicKeys: { ...app.publicKeys, ...next } }])
  assert.equal(await send(), 200)
  gateway.setApps([{ ...app, publicKeys: next }])
  assert.equal(await send(), 401)
})

test('a token for something else does not write', async (t) => {
  const gateway = await open(t, { apps: [{ ...app, scopes: ['tracking_api:write', 'functions:write'] }] })
  const asked = form(await assertionFor(gateway.url), { scope: 'functions:write' })
  const { json } = await gateway.post('/token', asked)
  assert.equal(json['scope'], 'functions:write')
  const sent = await gateway.post('/v1/track', { ...message, writeKey: 'KEY_1' }, bearer(String(json['access_token'])))
  assert.deepEqual([sent.status, sent.json['code']], [401, 'unauthorized'])
  assert.equal(sent.headers.get('www-authenticate'), 'Bearer error="invalid_token"')
})

const claims = { app: 'oap_1', keyId: 'key-1', scopes: ['tracking_api:write'], expiresAt: 9 }

test('a token holds over a restart and at another door, and under a replaced key', () => {
  const old = createAccessTokens([readSecretKey('old')], randomUUID)
  const token = old.sign(claims)
  const read = (names: [string, ...string[]]) => {
    const [first, ...others] = names.map(readSecretKey)
    return createAccessTokens([first!, ...others], randomUUID).read(token)
  }
  assert.deepEqual(read(['old']), claims)
  assert.deepEqual(read(['new', 'old']), claims)
  assert.equal(read(['new']), undefined)
})

test('no change of a token passes, whatever the app and its key are called', () => {
  const tokens = createAccessTokens([readSecretKey('k')], randomUUID)
  const token = tokens.sign(claims)
  fc.assert(
    fc.property(fc.nat(token.length), fc.nat(token.length), fc.string({ unit: 'grapheme' }), (from, to, part) => {
      const changed = token.slice(0, from) + part + token.slice(to)
      assert.deepEqual(tokens.read(changed), changed === token ? claims : undefined)
    }),
  )
  fc.assert(fc.property(fc.string(), (text) => assert.equal(tokens.read(`trb_${text}`), undefined)))
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (keyId) => {
      assert.deepEqual(tokens.read(tokens.sign({ ...claims, keyId })), { ...claims, keyId })
    }),
  )
})

test('assertions that do not hold get invalid_client', async (t) => {
  const gateway = await open(t)
  const now = Math.floor(Date.now() / 1000)
  const stranger = keyPair()
  const cases: [string, string][] = [
    ['an unknown app', await assertionFor(gateway.url, { sub: 'oap_9' })],
    ['an unknown key', await assertionFor(gateway.url, {}, { kid: 'constructor' })],
    ['the key of a stranger', await assertionFor(gateway.url, {}, { key: stranger.privateKey })],
    ['another audience', await assertionFor('https://elsewhere.example')],
    ['another issuer', await assertionFor(gateway.url, { iss: 'somebody' })],
    ['good for too long', await assertionFor(gateway.url, { exp: now + 3600 })],
    ['good for less than no time', await assertionFor(gateway.url, { iat: now, exp: now - 1 })],
    ['without an id', await assertionFor(gateway.url, { jti: '' })],
    ['with a long id', await assertionFor(gateway.url, { jti: 'j'.repeat(300) })],
    ['times as text', await assertionFor(gateway.url, { iat: String(now) as unknown as number })],
    ['a number as issuer', await assertionFor(gateway.url, { iss: 7 as unknown as string })],
    ['an audience that only begins so', await assertionFor(`${gateway.url}.elsewhere.example`)],
    ['no audience', await assertionFor(null as unknown as string)],
    ['another algorithm', await assertionFor(gateway.url, {}, { alg: 'RS512' })],
    ['no JWT', 'a.b.c'],
    ['huge', 'a'.repeat(10_000)],
    ['unsigned', `${btoa('{"alg":"none","kid":"key-1"}')}.${btoa(`{"sub":"oap_1","aud":"${gateway.url}"}`)}.`],
  ]
  for (const [what, assertion] of cases) {
    const { status, json } = await gateway.post('/token', form(assertion))
    assert.deepEqual([status, json['error']], [401, 'invalid_client'], what)
  }
})

test('the public key does not sign: HS256 with it is refused', async (t) => {
  const gateway = await open(t)
  const now = Math.floor(Date.now() / 1000)
  const forged = await new SignJWT({ sub: 'oap_1', aud: gateway.url, iat: now, exp: now + 50, jti: 'x' })
    .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
    .sign(Buffer.from(keys.publicKey))
  assert.equal((await gateway.post('/token', form(forged))).status, 401)
})

test('no assertion that was changed after it was signed gets a token', async (t) => {
  const gateway = await open(t)
  const assertion = await assertionFor(gateway.url)
  const dots = [assertion.indexOf('.'), assertion.lastIndexOf('.')] as const
  await fc.assert(
    fc.asyncProperty(fc.nat(assertion.length), fc.nat(8), fc.string({ maxLength: 8 }), async (from, drop, part) => {
      const changed = assertion.slice(0, from) + part + assertion.slice(from + drop)
      // What comes after the last dot is the signature, of which one text has several spellings.
      fc.pre(changed.slice(0, dots[1] + 1) !== assertion.slice(0, dots[1] + 1))
      const { status, json } = await gateway.post('/token', form(changed))
      assert.deepEqual([status, json['error']], [401, 'invalid_client'], changed)
    }),
    { numRuns: 200 },
  )
})

test('a header that says things twice, and odd claims, get an answer and no token', async (t) => {
  const gateway = await open(t)
  const payload = btoa(`{"sub":"oap_1","aud":"${gateway.url}"}`)
  const headers = [
    '{"alg":"RS256","alg":"none","kid":"key-1"}',
    '{"alg":"RS256","kid":"key-1","kid":"__proto__"}',
    '{"alg":"RS256","kid":["key-1"]}',
    '{"alg":"RS256","kid":"key-1","crit":["x"],"x":1}',
    '{"alg":"RS256","kid":"key-1","jwk":{"kty":"RSA"},"jku":"http://127.0.0.1/"}',
    '[]',
    'null',
    '"RS256"',
  ]
  for (const header of headers) {
    const { status } = await gateway.post('/token', form(`${btoa(header)}.${payload}.AAAA`))
    assert.equal(status, 401, header)
  }
})

test('a clock that goes wrong is told so, in the words that make the Python SDK try again', async (t) => {
  const gateway = await open(t)
  const now = Math.floor(Date.now() / 1000)
  const wrong = async (iat: number) => {
    const { status, json } = await gateway.post('/token', form(await assertionFor(gateway.url, { iat, exp: iat + 60 })))
    return [status, json['error'], json['error_description']]
  }
  assert.deepEqual(await wrong(now - 300), [400, 'invalid_request', 'Token is expired'])
  assert.deepEqual(await wrong(now + 300), [400, 'invalid_request', 'Token used before issued'])
  for (const iat of [now - 100, now + 40, now - 0.25]) assert.deepEqual(await wrong(iat), [200, undefined, undefined])
})

test('an assertion is used once', async (t) => {
  const gateway = await open(t)
  const assertion = await assertionFor(gateway.url)
  assert.equal((await gateway.post('/token', form(assertion))).status, 200)
  const again = await gateway.post('/token', form(assertion))
  assert.deepEqual([again.status, again.json['error']], [401, 'invalid_client'])
  // Nor by another spelling of its signature.
  const other = `${assertion.slice(0, -1)}${assertion.endsWith('A') ? 'B' : 'A'}`
  assert.equal((await gateway.post('/token', form(other))).status, 401)
})

test('of one app a bounded number of ids is remembered, and it shuts no other app out', () => {
  const used = createUsedIds(2)
  assert.equal(used.use('a', '1', 100, 0), 'new')
  assert.equal(used.use('a', '2', 200, 0), 'new')
  assert.equal(used.use('a', '2', 200, 0), 'used')
  assert.equal(used.use('a', '3', 100, 0), 'full')
  assert.equal(used.use('b', '1', 100, 0), 'new')
  assert.equal(used.use('a', '3', 300, 150), 'new')
  assert.equal(used.use('a', '2', 300, 150), 'used')
  assert.equal(used.use('a', '1', 400, 250), 'new')
})

test('the address is the public one if that is set, else the host of the request; with and without /v1', async (t) => {
  const gateway = await open(t, { publicUrl: 'https://events.example.org' })
  const ask = async (path: string, aud: string) =>
    (await gateway.post(path, form(await assertionFor(aud, { iss: aud })))).status
  const address = 'https://events.example.org'
  for (const aud of [address, `${address}/`, `${address}/token`, `${address}/v1`, `${address}/v1/token`])
    assert.equal(await ask('/token', aud), 200, aud)
  assert.equal(await ask('/token', gateway.url), 401)
  for (const path of ['/token/', '//token', '/v1/token', '/v1/token/', '/v1//token'])
    assert.equal(await ask(path, address), 200, path)
})

test('pages get no answer that they can read, and other methods are told so', async (t) => {
  const gateway = await open(t)
  const answers = await Promise.all([
    fetch(`${gateway.url}/token`, { headers: { origin: 'https://x.example' } }),
    fetch(`${gateway.url}/v1/token`, { method: 'OPTIONS', headers: { origin: 'https://x.example' } }),
    fetch(`${gateway.url}/token`, { method: 'POST', body: form('x'), headers: { origin: 'https://x.example' } }),
  ])
  assert.deepEqual(
    answers.map(({ status, headers }) => [status, headers.get('access-control-allow-origin')]),
    [
      [405, null],
      [405, null],
      [401, null],
    ],
  )
})

test('when there is no room for a form the answer is one at which SDKs try again', async (t) => {
  const settings = { limits: { ...defaultDeployment.limits, inFlightBytesMax: 500 } }
  const gateway = await tryGateway(t, { oauthApps: [app], settings })
  const request = httpRequest(`${gateway.url}/token`, { method: 'POST' })
  request.write('x'.repeat(600))
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  assert.deepEqual([response.statusCode, response.headers['retry-after']], [503, '5'])
  request.end()
  await response.resume().toArray()
})

test('what is wrong with the request itself has the codes of the standard', async (t) => {
  const gateway = await open(t)
  const assertion = await assertionFor(gateway.url)
  const errorOf = async (body: string) => (await gateway.post('/token', body)).json['error']
  assert.equal(await errorOf(form(assertion, { grant_type: 'password' })), 'unsupported_grant_type')
  assert.equal(await errorOf('grant_type=client_credentials'), 'invalid_request')
  assert.equal(await errorOf(form(assertion, { scope: 'public_api:read_write' })), 'invalid_scope')
  assert.equal(await errorOf('x'.repeat(20_000)), 'invalid_request')
})

test("the Node SDK's own OAuth works by changing the host", async (t) => {
  const gateway = await open(t)
  const analytics = new Analytics({
    writeKey: 'KEY_1',
    host: gateway.url,
    flushAt: 1,
    oauthSettings: {
      clientId: 'oap_1',
      clientKey: keys.privateKey,
      keyId: 'key-1',
      authServer: gateway.url,
      scope: 'tracking_api:write',
    },
  })
  analytics.track({ userId: 'u1', event: 'Signed' })
  await analytics.closeAndFlush()
  const [stored] = await gateway.stored()
  assert.equal((stored?.body['batch'] as { event: string }[])[0]?.event, 'Signed')
})
