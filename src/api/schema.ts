/** What a source sends, as its messages show it: for the HTTP API and the command line (contract: sources.md §8). */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import {
  windows,
  type NameCounts,
  type NotListed,
  type PropertyCounts,
  type SchemaReader,
  type SchemaType,
  type SchemaView,
  type Window,
} from '../schema/index.ts'
import type { SourceSnapshot } from '../snapshot/index.ts'
import type { Store } from '../store/index.ts'
import { answerJson, ownPrefix, queryOf, readJson, type Route } from './route.ts'

export interface SchemaApiParts {
  clock: Clock
  store: Pick<Store, 'snapshot'>
  schema: Pick<SchemaView, 'ask' | 'look' | 'clear' | 'setArchived'>
}

/** A name with its counts in the window. Times are null for a blocked name that was never seen. */
export interface NameAnswer {
  name: string
  firstSeen: string | null
  lastSeen: string | null
  /** Messages that went on with it. */
  allowed: number
  /** Messages that were blocked, or had it taken out. */
  blocked: number
  total: number
}

export interface EventAnswer extends NameAnswer {
  /** The source blocks it now. */
  isBlocked: boolean
  isArchived: boolean
  /** How many are listed. */
  properties: number
}

export interface PropertyAnswer extends NameAnswer {
  types: string[]
}

export interface TraitAnswer extends PropertyAnswer {
  isBlocked: boolean
}

interface Answered {
  source: string
  type: SchemaType
  window: Window
  /** Where the window begins. */
  since: string
  /** Messages that were not counted when the answer was made. */
  waiting: number
  /** What is beyond the bounds: about how many names, and the messages that had one. */
  notListed: NotListed
}

export type SchemaAnswer = Answered & ({ events: EventAnswer[] } | { traits: TraitAnswer[] })
export type EventSchemaAnswer = Answered & { event: EventAnswer; properties: PropertyAnswer[] }

export interface SchemaQuery {
  type?: string | undefined
  window?: string | undefined
  /** Archived events instead of the others. */
  isArchived?: boolean | undefined
}

const typeOf = (text = 'track'): SchemaType => {
  if (text === 'track' || text === 'identify' || text === 'group') return text
  throw new AppError('bad_request', 400, `type is "${text}"; it must be track, identify or group.`)
}

const windowOf = (text = '7d'): Window => {
  if (Object.hasOwn(windows, text)) return text as Window
  throw new AppError('bad_request', 400, `window is "${text}"; it must be 24h, 7d or 30d.`)
}

const changeShape = z.strictObject({ isArchived: z.boolean() })
/** Events whose properties are read for the export before others get a turn. */
const EVENTS_PER_TURN = 50

export type SchemaApi = ReturnType<typeof createSchemaApi>

/** Questions and orders by the slug of a source. Each throws `source_not_found` when there is none. */
export function createSchemaApi({ clock, store, schema }: SchemaApiParts) {
  async function sourceOf(slug: string): Promise<SourceSnapshot> {
    const { sources } = await store.snapshot()
    const found = sources.find((each) => each.slug === slug)
    if (found !== undefined) return found
    const known = sources.map((each) => each.slug).join(', ')
    throw new AppError('source_not_found', 404, `There is no source "${slug}".`, {
      hint: `There are: ${known || 'none'}.`,
    })
  }

  function unknownEvent(slug: string, name: string): AppError {
    return new AppError('unknown_event', 404, `The schema of "${slug}" has no event "${name}".`)
  }

  function answered(
    reader: SchemaReader,
    slug: string,
    type: SchemaType,
    window: Window,
    notListed: NotListed,
  ): Answered {
    const since = new Date(reader.since(window)).toISOString()
    return { source: slug, type, window, since, waiting: reader.waiting, notListed }
  }

  return {
    async list(slug: string, query: SchemaQuery): Promise<SchemaAnswer> {
      const source = await sourceOf(slug)
      const [type, window] = [typeOf(query.type), windowOf(query.window)]
      return schema.ask((reader): SchemaAnswer => {
        if (type === 'track') {
          const { events, notListed } = reader.events(source.number, window)
          const wanted = withBlocked(events.map(eventAnswerOf(source)), source).filter(
            ({ isArchived }) => isArchived === (query.isArchived ?? false),
          )
          return { ...answered(reader, slug, type, window, notListed), events: wanted }
        }
        const { properties, notListed } = reader.traits(source.number, type, window) ?? nothing
        return { ...answered(reader, slug, type, window, notListed), traits: traitAnswersOf(properties, source, type) }
      })
    },

    /** A track event with its properties. Throws `unknown_event`. */
    async event(slug: string, name: string, query: Pick<SchemaQuery, 'window'>): Promise<EventSchemaAnswer> {
      const source = await sourceOf(slug)
      const window = windowOf(query.window)
      return schema.ask((reader) => {
        const { events } = reader.events(source.number, window)
        const event = withBlocked(events.map(eventAnswerOf(source)), source).find((each) => each.name === name)
        if (event === undefined) throw unknownEvent(slug, name)
        const { properties, notListed } = reader.properties(source.number, name, window) ?? nothing
        return {
          ...answered(reader, slug, 'track', window, notListed),
          event,
          properties: properties.map(propertyAnswerOf),
        }
      })
    },

    /** Forgets what was seen until now. */
    async clear(slug: string): Promise<void> {
      await schema.clear((await sourceOf(slug)).number)
    },

    /** Takes a blocked event off the list, or puts it back. Throws `unknown_event`, `event_not_blocked`. */
    async setArchived(slug: string, name: string, isArchived: boolean): Promise<void> {
      const source = await sourceOf(slug)
      if (isArchived && !isBlockedEvent(source, name))
        throw new AppError('event_not_blocked', 409, `The event "${name}" is not blocked, so it cannot be archived.`)
      if (!(await schema.setArchived(source.number, name, isArchived))) throw unknownEvent(slug, name)
    },

    /** The file's name, and its lines as they are read. */
    async csv(slug: string, query: SchemaQuery): Promise<{ fileName: string; parts: AsyncIterable<string> }> {
      const source = await sourceOf(slug)
      const { workspaces } = await store.snapshot()
      const workspace = workspaces.find(({ number }) => number === source.workspace)?.slug ?? 'workspace'
      const [type, window] = [typeOf(query.type), windowOf(query.window)]
      const [day = '', time = ''] = new Date(clock.now()).toISOString().split('T')
      return {
        fileName: `${workspace}-${slug}-${type}--${day}--${time.slice(0, 5).replace(':', '-')}-utc.csv`,
        parts: csvOf(schema, source.number, type, window),
      }
    },
  }
}

const nothing = { properties: [], notListed: { names: 0, messages: 0 } }

// ---- Answers -------------------------------------------------------------------------------------------------------------

function nameAnswerOf({ name, firstSeenMs, lastSeenMs, allowed, blocked }: NameCounts): NameAnswer {
  return {
    name,
    firstSeen: new Date(firstSeenMs).toISOString(),
    lastSeen: new Date(lastSeenMs).toISOString(),
    allowed,
    blocked,
    total: allowed + blocked,
  }
}

const eventAnswerOf =
  (source: SourceSnapshot) =>
  ({ isArchived, properties, ...counts }: NameCounts & { isArchived: boolean; properties: number }): EventAnswer => ({
    ...nameAnswerOf(counts),
    isBlocked: isBlockedEvent(source, counts.name),
    isArchived,
    properties,
  })

const propertyAnswerOf = (property: PropertyCounts): PropertyAnswer => ({
  ...nameAnswerOf(property),
  types: property.types,
})

const unseen = { firstSeen: null, lastSeen: null, allowed: 0, blocked: 0, total: 0 }

const isBlockedEvent = ({ schema }: SourceSnapshot, name: string) => schema?.blockedEvents.includes(name) ?? false

/** With those that are blocked before any message had them. */
function withBlocked(events: EventAnswer[], { schema }: SourceSnapshot): EventAnswer[] {
  const seen = new Set(events.map(({ name }) => name))
  const others = (schema?.blockedEvents ?? []).filter((name) => !seen.has(name))
  return [...events, ...others.map((name) => ({ name, ...unseen, isBlocked: true, isArchived: false, properties: 0 }))]
}

function traitAnswersOf(
  properties: readonly PropertyCounts[],
  { schema }: SourceSnapshot,
  type: 'identify' | 'group',
): TraitAnswer[] {
  const names = (type === 'identify' ? schema?.blockedTraits : schema?.blockedGroupTraits) ?? []
  const blocked = new Set(names)
  const seen = new Set(properties.map(({ name }) => name))
  return [
    ...properties.map((each) => ({ ...propertyAnswerOf(each), isBlocked: isBlockedTrait(each.name, blocked) })),
    ...names.filter((name) => !seen.has(name)).map((name) => ({ name, ...unseen, types: [], isBlocked: true })),
  ]
}

/** By itself, or with something that it is part of. */
function isBlockedTrait(name: string, blocked: ReadonlySet<string>): boolean {
  if (blocked.has(name)) return true
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
    if (blocked.has(name.slice(0, dot))) return true
  return false
}

// ---- Export --------------------------------------------------------------------------------------------------------------

/** `Planned` stays empty while the source has no tracking plan. */
async function* csvOf(
  schema: SchemaApiParts['schema'],
  source: number,
  type: SchemaType,
  window: Window,
): AsyncGenerator<string> {
  if (type !== 'track') {
    yield line(['Trait Name', 'Last Seen At (UTC)', 'Allowed', 'Blocked', 'Total', 'Planned'])
    const traits = await schema.ask((reader) => reader.traits(source, type, window)?.properties ?? [])
    yield traits.map((trait) => line([trait.name, ...seenCells(trait)])).join('')
    return
  }
  yield line(['Event Name', 'Last Seen At (UTC)', 'Property Name', 'Allowed', 'Blocked', 'Total', 'Planned'])
  const { events } = await schema.ask((reader) => reader.events(source, window))
  for (let from = 0; from < events.length; from += EVENTS_PER_TURN) {
    const some = events.slice(from, from + EVENTS_PER_TURN)
    yield await schema.look((reader) =>
      some
        .map((event) => {
          const properties = reader.properties(source, event.name, window)?.properties ?? []
          return [eventLine(event, event, ''), ...properties.map((each) => eventLine(event, each, each.name))].join('')
        })
        .join(''),
    )
  }
}

function eventLine(event: NameCounts, counted: NameCounts, property: string): string {
  const [lastSeen, ...counts] = seenCells(counted)
  return line([event.name, lastSeen ?? '', property, ...counts])
}

function seenCells({ lastSeenMs, allowed, blocked }: NameCounts): string[] {
  return [new Date(lastSeenMs).toISOString(), String(allowed), String(blocked), String(allowed + blocked), '']
}

const line = (cells: readonly string[]) => `${cells.map(cell).join(',')}\r\n`

/** Names come from whoever has a write key: one that a spreadsheet would run as a formula gets an apostrophe in front. */
function cell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

// ---- Doors ---------------------------------------------------------------------------------------------------------------

export function createSchemaRoutes(api: SchemaApi): Route[] {
  const below = (rest: string) => new RegExp(`^${ownPrefix}/sources/([^/]+)/schema${rest}$`)
  return [
    {
      method: 'GET',
      path: below(''),
      access: 'member',
      async run(request, response, [, slug = '']) {
        answerJson(response, 200, await api.list(slug, schemaQueryOf(queryOf(request))))
      },
    },
    {
      method: 'DELETE',
      path: below(''),
      access: 'admin',
      async run(_request, response, [, slug = '']) {
        await api.clear(slug)
        answerJson(response, 200, { success: true })
      },
    },
    {
      method: 'GET',
      path: below('/event'),
      access: 'member',
      async run(request, response, [, slug = '']) {
        const query = queryOf(request)
        answerJson(response, 200, await api.event(slug, eventNameOf(query), schemaQueryOf(query)))
      },
    },
    {
      method: 'PATCH',
      path: below('/event'),
      access: 'admin',
      async run(request, response, [, slug = '']) {
        const change = changeShape.safeParse(await readJson(request))
        if (!change.success) throw new AppError('bad_request', 400, 'The body must be {"isArchived": true} or false.')
        await api.setArchived(slug, eventNameOf(queryOf(request)), change.data.isArchived)
        answerJson(response, 200, { success: true })
      },
    },
    {
      method: 'GET',
      path: below('\\.csv'),
      access: 'member',
      async run(request, response, [, slug = '']) {
        const { fileName, parts } = await api.csv(slug, schemaQueryOf(queryOf(request)))
        response.writeHead(200, {
          'Content-Type': 'text/csv; charset=utf-8',
          'Content-Disposition': `attachment; filename="${fileName}"`,
        })
        await writeAll(response, parts)
      },
    },
  ]
}

/** No faster than the client reads. */
async function writeAll(response: ServerResponse, parts: AsyncIterable<string>): Promise<void> {
  const closed = once(response, 'close')
  for await (const part of parts) {
    if (response.destroyed) return
    if (!response.write(part)) await Promise.race([once(response, 'drain'), closed])
  }
  response.end()
}

function schemaQueryOf(query: URLSearchParams): SchemaQuery {
  return {
    type: query.get('type') ?? undefined,
    window: query.get('window') ?? undefined,
    isArchived: query.get('archived') === 'true',
  }
}

function eventNameOf(query: URLSearchParams): string {
  const name = query.get('name')
  if (name === null) throw new AppError('bad_request', 400, 'Say which event: ?name=NAME.')
  return name
}

export function createSchemaHandlers(api: SchemaApi): LocalHandlers {
  return {
    schema: (params) => {
      const { source, event, ...query } = params as SchemaQuery & { source: string; event?: string }
      return event === undefined ? api.list(source, query) : api.event(source, event, query)
    },
    async clearSchema(params) {
      await api.clear((params as { source: string }).source)
      return null
    },
  }
}
