/** The control process: the control database, the configuration snapshot, the command line's socket, the status page, the archive. */
import { randomInt } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { createArchiveRunner, createRawLog } from '../archive/index.ts'
import {
  createControlHandlers,
  createDeliveryHistoryApi,
  createDeliveryHistoryRoutes,
  createSourceRoutes,
  createTraceApi,
  createTraceRoutes,
  createRedeliveryApi,
  createRedeliveryRoutes,
  createSchemaApi,
  createSchemaHandlers,
  createSchemaRoutes,
  createSnippetApi,
  createSnippetRoutes,
  createSourceEventsApi,
  createSourceEventsHandlers,
  createSourceEventsRoutes,
  readDiskUsage,
  serveControlHttp,
  type Roles,
} from '../api/index.ts'
import { systemClock } from '../base/clock.ts'
import { diskFileSystem } from '../base/file-system.ts'
import { createLogger, type Logger } from '../base/logger.ts'
import { createMetrics } from '../base/metrics.ts'
import { createSchema, type SchemaView } from '../schema/index.ts'
import { createDebugger, type SourceDebugger } from '../debugger/index.ts'
import { openJournal, type Journal, type Topic } from '../journal/index.ts'
import type { PipelineStatus } from '../pipeline/index.ts'
import { type Snapshot } from '../snapshot/index.ts'
import { openStore, parseConfig, type Store } from '../store/index.ts'
import type { ControlParts } from '../api/index.ts'
import { configChecks } from './config-checks.ts'
import { openCatalog } from './outside.ts'
import { pathsOf, type Paths } from './paths.ts'
import { newId } from './process-context.ts'
import type { RunningRole } from './role.ts'
import { openSecrets } from './secrets.ts'
import { rolesOver, socketLine, type Line } from './roles.ts'
import type { StartOptions } from './start-options.ts'

/** How long a trace finds the outcomes of a message. */
const OUTCOMES_DAYS = 8
/** Rounds of the archive: each asks delivery and loader, which wakes them; a segment fills in some seconds at the fastest. */
const ARCHIVE_EVERY_MS = 60_000

export async function startControl(options: StartOptions, onFailed: (error: Error) => void): Promise<RunningRole> {
  const paths = pathsOf(options.dataDirectory)
  const log = createLogger('control')
  const metrics = createMetrics('control')
  const { store, journal } = await openControl(paths, log, onFailed)
  await configureAtStart(store)
  // Until something has come; the first start may have ended early, because its port was taken.
  const lines = (await hasReceived(journal)) ? [] : await firstLines(store, options, paths)
  await store.publish(paths.snapshot)

  const line = socketLine(paths)
  const roles = rolesOver(line, () => metrics.metrics())
  const handlers = createControlHandlers(controlParts({ store, roles, paths, options }))
  const sourceDebugger = openDebugger(paths, journal, log, store)
  const sourceEvents = createSourceEventsApi({ clock: systemClock, store, debugger: sourceDebugger })
  const schema = openSchema(paths, journal, log, store, metrics)
  const schemaApi = createSchemaApi({ clock: systemClock, store, schema })
  const http = await serveControlHttp({
    store,
    roles,
    clock: systemClock,
    log,
    socketPath: paths.socketOf('http'),
    disk: () => readDiskUsage(paths.data, systemClock),
    routes: [
      ...createSourceRoutes({ store, publish: async () => void (await store.publish(paths.snapshot)) }),
      ...createDeliveryHistoryRoutes(createDeliveryHistoryApi({ store, roles, clock: systemClock })),
      ...createRedeliveryRoutes(createRedeliveryApi({ store, roles })),
      ...createSchemaRoutes(schemaApi),
      ...createSourceEventsRoutes(sourceEvents),
      ...createSnippetRoutes(createSnippetApi({ store, baseUrl: () => baseUrlOf(options) })),
      ...createTraceRoutes(createTraceApi({ store, roles })),
    ],
  })
  const archive = openArchive(paths, journal, log, line, store, schema)
  archive.start()
  schema.start()
  sourceDebugger.start()
  return {
    handlers: {
      ...handlers,
      ...createSchemaHandlers(schemaApi),
      ...createSourceEventsHandlers(sourceEvents),
      metrics: () => metrics.metrics(),
    },
    lines,
    async stop() {
      await sourceDebugger.stop()
      await archive.stop()
      await http.close()
      await schema.stop()
      await journal.close()
      await store.close()
    },
  }
}

/** Makes the data directory, the journal and the database where there are none. */
export async function openControl(
  paths: Paths,
  log: Logger,
  onFailed: (error: Error) => void,
): Promise<{ store: Store; journal: Journal }> {
  await mkdir(paths.run, { recursive: true, mode: 0o700 })
  const journal = await openJournal({
    directory: paths.journal,
    archiveDirectory: paths.archive,
    fileSystem: diskFileSystem,
    clock: systemClock,
    newId,
    log,
    onFailed,
  })
  const store = await openStore({
    path: paths.controlDatabase,
    clock: systemClock,
    newId,
    secrets: openSecrets(paths, { mayCreate: true }),
    log,
    eventsEnds: () => eventsEnds(journal),
  })
  return { store, journal }
}

/** Where a new connection begins. */
async function eventsEnds(journal: Journal): Promise<Record<number, number>> {
  const ends: Record<number, number> = {}
  for (const partition of await journal.partitions('events'))
    ends[partition] = await journal.durableEnd('events', partition)
  return ends
}

async function hasReceived(journal: Journal): Promise<boolean> {
  for (const partition of await journal.partitions('received'))
    if ((await journal.durableEnd('received', partition)) > 0) return true
  return false
}

/** Applies the config file, or makes the first workspace. */
async function configureAtStart(store: Store): Promise<void> {
  const configPath = process.env['TRIBUTARY_CONFIG']
  if (configPath) {
    const text = await readFile(configPath, 'utf8')
    const config = await parseConfig(text, {
      fileName: configPath,
      environment: process.env,
      checks: await configChecks(openCatalog()),
    })
    await store.applyConfig(config, { prune: false })
  } else if (await store.isEmpty()) {
    await store.makeFirstWorkspace()
  }
}

/** What people should read who start it for the first time. */
async function firstLines(store: Store, options: StartOptions, paths: Paths): Promise<string[]> {
  const baseUrl = baseUrlOf(options)
  const { sources } = await store.snapshot()
  const writeKey = sources[0]?.writeKeys[0]
  const lines = [`data directory: ${paths.data}`]
  if (writeKey !== undefined) {
    lines.push(`write key: ${writeKey}`)
    lines.push(
      `curl -u ${writeKey}: ${baseUrl}/v1/track -d '{"userId":"u-81","event":"Lesson Started","properties":{"lesson":4}}'`,
    )
  }
  lines.push(`sign in: ${baseUrl}/sign-in/${await store.createSignInLink()}`)
  return lines
}

export function baseUrlOf({ publicUrl, host, port, tls }: StartOptions): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '')
  return `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

export function controlParts(parts: { store: Store; roles: Roles; paths: Paths; options: StartOptions }): ControlParts {
  const { store, roles, paths, options } = parts
  return {
    store,
    roles,
    clock: systemClock,
    dataDirectory: paths.data,
    parseConfig: async (text, fileName, environment) =>
      parseConfig(text, { fileName, environment, checks: await configChecks(openCatalog()) }),
    async publish() {
      await store.publish(paths.snapshot)
    },
    baseUrl: () => baseUrlOf(options),
  }
}

function openDebugger(paths: Paths, journal: Journal, log: Logger, store: Store): SourceDebugger {
  return createDebugger({
    journal,
    path: paths.debuggerDatabase,
    clock: systemClock,
    log,
    sources: async () => new Set((await store.snapshot()).sources.map(({ number }) => number)),
  })
}

function openSchema(
  paths: Paths,
  journal: Journal,
  log: Logger,
  store: Store,
  registry: ReturnType<typeof createMetrics>,
): SchemaView {
  return createSchema({
    journal,
    path: paths.schemaDatabase,
    clock: systemClock,
    log,
    seed: randomInt(2 ** 32),
    sources: async () => new Set((await store.snapshot()).sources.map(({ number }) => number)),
    registry,
  })
}

function openArchive(
  paths: Paths,
  journal: Journal,
  log: Logger,
  line: Line,
  store: Store,
  schema: Pick<SchemaView, 'coveredThrough'>,
) {
  let snapshot: Snapshot | undefined
  const rawLog = createRawLog({
    journal,
    archiveDirectory: paths.archive,
    sourceIdOf: (source) => snapshot?.sources.find(({ number }) => number === source)?.id ?? `source-${source}`,
  })
  const runner = createArchiveRunner({
    beforeRemoval: () => rawLog.writeSealed(),
    journal,
    archiveDirectory: paths.archive,
    fileSystem: diskFileSystem,
    clock: systemClock,
    log,
    intervalMs: ARCHIVE_EVERY_MS,
    async lowWatermark(topic, partition) {
      snapshot = await store.snapshot()
      const mark = await lowWatermark(line, topic, partition)
      // The schema reads from the archive what has left the hot journal.
      const isOnlyCopy = topic === 'events' && !snapshot.settings.archive.isEnabled
      return isOnlyCopy ? Math.min(mark, schema.coveredThrough(partition)) : mark
    },
    settings() {
      const settings = snapshot?.settings
      return {
        isEnabled: settings?.archive.isEnabled ?? true,
        outcomesDays: OUTCOMES_DAYS,
        ...(settings?.journal.bytesMax === undefined ? {} : { hotBytesMax: settings.journal.bytesMax }),
        ...(settings?.retention.archiveDays === undefined ? {} : { archiveDays: settings.retention.archiveDays }),
      }
    },
  })
  return {
    start: () => runner.start(),
    /** The parent stops this process last: what the pipeline has decided until its end is in the raw log, too. */
    async stop() {
      await runner.stop()
      snapshot = await store.snapshot()
      if (snapshot.settings.archive.isEnabled) await rawLog.flush()
    },
  }
}

/** The offset that every reader of a partition has passed. A process that does not answer has passed nothing. */
async function lowWatermark(line: Line, topic: Topic, partition: number): Promise<number> {
  try {
    if (topic === 'received') {
      const { decidedThrough } = (await line.call('pipeline', 'status')) as PipelineStatus
      return decidedThrough[partition]?.offset ?? 0
    }
    // Delivery removes its own outcomes, when nobody can ask for a trace of them any more.
    if (topic === 'outcomes') return 0
    const marks = await Promise.all([
      line.call('pipeline', 'status').then((status) => (status as PipelineStatus).eventsNeededFrom),
      line.call('delivery', 'lowWatermark', { partition }),
      line.call('loader', 'lowWatermark', { partition }),
    ])
    return Math.min(...marks.map((mark) => (mark === null ? Infinity : Number(mark))))
  } catch {
    return 0
  }
}
