/**
 * `journal.json`: the id of the journal and the tag of its frames. There are two copies, so that one flipped bit does not
 * give the journal a new id and thereby reset every cursor.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { AppError } from '../../base/errors.ts'
import type { FileSystem } from '../../base/file-system.ts'
import { readWhole, writeWhole } from '../whole-file.ts'

export interface JournalIdentity {
  formatVersion: number
  /** Renewed by `restore`. */
  id: string
  /** Stands in the header of every frame; kept by `restore`. */
  frameTag: number
}

const formatVersion = 1
const names = ['journal.json', 'journal.copy.json'] as const

interface Parts {
  directory: string
  fileSystem: FileSystem
  /** Makes a random, unguessable id. */
  newId: () => string
}

/** The identity of the journal in `directory`; a new one when there is no journal yet, and mends a damaged copy. One process
 *  calls it before others open the journal (the supervisor, under the lock of the data directory). */
export async function prepareJournal(parts: Parts): Promise<JournalIdentity> {
  const copies = await readCopies(parts)
  const identity = soundCopy(copies) ?? newIdentity(copies, parts)
  if (copies.some((copy) => typeof copy !== 'object')) await writeIdentity(parts, identity)
  return identity
}

/** The identity of the journal in `directory`, which is made when there is none. Does not mend. */
export async function readIdentity(parts: Parts): Promise<JournalIdentity> {
  return soundCopy(await readCopies(parts)) ?? (await prepareJournal(parts))
}

/** Gives the journal another id (after a restore), so that every cursor starts again at the beginning of what is kept. */
export async function renewJournalId(parts: Parts): Promise<string> {
  const identity = { ...(await prepareJournal(parts)), id: parts.newId() }
  await writeIdentity(parts, identity)
  return identity.id
}

/** Refuses data that a later version of the program wrote. */
export function newerFormat(what: string): AppError {
  return new AppError(
    'newer_format',
    500,
    `This data directory holds ${what} written by a newer version of Tributary`,
    {
      hint: 'Start that version or a later one.',
    },
  )
}

type Copy = JournalIdentity | 'absent' | 'damaged'

function readCopies({ fileSystem, directory }: Parts): Promise<Copy[]> {
  return Promise.all(names.map((name) => readCopy(fileSystem, join(directory, name))))
}

function soundCopy(copies: readonly Copy[]): JournalIdentity | undefined {
  return copies.find((copy) => typeof copy === 'object')
}

/** Never in the place of one that cannot be read: a new id would send everything kept to every destination again. */
function newIdentity(copies: readonly Copy[], { directory, newId }: Parts): JournalIdentity {
  if (copies.includes('damaged')) {
    throw new AppError('journal_identity_damaged', 500, `Both copies of journal.json in ${directory} are damaged`, {
      hint: 'Restore the file from a backup of the data directory.',
    })
  }
  return { formatVersion, id: newId(), frameTag: crc32(newId()) }
}

async function readCopy(fileSystem: FileSystem, path: string): Promise<Copy> {
  const bytes = await readWhole(fileSystem, path)
  if (bytes === undefined) return 'absent'
  const end = bytes.indexOf('\n')
  if (end < 0 || bytes.toString('latin1', end + 1).trim() !== crcText(bytes.subarray(0, end))) return 'damaged'
  // Protected by its CRC, so the shape is the one that `writeIdentity` wrote.
  const identity = JSON.parse(bytes.toString('utf8', 0, end)) as JournalIdentity
  if (identity.formatVersion > formatVersion) throw newerFormat('a journal')
  return identity
}

async function writeIdentity({ fileSystem, directory }: Parts, identity: JournalIdentity): Promise<void> {
  await fileSystem.makeDirectory(directory)
  const json = Buffer.from(JSON.stringify(identity))
  const text = Buffer.concat([json, Buffer.from(`\n${crcText(json)}\n`)])
  for (const name of names) await writeWhole(fileSystem, join(directory, name), [text])
}

function crcText(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0')
}
