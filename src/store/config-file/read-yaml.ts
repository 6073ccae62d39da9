/** YAML with the line of everything in it, and `${NAME}` taken from the environment. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import type { Path, Problem } from './problem.ts'

export interface ReadYaml {
  /** Plain JSON, placeholders replaced. */
  value: unknown
  /** The text as it stands in the file, of each string that names the environment. By `pathKey`. */
  writtenAs: ReadonlyMap<string, string>
  problems: (Problem & { line?: number })[]
  /** Line, from 1, of the deepest part of the path that is in the file. */
  lineOf(path: Path): number
}

// Unquoted `${NAME}` cannot stand inside `{ … }` in YAML, though every reader expects it to. Characters of the private use area can
// stand anywhere, so placeholders are written with these while YAML reads the text; as long as before, so that lines and columns
// stay true. `$${NAME}` means the text `${NAME}`.
const placeholder = /\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}/g
const OPEN = '\uE0F0\uE0F1'
const OPEN_ESCAPED = '\uE0F0\uE0F2\uE0F1'
const CLOSE = '\uE0F3'
const hidden = /\uE0F0(\uE0F2?)\uE0F1([A-Za-z_][A-Za-z0-9_]*)\uE0F3/g

/** Reads the text. Problems have lines of their own where only YAML knows them. */
export function readYaml(text: string, environment: Record<string, string | undefined>): ReadYaml {
  const lines = new LineCounter()
  const hiddenText = text.replace(
    placeholder,
    (_, escape: string, name: string) => `${escape ? OPEN_ESCAPED : OPEN}${name}${CLOSE}`,
  )
  const document = parseDocument(hiddenText, { lineCounter: lines, prettyErrors: false })
  const problems: ReadYaml['problems'] = document.errors.map((error) => ({
    path: [],
    reason: show(error.message),
    line: lines.linePos(error.pos[0]).line,
  }))
  const writtenAs = new Map<string, string>()

  function substitute(value: unknown, path: Path): unknown {
    if (typeof value === 'string') return substituteText(value, path)
    if (Array.isArray(value)) return value.map((item, i) => substitute(item, [...path, i]))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [show(key), substitute(inner, [...path, show(key)])]),
    )
  }

  function substituteText(value: string, path: Path): string {
    const missing: string[] = []
    let isFromEnvironment = false
    const result = value.replace(hidden, (_, escape: string, name: string) => {
      if (escape) return `\${${name}}`
      isFromEnvironment = true
      const found = environment[name]
      if (found === undefined) missing.push(name)
      return found ?? ''
    })
    for (const name of missing) problems.push({ path, reason: `The environment has no variable ${name}.` })
    if (isFromEnvironment) writtenAs.set(pathKey(path), show(value))
    return result
  }

  return {
    value: document.errors.length > 0 ? {} : substitute(toJson(document, problems), []),
    writtenAs,
    problems,
    lineOf: (path) => lines.linePos(offsetOf(document, path)).line || 1,
  }
}

export function pathKey(path: Path): string {
  return JSON.stringify(path)
}

function toJson(document: Document.Parsed, problems: ReadYaml['problems']): unknown {
  try {
    return document.toJS() ?? {}
  } catch (error) {
    // Aliases that blow up, or that point nowhere.
    problems.push({ path: [], reason: error instanceof Error ? error.message : String(error) })
    return {}
  }
}

/** The text with its placeholders as the person wrote them. */
function show(text: string): string {
  return text.replace(hidden, (_, escape: string, name: string) => `$${escape ? '$' : ''}{${name}}`)
}

function offsetOf(document: Document.Parsed, path: Path): number {
  let node: unknown = document.contents
  let offset = startOf(node)
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => show(String(isScalar(key) ? key.value : key)) === String(part))
      if (pair === undefined) break
      offset = startOf(pair.key)
      node = pair.value
    } else if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
      node = node.items[part]
      offset = startOf(node)
    } else break
  }
  return offset
}

function startOf(node: unknown): number {
  return (node as Node | null | undefined)?.range?.[0] ?? 0
}
