/**
 * Secrets at rest: AES-256-GCM with one key per installation. Sealed text says which key sealed it, so that a wrong key is told
 * from damage: `v1:<key id>:<iv>:<tag>:<data>`, the last three in base64url. In JSON a sealed string is `{"$sealed": "v1:…"}`.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, scryptSync } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError, codeOf } from './errors.ts'

export interface SecretBox {
  /** Names the key without giving it away. */
  keyId: string
  seal(text: string): string
  /** Throws `secret_key_wrong` when another key sealed the text, and `secret_damaged` when it was changed. */
  open(sealed: string): string
  /** A copy of the settings in which every string at or below a path that `isSecret` names is sealed. */
  sealSettings(
    settings: Record<string, unknown>,
    isSecret: (path: readonly string[]) => boolean,
  ): Record<string, unknown>
  /** A copy of the settings with their secrets in the clear: for the process that uses them, never for a log or an answer. */
  openSettings(sealed: Record<string, unknown>): Record<string, unknown>
}

/** A sealed string inside JSON; `$from` keeps the text it was written as in a config file (`Bearer ${TOKEN}`). */
export interface SealedString {
  $sealed: string
  $from?: string
}

const IV_BYTES = 12
// The same for every installation: every process must come to the same key from the text alone.
const SALT = 'tributary secrets v1'

/** Makes the box for a key, any string; it is stretched with scrypt (about 50 ms), because people choose short ones. */
export function createSecretBox(key: string): SecretBox {
  const derived = scryptSync(key, SALT, 32)
  const keyId = createHmac('sha256', derived).update('key id').digest('hex').slice(0, 8)

  function seal(text: string): string {
    // From the system and never from a seeded source: with GCM a repeated IV gives the key stream away.
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv('aes-256-gcm', derived, iv)
    const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return ['v1', keyId, ...[iv, cipher.getAuthTag(), data].map((part) => part.toString('base64url'))].join(':')
  }

  function openText(sealed: string): string {
    const [version, sealedWith, iv, tag, data] = sealed.split(':')
    if (version !== 'v1' || iv === undefined || tag === undefined || data === undefined) throw damaged()
    if (sealedWith !== keyId) throw wrongKey()
    try {
      const decipher = createDecipheriv('aes-256-gcm', derived, Buffer.from(iv, 'base64url'), { authTagLength: 16 })
      decipher.setAuthTag(Buffer.from(tag, 'base64url'))
      return Buffer.concat([decipher.update(Buffer.from(data, 'base64url')), decipher.final()]).toString('utf8')
    } catch (error) {
      throw damaged(error)
    }
  }

  function sealValue(value: unknown, path: readonly string[], isSecret: (path: readonly string[]) => boolean): unknown {
    if (path.length > 0 && isSecret(path)) return sealStrings(value)
    return mapChildren(value, (child, name) => sealValue(child, [...path, name], isSecret))
  }

  function sealStrings(value: unknown): unknown {
    return typeof value === 'string' ? { $sealed: seal(value) } : mapChildren(value, sealStrings)
  }

  function openValue(value: unknown): unknown {
    return isSealed(value) ? openText(value.$sealed) : mapChildren(value, openValue)
  }

  return {
    keyId,
    seal,
    open: openText,
    // An object gives an object, in both.
    sealSettings: (settings, isSecret) => sealValue(settings, [], isSecret) as Record<string, unknown>,
    openSettings: (settings) => openValue(settings) as Record<string, unknown>,
  }
}

/** True for `{"$sealed": "…"}`. */
export function isSealed(value: unknown): value is SealedString {
  return typeof value === 'object' && value !== null && '$sealed' in value && typeof value.$sealed === 'string'
}

/** A copy of a list or an object with `change` applied to each member; anything else as it is. */
export function mapChildren(value: unknown, change: (child: unknown, name: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((child, index) => change(child, String(index)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, change(child, name)]))
}

export interface SecretKeyOptions {
  environment: Record<string, string | undefined>
  /** Where a key that nobody gave is kept. */
  path: string
}

/** The installation's key: `TRIBUTARY_SECRET_KEY`, else the one in the file at `path`, which is made on first use with mode 0600
 *  and survives a power cut from then on. */
export async function loadSecretKey({ environment, path }: SecretKeyOptions): Promise<string> {
  const given = environment['TRIBUTARY_SECRET_KEY']
  if (given !== undefined && given !== '') return given
  return (await readKey(path)) ?? (await makeKey(path))
}

async function readKey(path: string): Promise<string | undefined> {
  let key: string
  try {
    key = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  if (key !== '') return key
  throw new AppError('secret_key_empty', 500, `The secret key file ${path} is empty.`, {
    hint: 'Put the key back from your backup, or set TRIBUTARY_SECRET_KEY. If nothing was stored yet, delete the file.',
  })
}

async function makeKey(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const key = randomBytes(32).toString('base64url')
  // Exclusive: a key that is there must never be replaced, since everything is sealed with it.
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${key}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
  return key
}

function wrongKey(): AppError {
  return new AppError('secret_key_wrong', 500, 'A stored secret was sealed with another key than the one in use.', {
    hint: 'Start with the TRIBUTARY_SECRET_KEY (or the key file) that this data directory was made with.',
  })
}

function damaged(cause?: unknown): AppError {
  return new AppError('secret_damaged', 500, 'A stored secret is damaged and cannot be opened.', {
    hint: 'Enter the secret again, or restore the control database from a backup.',
    cause,
  })
}
