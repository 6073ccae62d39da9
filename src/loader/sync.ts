/**
 * One warehouse: reads `events` from where its sources stand, loads chunk by chunk, each in one transaction with its cursors, and
 * waits for the next time. A source whose load fails stands still and does not hold up the others; a warehouse that fails is
 * tried again later and nobody else notices.
 */
import { backoffMs } from '../base/backoff.ts'
import type { Clock, TimerHandle } from '../base/clock.ts'
import { AppError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Gap, Journal, Reader } from '../journal/index.ts'
import type { ColumnType, Load, TableSchema, WarehouseConnection, WarehouseDefinition } from '../kit/index.ts'
import { parseSchedule, type SourceSnapshot, type WarehouseSnapshot } from '../snapshot/index.ts'
import { createFlattener, type Flattener } from './flatten.ts'
import { emptyLedger, readLedger } from './ledger.ts'
import { readLoadSettings } from './load-settings.ts'
import type { LoaderMetrics } from './metrics.ts'
import { createNames, type Names } from './names.ts'
import type { Notices } from './notices.ts'
import { createSourceChunk, type SourceChunk, type SourceCursor } from './read-events.ts'
import type { SyncRecord } from './sync-record.ts'
import { typeColumns } from './type-columns.ts'

/** Messages and bytes of bodies that one transaction loads; what a chunk takes in memory is a small multiple. */
export const CHUNK_MESSAGES_MAX = 8_192
export const CHUNK_BYTES_MAX = 16 * 1024 * 1024
const READ_BYTES = 1024 * 1024

/** Offsets of other sources' messages that are read again after a restart, at most: a cursor alone is not worth a transaction. */
const UNCOMMITTED_OFFSETS_MAX = 50_000

const RETRY_FIRST_MS = 5_000
const RETRY_MAX_MS = 600_000
/** An unused warehouse is closed after this, for the sake of memory. */
const CLOSE_AFTER_IDLE_MS = 600_000
const HISTORY_MAX = 100

export interface WarehouseParts {
  journal: Journal
  clock: Clock
  log: Logger
  metrics: LoaderMetrics | undefined
  random: () => number
  newId: () => string
  connect(warehouse: WarehouseSnapshot): Promise<WarehouseConnection>
  definitionOf(type: string): Promise<WarehouseDefinition> | WarehouseDefinition
  /** The warehouse as it is configured now; undefined when it is gone. */
  warehouse(): WarehouseSnapshot | undefined
  /** The sources that are loaded into it. */
  sources(): SourceSnapshot[]
}

/** A warehouse at work. `start` it once, `stop` it once. */
export class WarehouseSync {
  readonly #parts: WarehouseParts
  readonly #log: Logger
  readonly #names = new Map<string, Names>()
  /** Source id -> partition -> where it stands; empty until the warehouse was asked. */
  readonly #cursors = new Map<string, Map<number, SourceCursor>>()
  /** Schema -> table -> columns. */
  readonly #tables = new Map<string, Map<string, Map<string, ColumnType>>>()
  #open: { connection: Promise<WarehouseConnection>; settings: string } | undefined
  #uses = 0
  #closeTimer: TimerHandle | undefined
  #timer: TimerHandle | undefined
  #running: Promise<SyncRecord> | undefined
  #queued: Promise<SyncRecord> | undefined
  #hasNews = true
  #isStarted = false
  #isStopped = false
  #attempt = 0
  #lastStartMs = Number.NEGATIVE_INFINITY
  readonly history: SyncRecord[] = []

  constructor(parts: WarehouseParts, slug: string) {
    this.#parts = parts
    this.#log = parts.log.child({ warehouse: slug })
  }

  /** Makes the first run, unless the schedule is `manual`. */
  start(): void {
    this.#isStarted = true
    this.#arm()
  }

  /** There are new frames in `events`. */
  wake(): void {
    this.#hasNews = true
    this.#arm()
  }

  /** The configuration has changed: the next run may be due at another time, or have more to do. */
  reconfigure(): void {
    if (this.#timer !== undefined) this.#parts.clock.clear(this.#timer)
    this.#timer = undefined
    this.wake()
  }

  /** Runs a sync that begins after this call, and resolves with what came of it. Never rejects. */
  sync(): Promise<SyncRecord> {
    if (this.#running === undefined) return this.#run()
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined
      return this.#run()
    })
    return this.#queued
  }

  /** When the next run is due; undefined while there is nothing to do. */
  get nextSyncMs(): number | undefined {
    return this.#hasNews ? this.#dueMs() : undefined
  }

  get consecutiveFailures(): number {
    return this.#attempt
  }

  /** Gives the connection to `use`, opened when needed. */
  async withConnection<T>(use: (connection: WarehouseConnection) => Promise<T>): Promise<T> {
    this.#uses += 1
    if (this.#closeTimer !== undefined) this.#parts.clock.clear(this.#closeTimer)
    this.#closeTimer = undefined
    try {
      return await use(await this.#connection())
    } finally {
      this.#uses -= 1
      if (this.#uses === 0 && !this.#isStopped) {
        this.#closeTimer = this.#parts.clock.after(CLOSE_AFTER_IDLE_MS, () => void this.#close())
      }
    }
  }

  /** Where the source stands, partition by partition. Asks the warehouse when that has not been done yet. */
  async cursorsOf(source: SourceSnapshot): Promise<SourceCursor[]> {
    await this.#placeCursors([source])
    return [...(this.#cursors.get(source.id)?.values() ?? [])]
  }

  /** Lowest offset of the partition at which a source of this warehouse stands. */
  lowestOffset(partition: number): number {
    const cursors = [...this.#cursors.values()].flatMap((ofSource) => ofSource.get(partition) ?? [])
    return Math.min(Number.POSITIVE_INFINITY, ...cursors.map(({ offset }) => offset))
  }

  /** Lowest offset of the partition that a source of this warehouse still needs; 0 while that is not known. What lies between the
   *  cursor in the warehouse and this holds nothing of the source, so it may go although a restart would read it again. */
  lowWatermark(partition: number): number {
    const offsets = this.#parts.sources().map(({ id }) => this.#cursors.get(id)?.get(partition)?.offset ?? 0)
    return Math.min(Number.POSITIVE_INFINITY, ...offsets)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const timer of [this.#timer, this.#closeTimer]) if (timer !== undefined) this.#parts.clock.clear(timer)
    await this.#running
    await this.#close()
  }

  #arm(): void {
    if (!this.#isStarted || this.#isStopped || this.#running || this.#timer || !this.#hasNews) return
    const dueMs = this.#dueMs()
    if (dueMs === undefined) return
    this.#timer = this.#parts.clock.after(Math.max(0, dueMs - this.#parts.clock.now()), () => {
      this.#timer = undefined
      if (this.#running === undefined) void this.#run()
    })
  }

  #retryAtMs = 0

  #dueMs(): number | undefined {
    const warehouse = this.#parts.warehouse()
    if (warehouse === undefined || !warehouse.isEnabled || warehouse.schedule === 'manual') return undefined
    const nowMs = this.#parts.clock.now()
    // The first run is at once.
    if (this.#lastStartMs === Number.NEGATIVE_INFINITY) return nowMs
    if (this.#attempt > 0) return Math.max(nowMs, this.#retryAtMs)
    return parseSchedule(warehouse.schedule).nextMs(this.#lastStartMs, nowMs)
  }

  #run(): Promise<SyncRecord> {
    if (this.#timer !== undefined) this.#parts.clock.clear(this.#timer)
    this.#timer = undefined
    this.#hasNews = false
    this.#lastStartMs = this.#parts.clock.now()
    this.#running = this.#syncOnce().then((record) => {
      this.#running = undefined
      this.#finish(record)
      return record
    })
    return this.#running
  }

  #finish(record: SyncRecord): void {
    this.history.push(record)
    if (this.history.length > HISTORY_MAX) this.history.shift()
    this.#parts.metrics?.finished(this.#parts.warehouse()?.slug ?? '', record)
    if (record.error === undefined) {
      this.#attempt = 0
    } else {
      this.#attempt += 1
      this.#hasNews = true
      const waitMs = backoffMs({
        attempt: this.#attempt,
        firstMs: RETRY_FIRST_MS,
        maxMs: RETRY_MAX_MS,
        random: this.#parts.random,
      })
      this.#retryAtMs = this.#parts.clock.now() + waitMs
      this.#log.warn({ attempt: this.#attempt, retryInMs: Math.round(waitMs) }, `sync failed: ${record.error}`)
    }
    this.#arm()
  }

  async #syncOnce(): Promise<SyncRecord> {
    const { clock, newId } = this.#parts
    const startedMs = clock.now()
    const run: Run = {
      id: newId(),
      startedAt: new Date(startedMs),
      rows: new Map(),
      notices: new Map(),
      failed: new Map(),
    }
    let error: string | undefined
    try {
      await this.#loadAll(run)
    } catch (thrown) {
      error = messageOf(thrown)
      // What the warehouse has may differ from what is remembered: the next run reads it anew.
      this.#tables.clear()
    }
    error ??= run.failed.size === 0 ? undefined : [...run.failed].map(([slug, why]) => `${slug}: ${why}`).join('; ')
    const isFine = error === undefined && run.notices.size === 0
    const record: SyncRecord = {
      id: run.id,
      startedAt: run.startedAt.toISOString(),
      durationMs: clock.now() - startedMs,
      rows: Object.fromEntries(run.rows),
      notices: Object.fromEntries(run.notices),
      status: isFine ? 'success' : error !== undefined && run.rows.size === 0 ? 'failure' : 'partial',
    }
    if (error !== undefined) record.error = error
    return record
  }

  async #loadAll(run: Run): Promise<void> {
    const warehouse = this.#parts.warehouse()
    if (warehouse === undefined) throw new AppError('unknown_warehouse', 404, 'The warehouse is gone.')
    const { journal } = this.#parts
    const partitions = await journal.partitions('events')
    const ends = await Promise.all(partitions.map((partition) => journal.durableEnd('events', partition)))
    // Nothing was ever sent: no reason to load a database library.
    if (ends.every((end) => end === 0)) return
    const sources = this.#parts.sources()
    await this.#placeCursors(sources)
    for (const [i, partition] of partitions.entries()) {
      await this.#loadPartition({ run, warehouse, sources, partition, end: ends[i]! })
    }
  }

  async #loadPartition(work: PartitionWork): Promise<void> {
    const first = this.#standing(work)
    if (first.length === 0) return
    const start = Math.min(...first.map(({ cursor }) => cursor.offset))
    if (start >= work.end) return
    const reader = await this.#parts.journal.openReader('events', work.partition, start)
    try {
      while (reader.offset < work.end && !this.#isStopped) {
        // A source that failed is left out of the rest of this run.
        const standing = this.#standing(work)
        if (standing.length === 0) return
        if (!(await this.#loadChunk(work, standing, reader))) return
      }
    } finally {
      await reader.close()
    }
  }

  #standing({ run, sources, partition }: PartitionWork): Standing[] {
    return sources
      .filter(({ slug }) => !run.failed.has(slug))
      .map((source) => ({ source, cursor: this.#cursors.get(source.id)?.get(partition) }))
      .filter((standing): standing is Standing => standing.cursor !== undefined)
  }

  /** Reads and loads one chunk; false when the journal has nothing more after all. */
  async #loadChunk(work: PartitionWork, standing: Standing[], reader: Reader): Promise<boolean> {
    const definition = await this.#parts.definitionOf(work.warehouse.type)
    const before = reader.offset
    const parts = await this.#openChunk(work, standing, definition)
    await readChunk(reader, parts, work.end)
    if (reader.offset === before) return false
    const due = parts.filter(({ chunk }) => isWorthCommit(chunk, reader.offset))
    if (due.length > 0) await this.#commit(work, due, reader.offset, definition)
    for (const { chunk, source } of parts) {
      if (work.run.failed.has(source.slug) || chunk.cursor.offset >= reader.offset) continue
      chunk.cursor.offset = reader.offset
      chunk.cursor.gap = chunk.gap
    }
    return true
  }

  async #openChunk(work: PartitionWork, standing: Standing[], definition: WarehouseDefinition): Promise<ChunkPart[]> {
    const { warehouse, run } = work
    const settings = readLoadSettings(warehouse.settings)
    const names = this.#namesFor(warehouse, definition)
    const parts: ChunkPart[] = []
    for (const { source, cursor } of standing) {
      const schema = schemaOf(source, work.sources, names)
      const off = warehouse.selectiveSync[source.slug]
      const flattener = createFlattener({
        schema,
        names,
        settings,
        known: await this.#tablesOf(schema),
        isTableOn: (table) => off?.[table] !== false,
        loadedAtMs: run.startedAt.getTime(),
        notices: run.notices,
      })
      const chunk = createSourceChunk({ cursor, flattener, names: [warehouse.id, warehouse.slug], log: this.#log })
      parts.push({ source, schema, flattener, chunk })
    }
    return parts
  }

  /** Loads the parts together; when that fails, one by one, so that the bad one stands alone. */
  async #commit(
    work: PartitionWork,
    parts: ChunkPart[],
    offset: number,
    definition: WarehouseDefinition,
  ): Promise<void> {
    const typed = parts.map((part) => ({ part, rows: typeColumns(part.flattener.gathered, definition) }))
    try {
      await this.#load(work, typed, offset)
    } catch (error) {
      this.#tables.clear()
      if (typed.length === 1) {
        work.run.failed.set(typed[0]!.part.source.slug, messageOf(error))
        return
      }
      for (const one of typed) {
        await this.#load(work, [one], offset).catch((error: unknown) => {
          work.run.failed.set(one.part.source.slug, messageOf(error))
        })
      }
      this.#tables.clear()
    }
  }

  async #load(work: PartitionWork, typed: TypedPart[], offset: number): Promise<void> {
    const { journal, newId } = this.#parts
    const { run, partition } = work
    const load: Load = {
      id: newId(),
      startedAt: run.startedAt,
      createTables: typed.flatMap(({ rows }) => rows.createTables),
      addColumns: typed.flatMap(({ rows }) => rows.addColumns),
      alterColumns: typed.flatMap(({ rows }) => rows.alterColumns),
      append: typed.flatMap(({ rows }) => rows.append),
      upsert: typed.flatMap(({ rows }) => rows.upsert),
      cursors: typed.map(({ part: { source, chunk } }) => ({
        journalId: journal.id,
        source: source.id,
        partition,
        fromOffset: chunk.cursor.committedOffset,
        offset: Math.max(offset, chunk.cursor.offset),
        ledger: chunk.ledger,
      })),
    }
    const result = await this.withConnection((connection) => connection.load(load))
    this.#remember(load)
    for (const [table, count] of result.inserted) run.rows.set(table, (run.rows.get(table) ?? 0) + count)
    for (const { part } of typed) {
      const { cursor, ledger, gap } = part.chunk
      cursor.offset = Math.max(offset, cursor.offset)
      cursor.committedOffset = cursor.offset
      cursor.ledger = ledger
      cursor.gap = gap
    }
  }

  /** The warehouse has taken the changes of the load. */
  #remember({ createTables, addColumns, alterColumns }: Load): void {
    for (const { schema, table, columns } of createTables) this.#tables.get(schema)?.set(table, new Map(columns))
    for (const { schema, table, column, type } of addColumns) this.#tables.get(schema)?.get(table)?.set(column, type)
    for (const { schema, table, column, to } of alterColumns) this.#tables.get(schema)?.get(table)?.set(column, to)
  }

  async #tablesOf(schema: string): Promise<Map<string, Map<string, ColumnType>>> {
    let tables = this.#tables.get(schema)
    if (tables === undefined) {
      const read: TableSchema[] = await this.withConnection((connection) => connection.readSchema([schema]))
      tables = new Map(read.map(({ table, columns }) => [table, columns]))
      this.#tables.set(schema, tables)
    }
    return tables
  }

  #namesFor({ type }: WarehouseSnapshot, definition: WarehouseDefinition): Names {
    let names = this.#names.get(type)
    if (names === undefined) this.#names.set(type, (names = createNames(definition)))
    return names
  }

  /** Finds out where sources stand: from the warehouse, or at the start of what is kept. */
  async #placeCursors(sources: readonly SourceSnapshot[]): Promise<void> {
    const { journal } = this.#parts
    const partitions = await journal.partitions('events')
    const missing = (source: SourceSnapshot) =>
      partitions.some((partition) => this.#cursors.get(source.id)?.has(partition) !== true)
    if (!sources.some(missing)) return
    const stored = await this.withConnection((connection) => connection.readCursors())
    for (const source of sources) {
      const ofSource = this.#cursors.get(source.id) ?? new Map<number, SourceCursor>()
      this.#cursors.set(source.id, ofSource)
      for (const partition of partitions) {
        if (ofSource.has(partition)) continue
        const found = stored.find((one) => {
          return one.source === source.id && one.partition === partition && one.journalId === journal.id
        })
        const cursor = await this.#placeCursor(partition, found)
        // A sync and a question may both have asked the warehouse; the cursor that came first may be in use already.
        if (!ofSource.has(partition)) ofSource.set(partition, cursor)
      }
    }
  }

  async #placeCursor(
    partition: number,
    stored: { offset: number; ledger: unknown } | undefined,
  ): Promise<SourceCursor> {
    const { journal } = this.#parts
    if (stored === undefined) {
      // A new source, or a journal that this warehouse does not know: what is there already has an id and stays one row.
      const offset = await journal.firstOffset('events', partition)
      return { partition, offset, committedOffset: offset, ledger: emptyLedger(offset), gap: undefined }
    }
    // A power cut can leave the mark of `events` behind the cursor until the pipeline has opened it again. The cursor waits: moved
    // back, its ledger would count again what it has passed.
    const { offset } = stored
    return {
      partition,
      offset,
      committedOffset: offset,
      ledger: readLedger(stored.ledger, offset),
      gap: undefined,
    }
  }

  async #connection(): Promise<WarehouseConnection> {
    const warehouse = this.#parts.warehouse()
    if (warehouse === undefined) throw new AppError('unknown_warehouse', 404, 'The warehouse is gone.')
    const settings = JSON.stringify([warehouse.type, warehouse.settings])
    // Other settings may mean another database: what is known of the old one is not true of it.
    if (this.#open !== undefined && this.#open.settings !== settings && this.#uses === 1) {
      await this.#close()
      this.#cursors.clear()
      this.#tables.clear()
    }
    if (this.#open === undefined) {
      const connection = this.#parts.connect(warehouse)
      this.#open = { connection, settings }
      connection.catch(() => (this.#open = undefined))
    }
    return this.#open.connection
  }

  async #close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await open?.connection.then((connection) => connection.close()).catch(() => {})
  }
}

interface Run {
  id: string
  startedAt: Date
  rows: Map<string, number>
  notices: Notices
  /** Source slug -> why its load failed. */
  failed: Map<string, string>
}

interface PartitionWork {
  run: Run
  warehouse: WarehouseSnapshot
  sources: SourceSnapshot[]
  partition: number
  /** Durable end as of the start of the run. */
  end: number
}

interface Standing {
  source: SourceSnapshot
  cursor: SourceCursor
}

interface ChunkPart {
  source: SourceSnapshot
  schema: string
  flattener: Flattener
  chunk: SourceChunk
}

interface TypedPart {
  part: ChunkPart
  rows: ReturnType<typeof typeColumns>
}

/** The schema of a source: its slug in snake case. Two sources never share one (`web-shop` and `web_shop`): the newer one gets its number. */
function schemaOf(source: SourceSnapshot, sources: readonly SourceSnapshot[], names: Names): string {
  const schema = names.schema(source.slug)
  const isTaken = sources.some(({ number, slug }) => number < source.number && names.schema(slug) === schema)
  return isTaken ? `${schema}_${source.number}` : schema
}

/** Reads frames into the parts until the chunk is full or `end` is reached. */
async function readChunk(reader: Reader, parts: readonly ChunkPart[], end: number): Promise<void> {
  const partOf = new Map(parts.map((part) => [part.source.number, part.chunk]))
  let messages = 0
  let bytes = 0
  while (messages < CHUNK_MESSAGES_MAX && bytes < CHUNK_BYTES_MAX && reader.offset < end) {
    const items = await reader.read(READ_BYTES)
    if (items.length === 0) return
    for (const item of items) {
      if (item.type === 'gap') {
        noteGap(item, parts)
        continue
      }
      const chunk = partOf.get(item.source)
      if (chunk === undefined || item.offset < chunk.cursor.offset) continue
      chunk.add(item)
      messages += 1
      bytes += item.body.byteLength
    }
  }
}

function noteGap(gap: Gap, parts: readonly ChunkPart[]): void {
  for (const { chunk } of parts) if (gap.offset + gap.count > chunk.cursor.offset) chunk.gap = gap.reason
}

/** Whether the part has something for the warehouse: a message or decision, or a cursor that has moved far. */
function isWorthCommit({ frameCount, cursor }: SourceChunk, offset: number): boolean {
  return frameCount > 0 || offset - cursor.committedOffset > UNCOMMITTED_OFFSETS_MAX
}
