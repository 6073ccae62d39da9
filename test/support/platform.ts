/** Starts the real product, as an operator would, in a folder of its own. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const launcher = fileURLToPath(new URL('../../bin/tributary.mjs', import.meta.url))

export interface PlatformOptions {
  /** The config file as YAML; absent: a first start without one. */
  config?: string
  environment?: Record<string, string>
  /** Reuse a folder of an earlier platform; then it is not removed by `dispose`. */
  directory?: string
}

export interface CliResult {
  code: number
  stdout: string
  stderr: string
}

export interface Platform {
  url: string
  port: number
  directory: string
  dataDirectory: string
  /** Everything printed to stdout so far. */
  stdout(): string
  /** Logs. */
  stderr(): string
  process: ChildProcess
  cli(...args: string[]): Promise<CliResult>
  /** `cli(..., '--json')`, parsed. */
  json(...args: string[]): Promise<unknown>
  /** Process ids by role, of the children that run now. */
  children(): Map<string, number>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  /** Starts the same installation again after `stop` or a kill of the parent. */
  restart(): Promise<Platform>
  /** Stops if need be and removes the folder. */
  dispose(): Promise<void>
}

export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'tributary-flow-')))
  const dataDirectory = join(directory, 'data')
  const configPath = join(directory, 'tributary.yaml')
  if (options.config !== undefined) await writeFile(configPath, options.config)
  const port = await freePort()
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    TRIBUTARY_DATA: dataDirectory,
    TRIBUTARY_PORT: String(port),
    ...(options.config === undefined ? {} : { TRIBUTARY_CONFIG: configPath }),
    TRIBUTARY_LOG: process.env['TRIBUTARY_LOG'] ?? 'warn',
    ...options.environment,
  }
  // Without this, `npm test` in a folder that has a tributary.yaml would apply it.
  const child = spawn(process.execPath, [launcher, 'start'], {
    cwd: directory,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed.stderr += text))
  await untilReady(child, printed)

  const platform: Platform = {
    url: `http://127.0.0.1:${port}`,
    port,
    directory,
    dataDirectory,
    stdout: () => printed.stdout,
    stderr: () => printed.stderr,
    process: child,
    cli: (...args) => runCli(args, { cwd: directory, env: environment }),
    async json(...args) {
      const { code, stdout, stderr } = await platform.cli(...args, '--json')
      if (code !== 0) throw new Error(`tributary ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`)
      return JSON.parse(stdout)
    },
    children: () => childrenOf(child.pid ?? 0),
    stop: () => stopProcess(child),
    async restart() {
      return startPlatform({ ...options, directory })
    },
    async dispose() {
      if (child.exitCode === null && child.signalCode === null) await stopProcess(child)
      await rm(directory, { recursive: true, force: true })
    },
  }
  return platform
}

function untilReady(child: ChildProcess, printed: { stdout: string; stderr: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (/^tributary ready /m.test(printed.stdout)) resolve()
    }
    child.stdout?.on('data', check)
    child.once('exit', (code, signal) =>
      reject(
        new Error(`The product ended (${code ?? signal}) before it was ready.\n${printed.stdout}\n${printed.stderr}`),
      ),
    )
  })
}

export function runCli(args: string[], options: { cwd: string; env: NodeJS.ProcessEnv }): Promise<CliResult> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [launcher, ...args],
      { ...options, maxBuffer: 512 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
        resolve({ code, stdout, stderr })
      },
    )
  })
}

function stopProcess(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code))
    child.kill('SIGTERM')
  })
}

/** Reads /proc: the role is the last argument of each child. */
function childrenOf(parent: number): Map<string, number> {
  const children = new Map<string, number>()
  for (const pid of readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ')) {
    if (pid === '') continue
    try {
      const role = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean).at(-1)
      if (role !== undefined) children.set(role, Number(pid))
    } catch {
      // It ended between the two reads.
    }
  }
  return children
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
