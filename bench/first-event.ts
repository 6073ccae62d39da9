/** From a fresh clone: `npm ci && npm start` to the first accepted event. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { report } from './report.ts'
import { freePort } from '../test/support/platform.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'tributary-clone-'))
const clone = join(directory, 'tributary')
execFileSync('git', ['clone', '--quiet', root, clone])
const port = await freePort()
const startedAt = performance.now()
const shell = spawn('sh', ['-c', 'npm ci --no-audit --no-fund >/dev/null 2>&1 && exec npm start'], {
  cwd: clone,
  env: { ...process.env, TRIBUTARY_PORT: String(port), TRIBUTARY_DATA: join(directory, 'data') },
  stdio: ['ignore', 'pipe', 'inherit'],
})
let printed = ''
shell.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
try {
  const seconds = await firstAccepted()
  report('First event', [
    {
      what: '`npm ci && npm start` to the first accepted event',
      result: `${seconds.toFixed(1)} s`,
      budget: '≤ 60 s',
      isMet: seconds <= 60,
    },
  ])
} finally {
  const ended = new Promise((resolve) => shell.once('exit', resolve))
  shell.kill('SIGTERM')
  await ended
  rmSync(directory, { recursive: true, force: true })
}

async function firstAccepted(): Promise<number> {
  for (;;) {
    const key = /write key\W+(\S+)/i.exec(printed)?.[1]
    if (key !== undefined && printed.includes('tributary ready')) {
      const response = await fetch(`http://127.0.0.1:${port}/v1/track`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${key}:`).toString('base64')}` },
        body: JSON.stringify({ userId: 'u', event: 'First' }),
      })
      if (response.status === 200) return (performance.now() - startedAt) / 1000
    }
    if (shell.exitCode !== null) throw new Error(`npm ended with ${shell.exitCode}:\n${printed}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
