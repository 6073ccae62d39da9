#!/usr/bin/env node
// Finds a Node that can run the product's TypeScript and starts the command line with it. Plain JavaScript, because it must
// also run, and say something useful, on an old Node.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Types are stripped without a flag and kysely runs from here on; what is tested is 26.
const MAJOR_MIN = 24

const cli = join(dirname(fileURLToPath(import.meta.url)), '..', 'src', 'cli', 'main.ts')

if (Number(process.versions.node.split('.')[0]) >= MAJOR_MIN) {
  await import(cli)
} else {
  const bundled = findBundledNode()
  if (bundled === undefined) {
    console.error(
      `Tributary needs Node ${MAJOR_MIN} or newer; this is ${process.version} and the one that comes along is not installed. ` +
        'Run "npm ci" in the project (without --omit=optional), or start it with a newer Node.',
    )
    process.exit(1)
  }
  runWith(bundled)
}

/** The binary of the optional dependency for this platform. */
function findBundledNode() {
  const name = `node-${process.platform}-${process.arch}`
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`))
    const binary = join(folder, 'bin', 'node')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

function runWith(binary) {
  const child = spawn(binary, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(`${binary} could not be started: ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 1))
}
