import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSecretBox, loadSecretKey } from './secrets.ts'

const box = createSecretBox('a key')

test('what was sealed opens with the same key, and looks different each time', () => {
  const sealed = box.seal('häuser')
  assert.match(sealed, /^v1:[0-9a-f]{8}:[\w-]+:[\w-]+:[\w-]+$/)
  assert.notEqual(box.seal('häuser'), sealed)
  assert.equal(createSecretBox('a key').open(sealed), 'häuser')
  assert.equal(box.open(box.seal('')), '')
})

test('another key is told from damage', () => {
  const sealed = box.seal('secret')
  assert.throws(() => createSecretBox('another').open(sealed), { code: 'secret_key_wrong' })
  const parts = sealed.split(':')
  const data = Buffer.from(parts[4]!, 'base64url')
  data[0]! ^= 1
  const changed = [...parts.slice(0, 4), data.toString('base64url')].join(':')
  assert.throws(() => box.open(changed), { code: 'secret_damaged' })
  assert.throws(() => box.open('v1:x'), { code: 'secret_damaged' })
})

test('settings are sealed where they are secret, and open whole', () => {
  const settings = { url: 'http://x', password: 'p', nested: { tokens: ['a', 'b'], plain: 1 } }
  const sealed = box.sealSettings(settings, (path) => ['password', 'nested.tokens'].includes(path.join('.')))
  assert.equal(sealed['url'], 'http://x')
  assert.doesNotMatch(JSON.stringify(sealed), /"p"|"a"|"b"/)
  assert.deepEqual(box.openSettings(sealed), settings)
})

test('the key comes from the environment, else from a file that is made once and only its owner reads', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-secrets-'))
  t.after(() => rm(directory, { recursive: true }))
  const path = join(directory, 'keys', 'secret.key')
  assert.equal(await loadSecretKey({ environment: { TRIBUTARY_SECRET_KEY: 'given' }, path }), 'given')
  const key = await loadSecretKey({ environment: {}, path })
  assert.equal(await loadSecretKey({ environment: {}, path }), key)
  assert.equal((await readFile(path, 'utf8')).trim(), key)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})
