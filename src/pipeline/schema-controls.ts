/**
 * The toggles of a source's schema page (contract: sources.md §8), made ready for use: whether a message is blocked is one look into
 * a set, whatever the number of names, and a source without toggles costs one look into a map for a whole request.
 *
 * The snapshot that is in force when a message is decided applies. What has been decided stays as it is.
 */
import type { Forwarding } from '../journal/index.ts'
import { isJsonObject, type JsonObject, type Message } from '../protocol/index.ts'
import type { SchemaControls, Snapshot, SnapshotSource, SourceSnapshot } from '../snapshot/index.ts'

export interface SourceControls {
  isBlocked(message: Message): boolean
  /** Where its blocked events go. Absent: nowhere, also when that source is gone. */
  forwarding?: Forwarding
  /** Takes blocked traits out of the message and names them in `context.protocols`. True when there were any. */
  omitTraits(message: Message): boolean
}

/** The controls of a source by its number; undefined when it has none. */
export type ControlsOf = (source: number) => SourceControls | undefined

/** Follows the snapshot: a source is looked up anew for each snapshot, when its next request comes. */
export function createControls(snapshots: Pick<SnapshotSource, 'current'>): ControlsOf {
  let of: Snapshot | undefined
  let sources = new Map<number, SourceSnapshot>()
  let ready = new Map<number, SourceControls | undefined>()

  function lookUp(source: number): SourceControls | undefined {
    const found = sources.get(source)
    const controls = found?.schema && controlsFrom(found, found.schema, sources)
    ready.set(source, controls)
    return controls
  }

  return (source) => {
    if (of !== snapshots.current) {
      of = snapshots.current
      sources = new Map(of.sources.map((each) => [each.number, each]))
      ready = new Map()
    }
    return ready.has(source) ? ready.get(source) : lookUp(source)
  }
}

/** `Page Viewed` and `Screen Viewed` stand for all calls of their kind. */
const eventOfCall: Partial<Record<Message['type'], string>> = { page: 'Page Viewed', screen: 'Screen Viewed' }

function controlsFrom(
  source: SourceSnapshot,
  schema: SchemaControls,
  sources: ReadonlyMap<number, SourceSnapshot>,
): SourceControls {
  const events = new Set(schema.blockedEvents)
  const traits: Partial<Record<Message['type'], Names | undefined>> = {
    identify: namesOf(schema.blockedTraits),
    group: namesOf(schema.blockedGroupTraits),
  }
  const target = schema.forwardBlockedEventsTo === undefined ? undefined : sources.get(schema.forwardBlockedEventsTo)
  const isTarget = target !== undefined && target.workspace === source.workspace && target.number !== source.number
  return {
    isBlocked({ type, event }) {
      // Other calls may carry a field of that name.
      const name = type === 'track' ? event : eventOfCall[type]
      return name !== undefined && events.has(name)
    },
    omitTraits(message) {
      const names = traits[message.type]
      return names !== undefined && omit(message, names, source.id)
    },
    ...(isTarget ? { forwarding: { source: target.number, workspace: target.workspace, from: source.id } } : {}),
  }
}

// ---- Traits --------------------------------------------------------------------------------------------------------------

/** Dotted names as a tree, so that a message costs its own size and not the number of names. */
interface Names {
  isBlocked: boolean
  below: Map<string, Names>
}

/** Undefined for no names. */
function namesOf(paths: readonly string[]): Names | undefined {
  if (paths.length === 0) return undefined
  const root: Names = { isBlocked: false, below: new Map() }
  for (const path of paths) {
    add(root, path.split('.'))
    // A trait may have dots in its own name.
    add(root, [path])
  }
  return root
}

function add(root: Names, path: string[]): void {
  let names = root
  for (const name of path) {
    let next = names.below.get(name)
    if (next === undefined) names.below.set(name, (next = { isBlocked: false, below: new Map() }))
    names = next
  }
  names.isBlocked = true
}

function omit(message: Message, names: Names, sourceId: string): boolean {
  if (message.traits === undefined) return false
  const omitted = new Set<string>()
  const traits = without(message.traits, names, '', omitted)
  if (omitted.size === 0) return false
  // `without` makes an object of an object.
  message.traits = traits as JsonObject
  const { protocols } = message.context
  const sent = isJsonObject(protocols) ? protocols : {}
  // A copy, because the object may be the batch's.
  message.context = { ...message.context, protocols: { ...sent, sourceId, omitted: [...omitted] } }
  return true
}

/** The value without what is blocked in it; itself when nothing is. `$` stands for every item of a list. */
function without(value: unknown, names: Names, path: string, omitted: Set<string>): unknown {
  if (Array.isArray(value)) {
    const ofItems = names.below.get('$')
    if (ofItems === undefined) return value
    if (!ofItems.isBlocked) return value.map((item: unknown) => without(item, ofItems, `${path}$.`, omitted))
    if (value.length > 0) omitted.add(`${path}$`)
    return []
  }
  if (!isJsonObject(value)) return value
  const kept: [string, unknown][] = []
  for (const key of Object.keys(value)) {
    const below = names.below.get(key)
    if (below?.isBlocked) omitted.add(path + key)
    else kept.push([key, below === undefined ? value[key] : without(value[key], below, `${path}${key}.`, omitted)])
  }
  // Makes own properties of all names, `__proto__` included.
  return Object.fromEntries(kept)
}
