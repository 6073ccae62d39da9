/** Which strings of a config file are secrets: those that come from the environment, those whose setting the connector calls one,
 *  and those whose name says so. */
import { isSecretText, type MarkedJson } from './config.ts'
import { pathKey, type ReadYaml } from './read-yaml.ts'
import type { Path } from './problem.ts'
import { mapChildren } from '../../base/secrets.ts'

// For connectors we do not know, and for headers and the like inside a mapping.
const secretName =
  /secret|passw(or)?d|passphrase|(^|[_-]|[a-z])token$|api[_-]?key|private[_-]?key|access[_-]?key|credential|^authorization$/i

export interface SecretMarks {
  writtenAs: ReadYaml['writtenAs']
  /** Settings that the connector calls secret. */
  names?: readonly string[]
}

/** A copy of the JSON that stands at `path` of the file, its secrets marked. */
export function markSecrets(
  value: Record<string, unknown>,
  path: Path,
  { writtenAs, names = [] }: SecretMarks,
): MarkedJson {
  const mark = (inner: unknown, at: Path, isSecret: boolean): unknown => {
    if (typeof inner === 'string') {
      const from = writtenAs.get(pathKey(at))
      if (from !== undefined) return { $secret: inner, $from: from }
      return isSecret && inner !== '' ? { $secret: inner } : inner
    }
    const isList = Array.isArray(inner)
    return mapChildren(inner, (child, name) =>
      mark(
        child,
        [...at, isList ? Number(name) : name],
        isSecret || (!isList && secretName.test(name)) || names.includes(name),
      ),
    )
  }
  // An object gives an object.
  return mark(value, path, false) as MarkedJson
}

/** A copy of the JSON with its secrets as plain strings. */
export function unmarkSecrets(value: MarkedJson): Record<string, unknown> {
  const unmark = (inner: unknown): unknown => (isSecretText(inner) ? inner.$secret : mapChildren(inner, unmark))
  return unmark(value) as Record<string, unknown>
}
