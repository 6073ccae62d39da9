import { createHash } from 'node:crypto'

/** Where web pages and apps reach this installation. */
export interface PublicAddress {
  protocol: 'http' | 'https'
  /** Host, with the port when it is not the usual one, and the path a proxy adds, without a slash at the end. */
  host: string
}

/**
 * How the paths of library, settings and tracking calls are called. `neutral` ones have no word in them by which content blockers
 * know the usual ones: all of them lie below one folder, whose name is of consonants and follows from the write key, so that no two
 * sites have the same.
 */
export type PathNames = 'usual' | 'neutral'

export function urlOf({ protocol, host }: PublicAddress): string {
  return `${protocol}://${host}`
}

const consonants = 'bcdfghjklmnpqrstvwxz'
const FOLDER_LENGTH = 12

/** Matches a path below a neutral folder: the folder, and what follows. */
export const neutralPattern = new RegExp(`^/([${consonants}]{${FOLDER_LENGTH}})/(.+)$`)

/** Name of the folder of the neutral paths of a write key. */
export function neutralFolderOf(writeKey: string): string {
  const digest = createHash('sha256').update(`neutral folder\n${writeKey}`).digest()
  // The digest is longer than the name.
  return Array.from({ length: FOLDER_LENGTH }, (_, i) => consonants[digest[i]! % consonants.length]).join('')
}

/** What the library has as the address of its CDN. */
export function cdnOf(address: PublicAddress, writeKey: string, names: PathNames): string {
  return names === 'usual' ? urlOf(address) : `${urlOf(address)}/${neutralFolderOf(writeKey)}`
}

/** What the library has as `apiHost`: it adds the protocol before it and the call after it. */
export function apiHostOf({ host }: PublicAddress, writeKey: string, names: PathNames): string {
  return names === 'usual' ? `${host}/v1` : `${host}/${neutralFolderOf(writeKey)}`
}

/** The script's name in a neutral folder. */
export const NEUTRAL_SCRIPT = 'm.js'
