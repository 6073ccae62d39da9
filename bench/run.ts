/** Runs the benchmarks one after the other: `npm run bench -- [--short] [--record] [name …]`. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const all = [
  'ingest',
  'settings',
  'normalise',
  'whole-path',
  'latency',
  'load',
  'growth',
  'schema',
  'sources',
  'debugger',
  'restart',
  'idle',
  'first-event',
]
const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'))
const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))

for (const name of names.length > 0 ? names : all) {
  const { status } = spawnSync(
    process.execPath,
    [fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), ...options],
    { stdio: 'inherit' },
  )
  if (status !== 0) {
    console.error(`bench/${name}.ts ended with ${status}`)
    process.exit(1)
  }
}
