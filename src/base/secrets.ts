/**
 * Secrets at rest: strings inside JSON, each sealed with AES-256-GCM and kept as `{"$sealed": "v1:<key id>:<data>"}`. The key comes
 * from `TRIBUTARY_SECRET_KEY`; without it, one is made on the first start and kept in `secret.key` in the data directory (mode
 * 0600), which a backup leaves out: a copy of the database alone gives no secret away. A key that was replaced still opens what it
 * sealed when it is given in `TRIBUTARY_SECRET_KEY_PREVIOUS`.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, scryptSync } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { AppError, codeOf } from './errors.ts'

export interface SecretKey {
  /** Eight hex digits that name the key and tell nothing about it. */
  id: string
  bytes: Buffer
}

/** The first key seals; all of them open. */
export type KeyRing = readonly [SecretKey, ...SecretKey[]]

export interface Sealed {
  $sealed: string
  /** What the person wrote instead of the secret (`Bearer ${TOKEN}`), so that an export can write it again. */
  $from?: string
}

/** Kept out of backups by its name. */
export const SECRET_KEY_FILE = 'secret.key'
const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16

/** Makes a key of what the operator gave: 32 bytes in base64 as they are, any other text through scrypt (about 50 ms). */
export function readSecretKey(text: string): SecretKey {
  const raw = /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined
  if (raw?.byteLength === KEY_BYTES) return namedKey(raw)
  // The salt is fixed: every process must come to the same key from the text alone.
  return namedKey(scryptSync(text, 'tributary secret key', KEY_BYTES))
}

function namedKey(bytes: Buffer): SecretKey {
  return { id: createHash('sha256').update('key id').update(bytes).digest('hex').slice(0, 8), bytes }
}

/** The keys of an installation. `mayCreate` is for the one process that writes secrets: it makes the key file when there is neither
 *  file nor variable. Throws `secret_key_missing` when there is none and none may be made. */
export function loadKeyRing(options: {
  environment: NodeJS.ProcessEnv
  dataDirectory: string
  mayCreate?: boolean
}): KeyRing {
  const { environment, dataDirectory } = options
  const path = join(dataDirectory, SECRET_KEY_FILE)
  const given = environment['TRIBUTARY_SECRET_KEY']
  const stored = readKeyFile(path) ?? (!given && options.mayCreate ? createKeyFile(path) : undefined)
  const texts = [given, environment['TRIBUTARY_SECRET_KEY_PREVIOUS'], stored]
  const [first, ...others] = texts
    .filter((text): text is string => text !== undefined && text !== '')
    .map((text) => readSecretKey(text))
  if (first !== undefined) return [first, ...others]
  throw new AppError('secret_key_missing', 500, `There is no key for the secrets: ${path} holds none.`, {
    hint: 'Set TRIBUTARY_SECRET_KEY to the key that this data directory was used with, or put the file back.',
  })
}

/** Empty for a file without a key: that is never taken for a missing file, since secrets may be sealed with what it held. */
function readKeyFile(path: string): string | undefined {
  try {
    const lines = readFileSync(path, 'utf8').split('\n')
    return lines.find((line) => line !== '' && !line.startsWith('#'))?.trim() ?? ''
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function createKeyFile(path: string): string {
  const key = randomBytes(KEY_BYTES).toString('base64')
  // Exclusive: a key that is there already must never be replaced, everything is sealed with it.
  const file = openSync(path, 'wx', 0o600)
  try {
    writeSync(file, `# Opens the secrets of this data directory. Keep it apart from its backups.\n${key}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
  return key
}

/** Seals one text. The same text never gives the same result twice. */
export function sealText(text: string, [key]: KeyRing, from?: string): Sealed {
  // From the system and never from a seeded source: with GCM a repeated IV gives the key stream away.
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key.bytes, iv)
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  const $sealed = `v1:${key.id}:${Buffer.concat([iv, body, cipher.getAuthTag()]).toString('base64url')}`
  return from === undefined ? { $sealed } : { $sealed, $from: from }
}

/** Opens what `sealText` made. Throws `secret_key_wrong` when none of the keys fits, `secret_damaged` when the text was changed. */
export function openText({ $sealed }: Sealed, keys: KeyRing): string {
  const [version, id, data = ''] = $sealed.split(':')
  const key = keys.find((each) => each.id === id)
  if (version !== 'v1') throw damaged()
  if (key === undefined) throw wrongKey()
  const bytes = Buffer.from(data, 'base64url')
  try {
    const iv = bytes.subarray(0, IV_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, iv, { authTagLength: TAG_BYTES })
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch (cause) {
    throw damaged(cause)
  }
}

function wrongKey(): AppError {
  return new AppError(
    'secret_key_wrong',
    500,
    'A stored secret was sealed with another key than those of this start.',
    {
      hint: 'Set TRIBUTARY_SECRET_KEY (or TRIBUTARY_SECRET_KEY_PREVIOUS) to the key that it was sealed with.',
    },
  )
}

function damaged(cause?: unknown): AppError {
  return new AppError('secret_damaged', 500, 'A stored secret is damaged and cannot be opened.', {
    hint: 'Enter the secret again, or restore the control database from a backup.',
    cause,
  })
}

export function isSealed(value: unknown): value is Sealed {
  return typeof value === 'object' && value !== null && '$sealed' in value && typeof value.$sealed === 'string'
}

/** A copy of the JSON with every secret in the clear: for the process that uses it, never for a log or an answer. */
export function openSettings<T>(value: T, keys: KeyRing): T {
  // The shape stays; only sealed strings turn into strings.
  return mapSealed(value, (sealed) => openText(sealed, keys)) as T
}

/** A copy of the JSON in which `replace` has taken the place of every sealed string. */
export function mapSealed(value: unknown, replace: (sealed: Sealed) => unknown): unknown {
  return isSealed(value) ? replace(value) : mapChildren(value, (child) => mapSealed(child, replace))
}

/** A copy of a list or an object with `change` applied to each member; anything else as it is. */
export function mapChildren(value: unknown, change: (child: unknown, name: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((child, index) => change(child, String(index)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, change(child, name)]))
}
