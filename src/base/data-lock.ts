/**
 * The lock of a data directory: a unix socket in it that the holder listens on. It goes away with the process, however that
 * ends, since a socket file that nobody listens on is recognised and replaced.
 */
import { access, constants, mkdir, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { AppError, codeOf, messageOf } from './errors.ts'
import { socketPath } from './socket-path.ts'

export interface DataLock {
  release(): Promise<void>
}

const NAME = 'lock.sock'

/** Takes the lock for `holder` ("the server", "tributary sql"). Throws `data_directory_in_use` (409) when someone has it, and
 *  `bad_option` when the directory can be neither made nor written. */
export async function lockDataDirectory(dataDirectory: string, holder: string): Promise<DataLock> {
  const run = join(dataDirectory, 'run')
  await makeDirectory(run, dataDirectory)
  const path = join(run, NAME)
  for (let attempt = 0; ; attempt++) {
    const server = await tryListen(path, `${holder}, process ${process.pid}`)
    if (server !== undefined) return { release: () => new Promise((resolve) => server.close(() => resolve())) }
    const other = await askHolder(path)
    if (other !== undefined) {
      throw new AppError(
        'data_directory_in_use',
        409,
        `The data directory ${dataDirectory} is in use: Tributary is running on it (${other}).`,
        {
          hint: 'Stop it first, or set TRIBUTARY_DATA to another directory.',
        },
      )
    }
    if (attempt >= 20)
      throw new AppError('data_directory_in_use', 409, `The lock ${path} can be neither taken nor asked.`)
    await removeStale(path)
  }
}

async function makeDirectory(path: string, dataDirectory: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await access(path, constants.W_OK)
  } catch (error) {
    throw new AppError('bad_option', 400, `The data directory ${dataDirectory} cannot be used: ${messageOf(error)}.`, {
      hint: 'Set TRIBUTARY_DATA to a directory that this user may write.',
      cause: error,
    })
  }
}

/** Who holds the lock now; undefined when nobody does. */
export function holderOf(dataDirectory: string): Promise<string | undefined> {
  return askHolder(join(dataDirectory, 'run', NAME))
}

function tryListen(path: string, text: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.end(text)
    })
    server.unref()
    server.once('error', (error) => (codeOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen(socketPath(path), () => resolve(server))
  })
}

function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(path))
    let text = ''
    // A holder that is stopped (SIGSTOP) still has the lock, although it does not answer.
    const timer = setTimeout(() => end('it does not answer'), 2_000)
    const end = (holder: string | undefined) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(holder)
    }
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.on('end', () => end(text))
    socket.on('error', () => end(undefined))
  })
}

/** Moves the file aside before removing it: of two processes that both found it stale, one must not remove the other's new lock. */
async function removeStale(path: string): Promise<void> {
  const aside = `${path}.${process.pid}`
  try {
    await rename(path, aside)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    return
  }
  const holder = await askHolder(aside)
  // It was taken over in between: give it back.
  if (holder !== undefined) await rename(aside, path)
  else await rm(aside, { force: true })
}
