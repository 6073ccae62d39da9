/** What became of a destination's messages over time: for the HTTP API and the command line. */
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import type { BucketSeconds, History } from '../delivery/index.ts'
import type { Store } from '../store/index.ts'
import type { Roles } from './roles.ts'
import { answerJson, ownPrefix, queryOf, type Route } from './route.ts'

export interface DeliveryHistoryAnswer {
  destination: string
  from: string
  to: string
  bucketSeconds: BucketSeconds
  totals: HistoryCounts
  /** From receipt to the destination's answer; absent when nothing was delivered. */
  latencyMs?: { p50: number; p95: number; p99: number }
  /** Oldest first; a bucket in which nothing happened is left out. */
  buckets: ({ start: string } & HistoryCounts)[]
}

export interface HistoryCounts {
  delivered: number
  /** By reason code. */
  discarded: Record<string, number>
  dropped: Record<string, number>
  /** Attempts that were not the first, by how they ended. */
  retries: number
}

/** What a window means, and the size of its buckets. */
export const historyWindows: Record<string, { ms: number; seconds: BucketSeconds }> = {
  '10m': { ms: 600_000, seconds: 60 },
  '1h': { ms: 3_600_000, seconds: 60 },
  '24h': { ms: 86_400_000, seconds: 3600 },
  '7d': { ms: 7 * 86_400_000, seconds: 3600 },
  '14d': { ms: 14 * 86_400_000, seconds: 3600 },
}

export type DeliveryHistoryApi = ReturnType<typeof createDeliveryHistoryApi>

/** Answers by the slug of a destination and a window. Throws `unknown_destination`, `bad_request`. */
export function createDeliveryHistoryApi({ store, roles, clock }: { store: Store; roles: Roles; clock: Clock }) {
  return async (slug: string, window: string): Promise<DeliveryHistoryAnswer> => {
    const size = Object.hasOwn(historyWindows, window) ? historyWindows[window] : undefined
    if (size === undefined)
      throw new AppError('bad_request', 400, `The window is one of ${Object.keys(historyWindows).join(', ')}.`)
    const destination = (await store.snapshot()).destinations.find((each) => each.slug === slug)
    if (destination === undefined) throw new AppError('unknown_destination', 404, `There is no destination "${slug}".`)
    const toMs = clock.now()
    const fromMs = toMs - size.ms
    const { buckets, latencyMs } = await roles.deliveryHistory(destination.number, size.seconds, fromMs, toMs)
    const answered = buckets.map(({ startMs, counts }) => ({
      start: new Date(startMs).toISOString(),
      ...plain(counts),
    }))
    return {
      destination: slug,
      from: new Date(fromMs).toISOString(),
      to: new Date(toMs).toISOString(),
      bucketSeconds: size.seconds,
      totals: answered.reduce(add, { delivered: 0, discarded: {}, dropped: {}, retries: 0 }),
      ...(latencyMs === undefined ? {} : { latencyMs }),
      buckets: answered,
    }
  }
}

export function createDeliveryHistoryRoutes(read: DeliveryHistoryApi): Route[] {
  return [
    {
      method: 'GET',
      path: new RegExp(`^${ownPrefix}/destinations/([^/]+)/history$`),
      access: 'member',
      async run(request, response, [, slug = '']) {
        answerJson(response, 200, await read(slug, queryOf(request).get('window') ?? '24h'))
      },
    },
  ]
}

function plain({ delivered, discarded, dropped, retried }: History['buckets'][number]['counts']): HistoryCounts {
  return { delivered: sum(delivered), discarded, dropped, retries: sum(retried) }
}

function add(total: HistoryCounts, more: HistoryCounts): HistoryCounts {
  return {
    delivered: total.delivered + more.delivered,
    discarded: addCodes(total.discarded, more.discarded),
    dropped: addCodes(total.dropped, more.dropped),
    retries: total.retries + more.retries,
  }
}

function addCodes(a: Record<string, number>, b: Record<string, number>): Record<string, number> {
  const total = { ...a }
  for (const [code, count] of Object.entries(b)) total[code] = (total[code] ?? 0) + count
  return total
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0)
}
