/** Dead letters of a destination, and their redelivery: for the HTTP API and the command line. */
import { z } from 'zod'
import { AppError } from '../base/errors.ts'
import type { DeadLetterFilter, Redelivery } from '../delivery/index.ts'
import type { Store } from '../store/index.ts'
import type { Roles } from './roles.ts'
import { answerJson, ownPrefix, queryOf, readJson, type Route } from './route.ts'

export interface RedeliveryParts {
  store: Store
  roles: Roles
}

/** Which dead letters, as callers say it. */
export interface DeadLetterQuery {
  /** Reason codes. */
  codes?: string[]
  /** Name of the event, page or screen. */
  event?: string
  /** When they were discarded: ISO 8601, from, and before. */
  from?: string
  to?: string
}

export interface RedeliveryRequest extends DeadLetterQuery {
  messagesPerSecond?: number
  /** Only counts. */
  dryRun?: boolean
}

export interface DeadLetterAnswer {
  messageId?: string
  type?: string
  event?: string
  code: string
  status?: number
  attempts: number
  discardedAt: string
  mapping: string
  /** Excerpt of the answer or the error. */
  detail?: string
}

export interface RedeliveryAnswer {
  id: string
  orderedAt: string
  filter: DeadLetterQuery
  state: Redelivery['state']
  /** Messages that it was for when it was ordered, and those put back so far. */
  matched: number
  taken: number
  messagesPerSecond?: number
  endedAt?: string
}

const time = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-01-31T12:00:00Z' })
const filterShape = {
  codes: z.array(z.string().min(1)).min(1).max(50).optional(),
  event: z.string().min(1).optional(),
  from: time.optional(),
  to: time.optional(),
}
const requestShape = z.strictObject({
  ...filterShape,
  messagesPerSecond: z.number().gt(0).max(100_000).optional(),
  dryRun: z.boolean().optional(),
})
const limitMax = 1_000

export type RedeliveryApi = ReturnType<typeof createRedeliveryApi>

/** Questions and orders by the slug of a destination. Each throws `unknown_destination` when there is none. */
export function createRedeliveryApi({ store, roles }: RedeliveryParts) {
  async function numberOf(slug: string): Promise<number> {
    const { destinations } = await store.snapshot()
    const found = destinations.find((each) => each.slug === slug)
    if (found !== undefined) return found.number
    const known = destinations.map((each) => each.slug).join(', ')
    throw new AppError('unknown_destination', 404, `There is no destination "${slug}".`, {
      hint: `There are: ${known || 'none'}.`,
    })
  }

  return {
    /** Newest first, whatever their event. */
    async deadLetters(slug: string, query: DeadLetterQuery, limit: number): Promise<DeadLetterAnswer[]> {
      const letters = await roles.deadLetters(await numberOf(slug), filterOf(query), limit)
      return letters.map(({ code, attempts, mapping, message, status, detail, atMs }) => ({
        ...message,
        code,
        ...(status === undefined ? {} : { status }),
        attempts,
        discardedAt: new Date(atMs).toISOString(),
        mapping,
        ...(detail === undefined ? {} : { detail }),
      }))
    },
    /** How many messages a redelivery would take; or orders it. Throws `bad_request`, `redelivery_running`, `destination_disabled`. */
    async order(slug: string, request: unknown): Promise<{ matched: number } | RedeliveryAnswer> {
      const { messagesPerSecond, dryRun, ...query } = parsed(request)
      const connection = await numberOf(slug)
      const filter = filterOf(query)
      if (dryRun) return { matched: await roles.countDeadMessages(connection, filter) }
      return answerOf(
        await roles.redeliver(connection, {
          filter,
          ...(messagesPerSecond === undefined ? {} : { messagesPerSecond }),
        }),
      )
    },
    /** Oldest first. */
    async list(slug: string): Promise<RedeliveryAnswer[]> {
      return (await roles.redeliveries(await numberOf(slug))).map(answerOf)
    },
    /** What it has taken goes on. Throws `unknown_redelivery` when it does not run. */
    async cancel(slug: string, id: string): Promise<void> {
      if (!(await roles.cancelRedelivery(await numberOf(slug), id)))
        throw new AppError('unknown_redelivery', 404, 'No redelivery with this id is running.')
    },
  }
}

export function createRedeliveryRoutes(api: RedeliveryApi): Route[] {
  const below = (rest: string) => new RegExp(`^${ownPrefix}/destinations/([^/]+)/${rest}$`)
  return [
    {
      method: 'GET',
      path: below('dead-letters'),
      access: 'member',
      async run(request, response, [, slug = '']) {
        const query = queryOf(request)
        const limit = Math.min(limitMax, Math.max(1, Number(query.get('limit') ?? 100) || 100))
        answerJson(response, 200, { deadLetters: await api.deadLetters(slug, deadLetterQueryOf(query), limit) })
      },
    },
    {
      method: 'GET',
      path: below('redeliveries'),
      access: 'member',
      async run(_request, response, [, slug = '']) {
        answerJson(response, 200, { redeliveries: await api.list(slug) })
      },
    },
    {
      method: 'POST',
      path: below('redeliveries'),
      access: 'admin',
      async run(request, response, [, slug = '']) {
        const answer = await api.order(slug, await readJson(request))
        answerJson(response, 'id' in answer ? 201 : 200, answer)
      },
    },
    {
      method: 'DELETE',
      path: below('redeliveries/([^/]+)'),
      access: 'admin',
      async run(_request, response, [, slug = '', id = '']) {
        await api.cancel(slug, id)
        answerJson(response, 200, { success: true })
      },
    },
  ]
}

function deadLetterQueryOf(query: URLSearchParams): DeadLetterQuery {
  const codes = query.getAll('code')
  const [from, to] = ['from', 'to'].map((name) => query.get(name) ?? undefined)
  const {
    dryRun: _,
    messagesPerSecond: __,
    ...rest
  } = parsed({
    ...(codes.length === 0 ? {} : { codes }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  })
  return rest
}

function parsed(request: unknown): RedeliveryRequest {
  const result = requestShape.safeParse(request)
  if (result.success) return result.data as RedeliveryRequest
  const [issue] = result.error.issues
  throw new AppError('bad_request', 400, `${issue?.path.join('.') || 'The body'}: ${issue?.message ?? 'not valid'}`)
}

function filterOf({ codes, event, from, to }: DeadLetterQuery): DeadLetterFilter {
  return {
    ...(codes === undefined ? {} : { codes }),
    ...(event === undefined ? {} : { event }),
    ...(from === undefined ? {} : { fromMs: Date.parse(from) }),
    ...(to === undefined ? {} : { toMs: Date.parse(to) }),
  }
}

function answerOf({ id, orderedAtMs, filter, state, matched, taken, ...rest }: Redelivery): RedeliveryAnswer {
  const { codes, event, fromMs, toMs } = filter
  return {
    id,
    orderedAt: new Date(orderedAtMs).toISOString(),
    filter: {
      ...(codes === undefined ? {} : { codes }),
      ...(event === undefined ? {} : { event }),
      ...(fromMs === undefined ? {} : { from: new Date(fromMs).toISOString() }),
      ...(toMs === undefined ? {} : { to: new Date(toMs).toISOString() }),
    },
    state,
    matched,
    taken,
    ...(rest.messagesPerSecond === undefined ? {} : { messagesPerSecond: rest.messagesPerSecond }),
    ...(rest.endedAtMs === undefined ? {} : { endedAt: new Date(rest.endedAtMs).toISOString() }),
  }
}
