/** A certificate of its own, as SDKs that cannot speak plain HTTP need it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { selfSigned } from '../support/self-signed.ts'
import { startPlatform } from '../support/platform.ts'

test('with TRIBUTARY_TLS_CERT and TRIBUTARY_TLS_KEY the port speaks https, and says so', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-tls-'))
  const { certificate, key } = selfSigned({ withAddress: true })
  const paths = { certificate: join(directory, 'certificate.pem'), key: join(directory, 'key.pem') }
  await Promise.all([writeFile(paths.certificate, certificate), writeFile(paths.key, key, { mode: 0o600 })])
  const platform = await startPlatform({
    config: 'sources: { api: { writeKeys: [API_KEY] } }\n',
    environment: { TRIBUTARY_TLS_CERT: paths.certificate, TRIBUTARY_TLS_KEY: paths.key },
  })
  t.after(async () => {
    await platform.dispose()
    await rm(directory, { recursive: true })
  })
  assert.match(platform.stdout(), new RegExp(`https://[\\w.]+:${platform.port}`))
  const to = { host: '127.0.0.1', port: platform.port, ca: certificate, agent: false }
  const post = httpsRequest({ ...to, path: '/v1/track', method: 'POST' })
  post.end(JSON.stringify({ writeKey: 'API_KEY', userId: 'u1', event: 'Tested', messageId: 'm1' }))
  const [taken] = (await once(post, 'response')) as [IncomingMessage]
  assert.deepEqual([taken.statusCode, await text(taken)], [200, '{"success":true}'])
})
