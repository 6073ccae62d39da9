/**
 * From places in messages to names of schemas, tables and columns (contract: warehouses.md §3). Names repeat from message to
 * message, so each place is named once: the tree below has a node for every place that was seen, and a walk through a message is a
 * walk down the tree.
 */
import { createHash } from 'node:crypto'
import { snakeCase } from '../protocol/index.ts'

/** What of a warehouse decides about names. */
export interface NameRules {
  reservedWords: ReadonlySet<string>
  identifierBytesMax: number
}

/** A place in a message (`properties.shipTo.zipCode`) with the column that its values go to. */
export interface Place {
  /** Keys joined with `.`, as `_unmapped` names the place. */
  readonly path: string
  /** Snake case of all keys, joined; undefined when a key has no letter or digit left, so that there is no column. */
  readonly joined: string | undefined
  /** `joined` as the warehouse takes it. */
  readonly column: string | undefined
  /** 1 for a direct key of properties, traits or context. */
  readonly depth: number
  /** Who gets the column when two places of one message share it: a context field before a key that is the column's name to the
   *  letter, before a path of such keys, before the rest. */
  readonly rank: number
  readonly children: Map<string, Place>
}

/** Tables that hold calls or the state made of them; an event so named goes to `_<name>`. */
export const fixedTables: ReadonlySet<string> = new Set([
  'tracks',
  'identifies',
  'users',
  'pages',
  'screens',
  'groups',
  'accounts',
  'aliases',
])

/** Beyond this many places the tree starts anew: keys that are ids would otherwise fill the memory. */
const PLACES_MAX = 50_000
const EVENTS_MAX = 10_000

export interface Names {
  /** Root of a part of the message. Ask anew for each message: the tree may have been replaced. */
  root(part: 'properties' | 'traits' | 'context'): Place
  /** The place of `key` under `parent`. */
  child(parent: Place, key: string): Place
  /** Slug and table of a track call's event; no table when nothing of the name is left. */
  event(name: string): EventName
  schema(slug: string): string
}

export interface EventName {
  slug: string
  table: string | undefined
}

export function createNames(rules: NameRules): Names {
  let roots = createRoots()
  let placeCount = 0
  const events = new Map<string, EventName>()

  return {
    root(part) {
      if (placeCount > PLACES_MAX) {
        roots = createRoots()
        placeCount = 0
      }
      return roots[part]
    },
    child(parent, key) {
      const known = parent.children.get(key)
      if (known !== undefined) return known
      const made = createPlace(parent, key, rules)
      placeCount += 1
      parent.children.set(key, made)
      return made
    },
    event(name) {
      const known = events.get(name)
      if (known !== undefined) return known
      if (events.size >= EVENTS_MAX) events.clear()
      const slug = snakeCase(name)
      const made = { slug, table: slug === '' ? undefined : tableName(slug, rules) }
      events.set(name, made)
      return made
    },
    schema: (slug) => identifier(snakeCase(slug), rules),
  }
}

function createRoots() {
  const root = (path: string, joined: string, rank: number): Place => {
    return { path, joined, column: undefined, depth: 0, rank, children: new Map() }
  }
  return {
    properties: root('properties', '', RANK_EXACT),
    traits: root('traits', '', RANK_EXACT),
    context: root('context', 'context', RANK_CONTEXT),
  }
}

const RANK_CONTEXT = 3
const RANK_COLUMN_NAME = 2
const RANK_EXACT = 1
const RANK_CHANGED = 0

function createPlace(parent: Place, key: string, rules: NameRules): Place {
  const part = snakeCase(key)
  const joined =
    parent.joined === undefined || part === '' ? undefined : parent.joined === '' ? part : `${parent.joined}_${part}`
  const isExact = part === key && parent.rank > RANK_CHANGED
  return {
    path: `${parent.path}.${key}`,
    joined,
    column: joined === undefined ? undefined : identifier(joined, rules),
    depth: parent.depth + 1,
    rank:
      parent.rank === RANK_CONTEXT
        ? RANK_CONTEXT
        : !isExact
          ? RANK_CHANGED
          : parent.depth === 0
            ? RANK_COLUMN_NAME
            : RANK_EXACT,
    children: new Map(),
  }
}

function tableName(slug: string, rules: NameRules): string {
  return fixedTables.has(slug) ? `_${slug}` : identifier(slug, rules)
}

/** A name that the warehouse takes: `_` before a digit or a reserved word, cut to its limit with a hash of the whole. */
export function identifier(name: string, rules: NameRules): string {
  const first = name.charCodeAt(0)
  const isDigit = first >= 0x30 && first <= 0x39
  const prefixed = isDigit || rules.reservedWords.has(name) ? `_${name}` : name
  if (prefixed.length <= rules.identifierBytesMax) return prefixed
  // Snake case is ASCII, so characters are bytes.
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8)
  return `${prefixed.slice(0, rules.identifierBytesMax - hash.length - 1)}_${hash}`
}
