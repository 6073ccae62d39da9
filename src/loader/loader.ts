/** The room: keeps a `WarehouseSync` for each warehouse of the configuration, and answers status, trace, `sync` and `sql`. */
import type { Clock } from '../base/clock.ts'
import { AppError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Registry } from '../base/metrics.ts'
import { eventFlags, isCall, type Frame, type Journal } from '../journal/index.ts'
import {
  BadPayload,
  type QueryLimits,
  type QueryResult,
  type WarehouseConnection,
  type WarehouseDefinition,
} from '../kit/index.ts'
import { isLoadedTo } from '../protocol/index.ts'
import type { SnapshotSource, SourceSnapshot, WarehouseSnapshot } from '../snapshot/index.ts'
import { createLoaderMetrics } from './metrics.ts'
import { parseMessage } from './read-events.ts'
import { statusOf, type ConnectionStatus } from './status.ts'
import { createTailTotals, type TailTotals } from './tail-totals.ts'
import type { SyncRecord } from './sync-record.ts'
import { WarehouseSync } from './sync.ts'

export interface LoaderParts {
  journal: Journal
  snapshots: SnapshotSource
  clock: Clock
  log: Logger
  metrics?: Registry
  random: () => number
  newId: () => string
  /** Opens a warehouse, its secrets unsealed. */
  connect(warehouse: WarehouseSnapshot): Promise<WarehouseConnection>
  /** The definition of a type of the catalogue. */
  definitionOf(type: string): Promise<WarehouseDefinition> | WarehouseDefinition
}

/** What became of one message at one warehouse. */
export interface WarehouseTrace {
  warehouse: string
  /** `unknown`: the warehouse cannot be asked now. */
  state: 'loaded' | 'waiting' | 'dropped' | 'unknown'
  /** Of a dropped one. */
  code?: string
  loadId?: string
  committedAt?: string
  /** Why it is unknown. */
  error?: string
}

export interface WarehouseStatus {
  warehouse: string
  lastSync: SyncRecord | undefined
  nextSyncAt: string | undefined
  consecutiveFailures: number
  /** Why there is no accounting now. */
  error?: string
}

export interface Loader {
  /** Makes the first run of each warehouse and keeps their schedules. */
  start(): void
  /** Loads everything that is durable in `events` now. Throws `unknown_warehouse` and `sync_failed`. */
  syncNow(slug: string): Promise<SyncRecord>
  /** The accounting of every source × warehouse, and the newest sync of each warehouse. A warehouse that cannot be opened has no
   *  accounting: its ledger is in it. */
  status(): Promise<{ connections: ConnectionStatus[]; warehouses: WarehouseStatus[] }>
  /** Newest first. */
  history(slug: string): SyncRecord[]
  /** What became of the message of `events` at this place, at each warehouse of its source. */
  trace(sourceNumber: number, partition: number, offset: number): Promise<WarehouseTrace[]>
  /** Runs one read-only statement. Without a slug: the only warehouse, else the one called `local`. Throws `unknown_warehouse`, and
   *  `bad_query` (also while rows are read) for what the warehouse refuses. */
  query(slug: string | undefined, sql: string, limits: QueryLimits): Promise<QueryResult>
  /** Lowest offset of the partition of `events` that an enabled warehouse still needs; infinite when there is none. */
  lowWatermark(partition: number): number
  /** Lets running loads end their transaction, then closes the warehouses. */
  stop(): Promise<void>
}

export function createLoader(parts: LoaderParts): Loader {
  const { journal, snapshots } = parts
  const metrics = parts.metrics === undefined ? undefined : createLoaderMetrics(parts.metrics, lags)
  const syncs = new Map<string, WarehouseSync>()
  const tails = new WeakMap<WarehouseSync, TailTotals>()
  const stops: (() => void)[] = []

  async function lags(): Promise<Map<string, number>> {
    const partitions = await journal.partitions('events')
    const result = new Map(snapshots.current.warehouses.map(({ slug }) => [slug, 0]))
    for (const partition of partitions) {
      const end = await journal.durableEnd('events', partition)
      for (const { id, slug, isEnabled } of snapshots.current.warehouses) {
        const mark = syncs.get(id)?.lowWatermark(partition) ?? end
        if (isEnabled) result.set(slug, (result.get(slug) ?? 0) + Math.max(0, end - Math.min(mark, end)))
      }
    }
    return result
  }

  function reconcile(): void {
    const { warehouses } = snapshots.current
    for (const warehouse of warehouses) {
      const known = syncs.get(warehouse.id)
      if (known === undefined) addWarehouse(warehouse)
      else known.reconfigure()
    }
    for (const [id, sync] of syncs) {
      if (warehouses.some((warehouse) => warehouse.id === id)) continue
      syncs.delete(id)
      void sync.stop()
    }
  }

  let isStarted = false

  function addWarehouse({ id, slug }: WarehouseSnapshot): void {
    const warehouse = () => snapshots.current.warehouses.find((one) => one.id === id)
    const sources = () => sourcesOf(warehouse())
    const sync = new WarehouseSync({ ...parts, metrics, warehouse, sources }, slug)
    syncs.set(id, sync)
    tails.set(sync, createTailTotals(journal))
    if (isStarted) sync.start()
  }

  function sourcesOf(warehouse: WarehouseSnapshot | undefined): SourceSnapshot[] {
    return snapshots.current.sources.filter(({ number }) => warehouse?.sources.includes(number) === true)
  }

  function find(slug: string | undefined): { warehouse: WarehouseSnapshot; sync: WarehouseSync } {
    const { warehouses } = snapshots.current
    const warehouse =
      slug === undefined && warehouses.length === 1
        ? warehouses[0]
        : warehouses.find((one) => one.slug === (slug ?? 'local') || one.id === slug)
    const sync = warehouse && syncs.get(warehouse.id)
    if (warehouse === undefined || sync === undefined) {
      const known = warehouses.map((one) => one.slug).join(', ')
      const message = slug === undefined ? 'Which warehouse?' : `There is no warehouse "${slug}".`
      throw new AppError('unknown_warehouse', 404, message, { hint: `Warehouses: ${known === '' ? 'none' : known}.` })
    }
    return { warehouse, sync }
  }

  async function syncNow(slug: string): Promise<SyncRecord> {
    const { warehouse, sync } = find(slug)
    if (!warehouse.isEnabled) throw new AppError('warehouse_disabled', 409, `The warehouse "${slug}" is disabled.`)
    const record = await sync.sync()
    if (record.error !== undefined)
      throw new AppError('sync_failed', 502, `The sync of "${slug}" failed: ${record.error}`)
    return record
  }

  async function status(): ReturnType<Loader['status']> {
    const connections: ConnectionStatus[] = []
    const warehouses: WarehouseStatus[] = []
    for (const warehouse of snapshots.current.warehouses) {
      const sync = syncs.get(warehouse.id)
      if (sync === undefined) continue
      const of = describe(warehouse, sync)
      warehouses.push(of)
      try {
        for (const source of sourcesOf(warehouse)) {
          connections.push(
            await statusOf({ journal, tails: tails.get(sync)!, clock: parts.clock, warehouse, source, sync }),
          )
        }
      } catch (error) {
        of.error = messageOf(error)
      }
    }
    return { connections, warehouses }
  }

  function describe({ slug }: WarehouseSnapshot, sync: WarehouseSync): WarehouseStatus {
    const nextMs = sync.nextSyncMs
    return {
      warehouse: slug,
      lastSync: sync.history.at(-1),
      nextSyncAt: nextMs === undefined ? undefined : new Date(nextMs).toISOString(),
      consecutiveFailures: sync.consecutiveFailures,
    }
  }

  async function trace(sourceNumber: number, partition: number, offset: number): Promise<WarehouseTrace[]> {
    const source = snapshots.current.sources.find(({ number }) => number === sourceNumber)
    const frame = await journal.readOne('events', partition, offset)
    if (source === undefined || (frame !== undefined && !isCall(frame.kind))) return []
    const traces: WarehouseTrace[] = []
    for (const warehouse of snapshots.current.warehouses) {
      const sync = syncs.get(warehouse.id)
      if (sync === undefined || !warehouse.sources.includes(sourceNumber)) continue
      const trace = traceAt(warehouse, sync, source, { partition, offset, frame })
      // One that fails must not hide what the others say.
      traces.push(
        await trace.catch((error) => ({ warehouse: warehouse.slug, state: 'unknown', error: messageOf(error) })),
      )
    }
    return traces
  }

  async function traceAt(
    warehouse: WarehouseSnapshot,
    sync: WarehouseSync,
    source: SourceSnapshot,
    { partition, offset, frame }: { partition: number; offset: number; frame: Frame | undefined },
  ): Promise<WarehouseTrace> {
    const cursor = (await sync.cursorsOf(source)).find((one) => one.partition === partition)
    if (cursor === undefined || offset >= cursor.offset) return { warehouse: warehouse.slug, state: 'waiting' }
    if (frame !== undefined && isExcluded(frame, warehouse)) {
      return { warehouse: warehouse.slug, state: 'dropped', code: 'FILTERED_BY_INTEGRATIONS_OBJECT' }
    }
    const loads = await sync.withConnection((connection) => {
      return connection.readLoads(journal.id, source.id, partition, offset)
    })
    const load = loads.at(-1)
    const loaded: WarehouseTrace = { warehouse: warehouse.slug, state: 'loaded' }
    return load === undefined ? loaded : { ...loaded, loadId: load.id, committedAt: load.committedAt.toISOString() }
  }

  reconcile()

  return {
    start() {
      isStarted = true
      for (const sync of syncs.values()) sync.start()
      stops.push(snapshots.onChange(reconcile))
      stops.push(journal.onAppend('events', () => syncs.forEach((sync) => sync.wake())))
    },
    syncNow,
    status,
    history: (slug) => [...find(slug).sync.history].reverse(),
    trace,
    async query(slug, sql, limits) {
      const { sync } = find(slug)
      try {
        const { columns, rows } = await sync.withConnection((connection) => connection.query(sql, limits))
        return { columns, rows: readRows(rows) }
      } catch (error) {
        throw refusedQuery(error)
      }
    },
    lowWatermark(partition) {
      const enabled = snapshots.current.warehouses.filter(({ isEnabled }) => isEnabled)
      const marks = enabled.map(({ id }) => syncs.get(id)?.lowWatermark(partition) ?? 0)
      return Math.min(Number.POSITIVE_INFINITY, ...marks)
    },
    async stop() {
      for (const stop of stops) stop()
      await Promise.all([...syncs.values()].map((sync) => sync.stop()))
    },
  }
}

async function* readRows(rows: QueryResult['rows']): QueryResult['rows'] {
  try {
    yield* rows
  } catch (error) {
    throw refusedQuery(error)
  }
}

/** What a connector says about a query is for the person who wrote it. */
function refusedQuery(error: unknown): unknown {
  return error instanceof BadPayload ? new AppError('bad_query', 400, error.message, { cause: error }) : error
}

function isExcluded(frame: Frame, { id, slug }: WarehouseSnapshot): boolean {
  if (frame.isDamaged || (frame.flags & eventFlags.integrations) === 0) return false
  return !isLoadedTo(parseMessage(frame.body).integrations, [id, slug])
}
