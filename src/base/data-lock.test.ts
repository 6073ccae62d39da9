import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { holderOf, lockDataDirectory } from './data-lock.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tributary-lock-'))
})
after(() => rm(directory, { recursive: true }))

test('one holder at a time; the second is told who has it', async () => {
  const lock = await lockDataDirectory(directory, 'the server')
  await assert.rejects(lockDataDirectory(directory, 'another'), {
    code: 'data_directory_in_use',
    message: /the server, process \d+/,
  })
  await lock.release()
  assert.equal(await holderOf(directory), undefined)
  const again = await lockDataDirectory(directory, 'another')
  await again.release()
})

test('a holder that was killed leaves nothing that has to be cleaned by hand', async () => {
  const module = fileURLToPath(new URL('./data-lock.ts', import.meta.url))
  const script = `import { lockDataDirectory } from ${JSON.stringify(module)}; await lockDataDirectory(${JSON.stringify(directory)}, 'victim'); console.log('locked'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await assert.rejects(lockDataDirectory(directory, 'second'), { message: /victim/ })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  const lock = await lockDataDirectory(directory, 'second')
  await lock.release()
})

test('of many that find a stale lock at once, one gets it', async () => {
  const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => lockDataDirectory(directory, `n${i}`)))
  const taken = results.filter((result) => result.status === 'fulfilled')
  assert.equal(taken.length, 1)
  await taken[0]?.value.release()
})

test('a directory that is deeper than the path of a socket may be is locked all the same', async () => {
  const deep = join(directory, 'd'.repeat(90), 'data')
  const lock = await lockDataDirectory(deep, 'the server')
  assert.match((await holderOf(deep)) ?? '', /the server/)
  await assert.rejects(lockDataDirectory(deep, 'another'), { code: 'data_directory_in_use' })
  await lock.release()
  assert.equal(await holderOf(deep), undefined)
})

test('a directory that can be neither made nor written is refused with a sentence', async () => {
  const file = join(directory, 'a-file')
  await writeFile(file, '')
  const refused = { code: 'bad_option', message: /^The data directory .*a-file\/data cannot be used: ENOTDIR/ }
  await assert.rejects(lockDataDirectory(join(file, 'data'), 'the server'), refused)
})
