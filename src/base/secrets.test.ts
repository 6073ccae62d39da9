import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  loadKeyRing,
  openSettings,
  openText,
  readSecretKey,
  SECRET_KEY_FILE,
  sealText,
  type KeyRing,
} from './secrets.ts'

const keys: KeyRing = [readSecretKey('a key')]

test('what was sealed opens with the same key, and looks different each time', () => {
  const sealed = sealText('häuser', keys)
  assert.match(sealed.$sealed, /^v1:[0-9a-f]{8}:[\w-]+$/)
  assert.notEqual(sealText('häuser', keys).$sealed, sealed.$sealed)
  assert.equal(openText(sealed, [readSecretKey('a key')]), 'häuser')
  assert.equal(openText(sealText('', keys), keys), '')
})

test('another key is told from damage', () => {
  const sealed = sealText('secret', keys)
  assert.throws(() => openText(sealed, [readSecretKey('another')]), { code: 'secret_key_wrong' })
  const [version, id, data] = sealed.$sealed.split(':')
  const bytes = Buffer.from(data!, 'base64url')
  for (let i = 0; i < bytes.length; i++) {
    const flipped = Buffer.from(bytes)
    flipped[i]! ^= 1
    const $sealed = `${version}:${id}:${flipped.toString('base64url')}`
    assert.throws(() => openText({ $sealed }, keys), { code: 'secret_damaged' }, `byte ${i}`)
  }
  assert.throws(() => openText({ $sealed: 'v1' }, keys), { code: 'secret_key_wrong' })
  assert.throws(() => openText({ $sealed: `v1:${id}:` }, keys), { code: 'secret_damaged' })
})

test('a replaced key still opens when it is given as the previous one', () => {
  const sealed = sealText('secret', keys)
  const ring = loadKeyRing({
    environment: { TRIBUTARY_SECRET_KEY: 'new', TRIBUTARY_SECRET_KEY_PREVIOUS: 'a key' },
    dataDirectory: '/nowhere',
  })
  assert.equal(openText(sealed, ring), 'secret')
  assert.equal(ring[0].id, readSecretKey('new').id)
})

test('settings open whole, and what is not sealed stays', () => {
  const settings = { url: 'http://x', password: sealText('p', keys), list: [sealText('q', keys, '${Q}'), 1, null] }
  assert.deepEqual(openSettings(settings, keys), { url: 'http://x', password: 'p', list: ['q', 1, null] })
})

test('without a key in the environment one is made, once, in a file that only its owner reads', async (t) => {
  const dataDirectory = await directoryOf(t)
  assert.throws(() => loadKeyRing({ environment: {}, dataDirectory }), { code: 'secret_key_missing' })
  const made = loadKeyRing({ environment: {}, dataDirectory, mayCreate: true })
  assert.deepEqual(loadKeyRing({ environment: {}, dataDirectory, mayCreate: true }), made)
  const path = join(dataDirectory, SECRET_KEY_FILE)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.match(await readFile(path, 'utf8'), /^# .+\n[\w+/]{43}=\n$/)
})

test('an emptied key file is refused and not replaced', async (t) => {
  const dataDirectory = await directoryOf(t)
  await writeFile(join(dataDirectory, SECRET_KEY_FILE), '')
  assert.throws(() => loadKeyRing({ environment: {}, dataDirectory, mayCreate: true }), { code: 'secret_key_missing' })
})

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-secrets-'))
  t.after(() => rm(directory, { recursive: true }))
  return directory
}
