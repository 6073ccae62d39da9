import type { Snapshot } from '../snapshot/index.ts'
import type { PipelineStatus } from '../pipeline/index.ts'
import type { DiskUsage } from './disk-usage.ts'
import type { ConnectionStatus } from '../delivery/index.ts'
import type { ConnectionCounts, LoaderStatus, Roles } from './roles.ts'

/** The accounting, in the fields of design §3; scripts and checks rely on every name. */
export interface Status {
  sources: Record<string, SourceCountsBySlug>
  connections: ConnectionBySlug[]
  disk: DiskUsage
  processes: Record<string, boolean>
}

export interface SourceCountsBySlug {
  received: number
  rejected: Record<string, number>
  duplicate: number
  dropped: Record<string, number>
  processed: number
  waiting: number
}

export type ConnectionBySlug = { source: string } & ({ destination: string } | { warehouse: string }) &
  ConnectionCounts & {
    lastError?: string
    lastSyncAt?: string
    /** It runs in web pages; the server sends it nothing and counts nothing. */
    mode?: 'device'
  }

/** Asks every process. Counts are read before totals, so that what comes in between shows as waiting and the sums hold. */
export async function readStatus(snapshot: Snapshot, roles: Roles, disk: () => Promise<DiskUsage>): Promise<Status> {
  const [delivery, loader] = await Promise.all([roles.deliveryStatus(), roles.loaderStatus()])
  const pipeline = await roles.pipelineStatus()
  const totals = await roles.receivedTotals()
  return {
    sources: sourcesBySlug(snapshot, pipeline, totals),
    connections: [...destinationsBySlug(snapshot, delivery), ...warehousesBySlug(snapshot, loader)],
    disk: await disk(),
    processes: await roles.alive(),
  }
}

function sourcesBySlug(snapshot: Snapshot, pipeline: PipelineStatus, totals: Record<number, number>) {
  const sources: Record<string, SourceCountsBySlug> = {}
  for (const { number, slug } of snapshot.sources) {
    const counts = pipeline.sources[number] ?? { rejected: {}, duplicate: 0, dropped: {}, processed: 0 }
    const { rejected, duplicate, dropped, processed } = counts
    const decided = sum(rejected) + duplicate + sum(dropped) + processed
    const received = Math.max(totals[number] ?? 0, decided)
    sources[slug] = { received, rejected, duplicate, dropped, processed, waiting: received - decided }
  }
  return sources
}

function destinationsBySlug(snapshot: Snapshot, statuses: ConnectionStatus[]): ConnectionBySlug[] {
  return snapshot.destinations.flatMap((destination) => {
    const status = statuses.find((each) => each.connection === destination.number)
    const source = snapshot.sources.find((each) => each.number === destination.source)
    if (source === undefined) return []
    const mode = destination.mode === 'device' ? { mode: destination.mode } : {}
    return [{ source: source.slug, destination: destination.slug, ...mode, ...countsOf(status) }]
  })
}

function warehousesBySlug(snapshot: Snapshot, { connections, warehouses }: LoaderStatus): ConnectionBySlug[] {
  return snapshot.warehouses.flatMap((warehouse) => {
    const lastSync = warehouses.find((each) => each.warehouse === warehouse.slug)?.lastSync
    return warehouse.sources.flatMap((number) => {
      const source = snapshot.sources.find((each) => each.number === number)?.slug
      if (source === undefined) return []
      const counts = connections.find((each) => each.warehouse === warehouse.slug && each.source === source)
      return [
        {
          source,
          warehouse: warehouse.slug,
          ...countsOf(counts),
          ...(lastSync === undefined ? {} : { lastSyncAt: lastSync.startedAt }),
          ...(lastSync?.error === undefined ? {} : { lastError: lastSync.error }),
        },
      ]
    })
  })
}

/** Zeros for a connection that its process has not seen yet. */
function countsOf(status: ConnectionCounts | undefined): ConnectionCounts {
  return {
    received: status?.received ?? 0,
    rejected: status?.rejected ?? {},
    duplicate: status?.duplicate ?? 0,
    dropped: status?.dropped ?? {},
    delivered: status?.delivered ?? 0,
    discarded: status?.discarded ?? {},
    waiting: status?.waiting ?? 0,
    deadLetters: status?.deadLetters ?? 0,
    oldestWaitingSeconds: status?.oldestWaitingSeconds ?? 0,
  }
}

export function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
