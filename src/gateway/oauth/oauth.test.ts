import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { Analytics } from '@segment/analytics-node'
import fc from 'fast-check'
import { importPKCS8, SignJWT } from 'jose'
import type { Clock } from '../../base/clock.ts'
import { systemClock } from '../../base/clock.ts'
import { readSecretKey } from '../../base/secrets.ts'
import type { OAuthAppSnapshot } from '../../snapshot/index.ts'
import { tryGateway, type TryGateway } from '../testing/try-gateway.ts'
import { createAccessTokens, hashOfToken } from './access-token.ts'

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

async function open(
  t: TestContext,
  more: { apps?: OAuthAppSnapshot[]; isRequired?: boolean; clock?: Clock } = {},
): Promise<TryGateway> {
  const oauth = { app: 'oap_1', isRequired: more.isRequired ?? true }
  return tryGateway(t, {
    sources: [{ oauth }, {}, { oauth: { app: 'oap_2', isRequired: true } }],
    oauthApps: more.apps ?? [app],
    options: { secrets: [...secrets], ...(more.clock === undefined ? {} : { clock: more.clock }) },
  })
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
  const apps = [structuredClone(app)]
  const gateway = await open(t, { apps, clock })
  const token = await tokenOf(gateway)
  const status = async (key: string, given: string) =>
    (await gateway.post('/v1/track', { ...message, writeKey: key }, bearer(given))).status
  assert.equal(await status('KEY_1', token), 200)
  assert.equal(await status('KEY_3', token), 401)
  assert.equal(await status('KEY_1', `${token.slice(0, -2)}AA`), 401)
  apps[0]!.revokedTokens.push(hashOfToken(token))
  assert.equal(await status('KEY_1', token), 401)
  apps[0]!.revokedTokens = []
  nowMs += 86_400_000
  assert.equal(await status('KEY_1', token), 401)
})

test('a token holds over a restart and at another door, and under a replaced key', () => {
  const old = createAccessTokens([readSecretKey('old')], randomUUID)
  const token = old.sign({ app: 'oap_1', scopes: ['tracking_api:write'], expiresAt: 9 })
  const read = (names: [string, ...string[]]) => {
    const [first, ...others] = names.map(readSecretKey)
    return createAccessTokens([first!, ...others], randomUUID).read(token)
  }
  assert.deepEqual(read(['old']), { app: 'oap_1', scopes: ['tracking_api:write'], expiresAt: 9 })
  assert.deepEqual(read(['new', 'old']), read(['old']))
  assert.equal(read(['new']), undefined)
})

test('no change of a token passes', () => {
  const tokens = createAccessTokens([readSecretKey('k')], randomUUID)
  const token = tokens.sign({ app: 'oap_1', scopes: ['tracking_api:write'], expiresAt: 9 })
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.constantFrom(...'ABCxyz019-_.'), (at, letter) => {
      const changed = token.slice(0, at) + letter + token.slice(at + 1)
      // The last letter of a base64 text holds bits that mean nothing.
      if (changed === token || at === token.length - 1) return
      assert.equal(tokens.read(changed), undefined)
    }),
  )
  fc.assert(fc.property(fc.string(), (text) => assert.equal(tokens.read(`trb_${text}`), undefined)))
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
    ['expired', await assertionFor(gateway.url, { iat: now - 300, exp: now - 200 })],
    ['of the future', await assertionFor(gateway.url, { iat: now + 300, exp: now + 350 })],
    ['good for too long', await assertionFor(gateway.url, { exp: now + 3600 })],
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

test('an assertion is used once', async (t) => {
  const gateway = await open(t)
  const assertion = await assertionFor(gateway.url)
  assert.equal((await gateway.post('/token', form(assertion))).status, 200)
  const again = await gateway.post('/token', form(assertion))
  assert.deepEqual([again.status, again.json['error']], [401, 'invalid_client'])
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
