/** Talks to the running server over its socket; with none running, opens the data directory under its lock and asks in process. */
import { existsSync } from 'node:fs'
import { callLocal, streamLocal, type LocalHandlers } from '../base/local-socket.ts'
import { AppError, codeOf } from '../base/errors.ts'
import { holderOf, lockDataDirectory, type DataLock } from '../base/data-lock.ts'
import { openOffline, pathsOf, readStartOptions } from '../main/index.ts'

export interface ControlClient {
  call(method: string, params?: unknown): Promise<unknown>
  stream(method: string, params?: unknown): AsyncIterable<unknown>
  readonly isOffline: boolean
  close(): Promise<void>
}

export interface ControlClientOptions {
  /** What the command is called, when it makes no sense without a running server. */
  needsServer?: string
  /** Makes a data directory where there is none. */
  mayCreate?: boolean
}

/** Throws `server_not_running`, `no_data_directory`, or `data_directory_in_use` when another command works on it. */
export async function openControlClient(
  environment: NodeJS.ProcessEnv,
  { needsServer, mayCreate = false }: ControlClientOptions = {},
): Promise<ControlClient> {
  const { dataDirectory } = readStartOptions(environment)
  const { socketOf, controlDatabase } = pathsOf(dataDirectory)
  const socketPath = socketOf('control')
  if ((await holderAfterCommands(dataDirectory)) !== undefined) {
    return {
      isOffline: false,
      call: (method, params) => callLocal(socketPath, method, params),
      stream: (method, params) => streamLocal(socketPath, method, params),
      close: async () => {},
    }
  }
  if (needsServer !== undefined) {
    throw new AppError(
      'server_not_running',
      409,
      `"tributary ${needsServer}" needs a running server, and none runs on ${dataDirectory}.`,
      {
        hint: 'Start it with "npm start", or set TRIBUTARY_DATA to the directory of the one that runs.',
      },
    )
  }
  if (!mayCreate && !existsSync(controlDatabase)) {
    throw new AppError('no_data_directory', 404, `Tributary was never started or configured on ${dataDirectory}.`, {
      hint: 'Start it with "npm start", or set TRIBUTARY_DATA to another directory.',
    })
  }
  return openInProcess(environment, dataDirectory)
}

const HOLDER = 'a tributary command'
const COMMAND_WAIT_MS = 30_000
const COMMAND_POLL_MS = 50

/** Who has the data directory. Another command gives it back soon, so that one is waited for. */
async function holderAfterCommands(dataDirectory: string): Promise<string | undefined> {
  const deadlineMs = Date.now() + COMMAND_WAIT_MS
  for (;;) {
    const holder = await holderOf(dataDirectory)
    if (holder?.startsWith(HOLDER) !== true || Date.now() > deadlineMs) return holder
    await new Promise((resolve) => setTimeout(resolve, COMMAND_POLL_MS))
  }
}

/** Takes the lock, when other commands have given it back. */
async function lockAfterCommands(dataDirectory: string): Promise<DataLock> {
  for (;;) {
    try {
      return await lockDataDirectory(dataDirectory, HOLDER)
    } catch (error) {
      if (codeOf(error) !== 'data_directory_in_use' || (await holderAfterCommands(dataDirectory)) !== undefined)
        throw error
    }
  }
}

async function openInProcess(environment: NodeJS.ProcessEnv, dataDirectory: string): Promise<ControlClient> {
  const lock = await lockAfterCommands(dataDirectory)
  // A command prints what was asked for; its log is for trouble.
  process.env['TRIBUTARY_LOG'] ??= 'warn'
  try {
    const offline = await openOffline(environment)
    return {
      isOffline: true,
      call: async (method, params) => handlerOf(offline.handlers, method)(params),
      async *stream(method, params) {
        const answered = handlerOf(offline.handlers, method)(params)
        if (Symbol.asyncIterator in answered) yield* answered
      },
      async close() {
        await offline.close()
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

function handlerOf(handlers: LocalHandlers, method: string) {
  const handler = handlers[method]
  if (handler === undefined) throw new AppError('unknown_method', 404, `There is no method "${method}".`)
  return handler
}
