/** What people ask of the schema, read from what is written. */
import { countOfSketch } from './distinct-sketch.ts'
import { lists } from './read-message.ts'
import type { CountedEvent, CountedName, Overflow, SchemaStore } from './schema-store.ts'
import { typeNames } from './types.ts'

export const windows = { '24h': 24, '7d': 7 * 24, '30d': 30 * 24 } as const
export type Window = keyof typeof windows
export type SchemaType = keyof typeof lists

export interface NameCounts {
  name: string
  /** Times at which messages with it were received. */
  firstSeenMs: number
  lastSeenMs: number
  /** Messages with it in the window: those that went on, and those that were blocked or had it taken out. */
  allowed: number
  blocked: number
}

export interface EventCounts extends NameCounts {
  isArchived: boolean
  /** How many properties are listed. */
  properties: number
}

export interface PropertyCounts extends NameCounts {
  /** Of its values, in the order of `types.ts`; empty for what was only ever taken out. */
  types: string[]
}

/** What is beyond the bounds. */
export interface NotListed {
  /** About how many names. */
  names: number
  /** Messages that had such a name, since the schema was cleared. */
  messages: number
}

export interface SchemaReader {
  /** Messages that were not counted when the answer was made. */
  readonly waiting: number
  /** Beginning of a window: the hour 24 hours ago, or the UTC day 7 or 30 days ago. */
  since(window: Window): number
  /** Track events, with `Page Viewed` and `Screen Viewed`, by name. */
  events(source: number, window: Window): { events: EventCounts[]; notListed: NotListed }
  /** Properties of a track event by name; undefined when it is not listed. */
  properties(source: number, event: string, window: Window): PropertyList | undefined
  /** Traits of identify or group calls by name; undefined when there was no such call. */
  traits(source: number, type: 'identify' | 'group', window: Window): PropertyList | undefined
}

export interface PropertyList {
  properties: PropertyCounts[]
  notListed: NotListed
}

const HOUR_MS = 3_600_000

export function createSchemaReader(
  store: SchemaStore,
  { nowMs, waiting }: { nowMs: number; waiting: number },
): SchemaReader {
  const hourOf = (window: Window): number => {
    const hour = Math.floor(nowMs / HOUR_MS) - windows[window]
    // Older counts are kept by the day.
    return window === '24h' ? hour : hour - (hour % 24)
  }

  function list(source: number, type: SchemaType, event: string, window: Window): PropertyList | undefined {
    const found = store.event(source, lists[type], event)
    if (found === undefined) return undefined
    const properties = store.countedProperties(found.id, hourOf(window)).map((each) => ({
      ...countsOf(each),
      types: typeNames(each.types),
    }))
    return { properties, notListed: notListed(found.overflow) }
  }

  return {
    waiting,
    since: (window) => hourOf(window) * HOUR_MS,
    events: (source, window) => ({
      events: store.countedEvents(source, lists.track, hourOf(window)).map(eventOf),
      notListed: notListed(store.source(source).overflow),
    }),
    properties: (source, event, window) => list(source, 'track', event, window),
    traits: (source, type, window) => list(source, type, '', window),
  }
}

const countsOf = ({ name, firstMs, lastMs, allowed, blocked }: CountedName): NameCounts => ({
  name,
  firstSeenMs: firstMs,
  lastSeenMs: lastMs,
  allowed,
  blocked,
})

const eventOf = (each: CountedEvent): EventCounts => ({
  ...countsOf(each),
  isArchived: each.isArchived,
  properties: each.properties,
})

const notListed = ({ messages, sketch }: Overflow): NotListed => ({
  names: sketch === null ? 0 : countOfSketch(sketch),
  messages,
})
