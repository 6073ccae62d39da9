/** The last events of a source, and its events as they come: for the HTTP API and the command line. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import { libraryCall, type Followed, type KeptMessage, type MessageFilter, type Place } from '../debugger/index.ts'
import type { SourceDebugger } from '../debugger/index.ts'
import { isJsonObject, parseExactly } from '../protocol/index.ts'
import type { Store } from '../store/index.ts'
import { ownPrefix, queryOf, type Route } from './route.ts'

export interface SourceEventsParts {
  clock: Clock
  store: Pick<Store, 'snapshot'>
  debugger: SourceDebugger
}

/** One event as it is answered. Numbers in `raw` and `processed` have all the digits that were sent. */
export interface SourceEvent {
  /** Partition and offset in `events`. */
  id: string
  partition: number
  offset: number
  /** When it was received. */
  time: string
  decision: KeptMessage['decision']
  code?: string
  type?: string
  name?: string
  userId?: string
  anonymousId?: string
  messageId?: string
  /** As the call of a library; null when it is none of the six. */
  call: string | null
  /** As it was sent. Null with `rawMissing`: `expired`, `damaged`, `too_large`. */
  raw: unknown
  rawMissing?: string
  /** What became of it: the message, or the decision. */
  processed: unknown
  processedMissing?: string
}

export interface SamplingAnswer {
  /** Messages a second of this source up to which all are kept. */
  perSecond: number
  /** Messages that came since the oldest one kept, and those kept of them. */
  seen: number
  kept: number
  /** `kept / seen`: 1 when nothing was left out. */
  share: number
  since?: string
}

/** What the command line gets: events as JSON, in the order in which they came. */
export type SourceEventsItem = { event: string } | { skipped: number } | { sampling: SamplingAnswer } | { alive: true }

type LiveItem = Followed | { type: 'sampling'; sampling: SamplingAnswer }

const LIMIT_DEFAULT = 50
const LIMIT_MAX = 500
/** How often those who look on are told how much they do not see. */
const SAMPLING_MS = 5_000

export type SourceEventsApi = ReturnType<typeof createSourceEventsApi>

/** Questions by the slug of a source. Each throws `source_not_found` when there is none. */
export function createSourceEventsApi({ clock, store, debugger: sourceDebugger }: SourceEventsParts) {
  async function numberOf(slug: string): Promise<number> {
    const { sources } = await store.snapshot()
    const found = sources.find((each) => each.slug === slug)
    if (found !== undefined) return found.number
    const known = sources.map((each) => each.slug).join(', ')
    throw new AppError('source_not_found', 404, `There is no source "${slug}".`, {
      hint: `There are: ${known || 'none'}.`,
    })
  }

  function sampling(source: number): SamplingAnswer {
    const { sinceMs, perSecond, seen, kept } = sourceDebugger.sampling(source)
    return {
      perSecond,
      seen,
      kept,
      share: seen === 0 ? 1 : Number((kept / seen).toPrecision(3)),
      ...(sinceMs === undefined ? {} : { since: new Date(sinceMs).toISOString() }),
    }
  }

  async function* withSampling(source: number, followed: AsyncIterable<Followed>): AsyncGenerator<LiveItem> {
    let toldAtMs = clock.now()
    yield { type: 'sampling', sampling: sampling(source) }
    for await (const item of followed) {
      yield item
      if (clock.now() - toldAtMs < SAMPLING_MS) continue
      toldAtMs = clock.now()
      yield { type: 'sampling', sampling: sampling(source) }
    }
  }

  return {
    /** JSON: `sampling`, `events` newest first, and `next` to give as `before` when there are more. */
    async find(slug: string, filter: MessageFilter, limit: number, before?: Place): Promise<string> {
      const source = await numberOf(slug)
      const page = { limit: Math.min(LIMIT_MAX, Math.max(1, limit)), ...(before && { before }) }
      const { messages, hasMore } = sourceDebugger.find(source, filter, page)
      const last = messages.at(-1)
      const next = hasMore && last !== undefined ? idOf(last) : null
      const head = JSON.stringify({ source: slug, sampling: sampling(source), next }).slice(0, -1)
      return `${head},"events":[${messages.map(eventText).join(',')}]}`
    },
    /** What comes from now on, or from behind a place, until the signal. Throws `too_many_live_views`. */
    async follow(
      slug: string,
      filter: MessageFilter,
      options: { after?: Place; signal?: AbortSignal } = {},
    ): Promise<AsyncIterable<LiveItem>> {
      const source = await numberOf(slug)
      const followed = sourceDebugger.follow(source, filter, options)
      return withSampling(source, followed)
    },
    /** The last ones, oldest first, and then what comes, without a gap between the two. */
    async *tail(
      slug: string,
      filter: MessageFilter,
      limit: number,
      isFollowing: boolean,
    ): AsyncGenerator<SourceEventsItem> {
      const source = await numberOf(slug)
      const { messages } = sourceDebugger.find(source, filter, { limit: Math.min(LIMIT_MAX, limit) })
      const followed = isFollowing ? sourceDebugger.follow(source, filter) : []
      yield* messages.reverse().map((message) => ({ event: eventText(message) }))
      yield { sampling: sampling(source) }
      for await (const item of followed) {
        if (item.type === 'messages') yield* item.messages.map((message) => ({ event: eventText(message) }))
        else yield item.type === 'skipped' ? { skipped: item.count } : { alive: true }
      }
    },
  }
}

export function createSourceEventsRoutes(api: SourceEventsApi): Route[] {
  const path = `^${ownPrefix}/sources/([^/]+)/events`
  return [
    {
      method: 'GET',
      path: new RegExp(`${path}$`),
      access: 'member',
      async run(request, response, [, slug = '']) {
        const query = queryOf(request)
        const limit = Math.trunc(Number(query.get('limit'))) || LIMIT_DEFAULT
        const before = placeOf('before', query.get('before'))
        const text = await api.find(slug, filterOf(query), limit, before)
        response.writeHead(200, { 'Content-Type': 'application/json' })
        response.end(text)
      },
    },
    {
      method: 'GET',
      path: new RegExp(`${path}/live$`),
      access: 'member',
      run: (request, response, [, slug = '']) => stream(api, slug, request, response),
    },
  ]
}

export function createSourceEventsHandlers(api: SourceEventsApi): LocalHandlers {
  return {
    sourceEvents(params) {
      const { source, filter, limit, isFollowing } = params as {
        source: string
        filter: MessageFilter
        limit: number
        isFollowing: boolean
      }
      return api.tail(source, filter, limit, isFollowing)
    },
  }
}

/** Server-sent events. The client's pace is that of the reading: what was overwritten before it came to it is told as `skipped`. */
async function stream(
  api: SourceEventsApi,
  slug: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const leaving = new AbortController()
  response.on('close', () => leaving.abort())
  const query = queryOf(request)
  const lastId = request.headers['last-event-id'] ?? query.get('lastEventId')
  const after = placeOf('Last-Event-ID', typeof lastId === 'string' ? lastId : null)
  // nginx and its like would collect the answer.
  response.setHeader('X-Accel-Buffering', 'no')
  response.setHeader('Content-Type', 'text/event-stream; charset=utf-8')
  // A question for the head alone has no end to wait for.
  if (request.method === 'HEAD') return void response.end()
  const items = await api.follow(slug, filterOf(query), {
    signal: leaving.signal,
    ...(after === undefined ? {} : { after }),
  })
  for await (const item of items) {
    for (const text of textsOf(item)) await send(response, text, leaving.signal)
  }
  response.end()
}

function textsOf(item: LiveItem): string[] {
  switch (item.type) {
    case 'messages':
      return item.messages.map((message) => `id: ${idOf(message)}\ndata: ${eventText(message)}\n\n`)
    case 'skipped':
      return [`event: skipped\ndata: ${JSON.stringify({ count: item.count })}\n\n`]
    case 'sampling':
      return [`event: sampling\ndata: ${JSON.stringify(item.sampling)}\n\n`]
    case 'alive':
      return [': alive\n\n']
  }
}

/** Resolves when there is room for more. */
async function send(response: ServerResponse, text: string, leaving: AbortSignal): Promise<void> {
  if (leaving.aborted || response.write(text)) return
  // That the client has left ends the wait, and then the loop.
  await once(response, 'drain', { signal: leaving }).catch(() => undefined)
}

function idOf({ partition, offset }: Place): string {
  return `${partition}:${offset}`
}

function placeOf(name: string, text: string | null): Place | undefined {
  if (text === null || text === '') return undefined
  const match = /^(\d{1,5}):(\d{1,15})$/.exec(text)
  if (match === null) throw new AppError('bad_request', 400, `${name} must be the id of an event, such as 0:1234.`)
  return { partition: Number(match[1]), offset: Number(match[2]) }
}

function filterOf(query: URLSearchParams): MessageFilter {
  const [name, userId, messageId, text] = ['name', 'userId', 'messageId', 'q'].map((key) => query.get(key) || undefined)
  return {
    ...(name === undefined ? {} : { name }),
    ...(userId === undefined ? {} : { userId }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(text === undefined ? {} : { text }),
  }
}

/** JSON of a `SourceEvent`. Its forms go in as the text that they are, so that no number loses digits on the way. */
function eventText(message: KeptMessage): string {
  const { partition, offset, receivedAtMs, raw, rawMissing, processed, processedMissing, type } = message
  const { decision, code, name, userId, anonymousId, messageId } = message
  const head = {
    id: idOf(message),
    partition,
    offset,
    time: new Date(receivedAtMs).toISOString(),
    decision,
    code,
    type,
    name,
    userId,
    anonymousId,
    messageId,
    call: callOf(message),
    rawMissing,
    processedMissing,
  }
  return `${JSON.stringify(head).slice(0, -1)},"raw":${raw ?? 'null'},"processed":${processed ?? 'null'}}`
}

function callOf({ type, raw, processed, decision }: KeptMessage): string | null {
  const text = raw ?? (decision === 'processed' ? processed : null)
  const value = text === null ? undefined : parseExactly(text)
  return (isJsonObject(value) ? libraryCall(type, value) : undefined) ?? null
}
