/**
 * Unix sockets in directories of any depth. The system takes 107 bytes for the path of a socket, and a data directory may have
 * more; where that is so, the socket is reached through an open descriptor of its directory, which is a short path to the same
 * file.
 */
import { constants, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/** Linux: 107 and the zero byte at the end; macOS: 103. */
const SOCKET_PATH_BYTES_MAX = 103

/** One for each directory, for as long as the process lives. */
const descriptors = new Map<string, number>()

/** A path that `listen` and `connect` can take, for the socket at `path`; its directory must exist. */
export function socketPath(path: string): string {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX || process.platform !== 'linux') return path
  const directory = dirname(path)
  let descriptor = descriptors.get(directory)
  if (descriptor === undefined) {
    descriptor = openDirectory(directory)
    // Nobody listens in a directory that is not there, and the long path says so when it is used.
    if (descriptor === undefined) return path
    descriptors.set(directory, descriptor)
  }
  return `/proc/self/fd/${descriptor}/${basename(path)}`
}

function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch {
    return undefined
  }
}
