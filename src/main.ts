/**
 * One process of an installation: `node src/main.ts ROLE`, started by the supervisor, which tells it to stop over the IPC channel.
 * Wires the rooms of that role together; what they do is in the rooms.
 */
import { connect } from 'node:net'
import { AppError, codeOf, messageOf } from './base/errors.ts'
import { serveLocal } from './base/local-socket.ts'
import { createLogger } from './base/logger.ts'
import { socketPath } from './base/socket-path.ts'
import { releaseStartupMemory } from './base/startup-memory.ts'
import { pathsOf } from './main/paths.ts'
import { openProcessContext, type ProcessContext } from './main/process-context.ts'
import type { RunningRole } from './main/role.ts'
import { readStartOptions } from './main/start-options.ts'
import type { ChildMessage, ParentMessage, Role } from './main/processes.ts'

type DataRole = Exclude<Role, 'control'>

// Each process loads its own rooms only: five times all of them would be 150 MB more.
const starters: Record<DataRole, (context: ProcessContext) => Promise<RunningRole>> = {
  gateway: async (context) => (await import('./main/gateway.ts')).startGateway(context),
  pipeline: async (context) => (await import('./main/pipeline.ts')).startPipeline(context),
  delivery: async (context) => (await import('./main/delivery.ts')).startDelivery(context),
  loader: async (context) => (await import('./main/loader.ts')).startLoader(context),
}

/** sysexits: EX_SOFTWARE. The supervisor restarts whatever the code is. */
const EXIT_FAILED = 70

const listenFailures: Record<string, string> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'this user may not',
  EADDRNOTAVAIL: 'this machine does not have the address',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name could not be looked up',
}

const role = process.argv[2] as Role
const log = createLogger(role)

// An error that nobody caught, a broken assertion among them: state in memory may be wrong, so it is thrown away whole.
process.on('uncaughtException', stopProcess)
process.on('unhandledRejection', stopProcess)
// Ctrl-C reaches the whole process group; the order to stop comes from the parent alone.
process.on('SIGINT', () => {})
// Without its parent nobody holds the lock of the data directory: end at once, everything acknowledged is durable.
process.on('disconnect', () => process.exit(EXIT_FAILED))

await run()

async function run(): Promise<void> {
  try {
    const options = readStartOptions(process.env)
    const path = pathsOf(options.dataDirectory).socketOf(role)
    await waitForPredecessor(path)
    const running = role === 'control' ? await startControlRole() : await startDataRole(role)
    const server = await serveLocal(path, running.handlers)
    const stop = once(async () => {
      await running.stop()
      await server.close()
      process.exit(0)
    })
    process.on('message', (message: ParentMessage) => {
      if (message.type === 'stop') void stop()
    })
    process.on('SIGTERM', () => void stop())
    const ready: ChildMessage = { type: 'ready' }
    if (running.lines !== undefined) ready.lines = running.lines
    if (running.address !== undefined) ready.address = running.address
    process.send?.(ready)
    setTimeout(releaseStartupMemory, 1_000).unref()
  } catch (error) {
    const refusal = refusalOf(error)
    if (refusal === undefined) stopProcess(error)
    else refuse(refusal)
  }

  async function startControlRole(): Promise<RunningRole> {
    const { startControl } = await import('./main/control.ts')
    return startControl(readStartOptions(process.env), stopProcess)
  }

  async function startDataRole(dataRole: DataRole): Promise<RunningRole> {
    const options = readStartOptions(process.env)
    const context = await openProcessContext(dataRole, options, stopProcess)
    const running = await starters[dataRole](context)
    return {
      ...running,
      handlers: { ...running.handlers, metrics: () => context.metrics.metrics() },
      async stop() {
        await running.stop()
        await context.journal.close()
        context.snapshots.close()
      },
    }
  }
}

/** Each file has one writer. A child whose parent was killed ends by itself; the next one waits until it has. */
async function waitForPredecessor(path: string): Promise<void> {
  for (let attempt = 0; attempt < 200 && (await isAnswered(path)); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(path))
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

/** What the operator has to mend before it can start: a bad config file, an address that cannot be listened on, a newer data
 *  directory. */
function refusalOf(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error
  const reason = listenFailures[codeOf(error) ?? '']
  if (role !== 'gateway' || reason === undefined) return undefined
  const { host, port } = readStartOptions(process.env)
  const hint = 'Set TRIBUTARY_PORT or TRIBUTARY_HOST to another one.'
  return new AppError('cannot_listen', 409, `Tributary cannot listen on ${host}:${port}: ${reason}. ${hint}`)
}

function refuse(error: AppError): void {
  const isConfig = error.code.startsWith('config') || error.code.startsWith('bad_')
  const refused: ChildMessage = { type: 'refused', exitCode: isConfig ? 2 : 1, message: error.message }
  process.send?.(refused, () => process.exit(refused.exitCode))
}

function stopProcess(error: unknown): void {
  log.fatal({ err: error, reason: messageOf(error) }, 'this process cannot go on; it will be restarted')
  process.exit(EXIT_FAILED)
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => (running ??= run())
}
