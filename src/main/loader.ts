import { AppError } from '../base/errors.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import { openSettings } from '../base/secrets.ts'
import { createLoader, type Loader } from '../loader/index.ts'
import { openCatalog } from './outside.ts'
import type { ProcessContext } from './process-context.ts'
import type { RunningRole } from './role.ts'
import { openSecrets } from './secrets.ts'

/** Bounds of one statement of `tributary sql`: a heavy one must not hold the warehouse for ever. */
const QUERY_TIMEOUT_MS = 60_000
const QUERY_ROWS_MAX = 10_000_000

export async function startLoader(context: ProcessContext): Promise<RunningRole> {
  const loader = openLoader(context)
  loader.start()
  return { handlers: loaderHandlers(loader), stop: () => loader.stop() }
}

export function openLoader({ journal, snapshots, clock, log, metrics, random, newId, paths }: ProcessContext): Loader {
  const catalog = openCatalog()
  const secrets = openSecrets(paths, { mayCreate: false })
  return createLoader({
    journal,
    snapshots,
    clock,
    log,
    metrics,
    random,
    newId,
    definitionOf: (type) => catalog.warehouse(type),
    async connect({ type, settings }) {
      const definition = await catalog.warehouse(type)
      return definition.connect(openSettings(settings, secrets), { dataDirectory: paths.data })
    },
  })
}

export function loaderHandlers(loader: Loader): LocalHandlers {
  return {
    status: () => loader.status(),
    trace: (params) => {
      const { source, partition, offset } = params as { source: number; partition: number; offset: number }
      return loader.trace(source, partition, offset)
    },
    sync: (params) => loader.syncNow((params as { warehouse: string }).warehouse),
    query: (params) => {
      const { sql, warehouse } = params as { sql: string; warehouse?: string }
      return queryItems(loader, sql, warehouse)
    },
    lowWatermark: async (params) => loader.lowWatermark((params as { partition: number }).partition),
  }
}

async function* queryItems(loader: Loader, sql: string, warehouse: string | undefined) {
  if (typeof sql !== 'string' || sql.trim() === '') throw new AppError('bad_query', 400, 'The query is empty.')
  const { columns, rows } = await loader.query(warehouse, sql, { timeoutMs: QUERY_TIMEOUT_MS, rowsMax: QUERY_ROWS_MAX })
  yield { columns }
  for await (const chunk of rows) yield { rows: chunk }
}
