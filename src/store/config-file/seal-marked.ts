import { AppError } from '../../base/errors.ts'
import { isSealed, mapChildren, openText, sealText, type KeyRing, type Sealed } from '../../base/secrets.ts'
import { BULLETS, isSecretText, type MarkedJson } from './config.ts'
import { formatPath, type Path } from './problem.ts'

export interface SealOptions {
  secrets: KeyRing
  /** Where it stands in the file. */
  path: Path
  /** Told of bullets that stand for nothing. */
  refuse: (path: string, reason: string) => void
}

/** Seals the marked secrets of settings. One that is stored already keeps its sealed text, so that the same file twice makes no
 *  difference; bullets stand for what is stored. */
export function sealMarked(marked: MarkedJson, stored: unknown, options: SealOptions): Record<string, unknown> {
  // An object gives an object.
  return seal(marked, stored, options) as Record<string, unknown>
}

function seal(value: unknown, stored: unknown, options: SealOptions): unknown {
  if (isSecretText(value) || value === BULLETS) return sealSecret(value, stored, options)
  return mapChildren(value, (child, name) => {
    const part = Array.isArray(value) ? Number(name) : name
    return seal(child, memberOf(stored, name), { ...options, path: [...options.path, part] })
  })
}

function sealSecret(value: unknown, stored: unknown, { secrets, path, refuse }: SealOptions): unknown {
  const { $secret, $from } = isSecretText(value) ? value : { $secret: BULLETS }
  if ($secret === BULLETS) {
    if (isSealed(stored)) return stored
    refuse(formatPath(path), 'The bullets stand for a stored secret, but none is stored here.')
    return value
  }
  if (isSealed(stored) && stored.$from === $from && openIfPossible(stored, secrets) === $secret) return stored
  return sealText($secret, secrets, $from)
}

/** Undefined for a secret that another key sealed: applying the file is a way to mend that. */
function openIfPossible(sealed: Sealed, secrets: KeyRing): string | undefined {
  try {
    return openText(sealed, secrets)
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || isSealed(value)) return undefined
  // Lists have their indexes as names.
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}
