/** What the command line asks of an installation, over `run/control.sock`, or in process when no server runs. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import type { Config, Store } from '../store/index.ts'
import { createDeliveryHistoryApi } from './delivery-history.ts'
import { readDiskUsage } from './disk-usage.ts'
import { examine } from './doctor.ts'
import type { Roles } from './roles.ts'
import { readStatus } from './status.ts'
import { createRedeliveryApi, type DeadLetterQuery } from './redelivery.ts'
import { describeSource } from './sources.ts'
import { createSnippetApi, type SnippetAsked } from './snippet.ts'
import { createTraceApi } from './trace-routes.ts'

export interface ControlParts {
  store: Store
  roles: Roles
  clock: Clock
  dataDirectory: string
  /** Reads and checks a config file; `environment` fills its `${NAME}`s. Throws `config_invalid`. */
  parseConfig(text: string, fileName: string, environment: NodeJS.ProcessEnv): Promise<Config>
  /** Publishes the snapshot and resolves when the data plane works with it. */
  publish(): Promise<void>
  /** Public address of the console. */
  baseUrl(): string
}

export function createControlHandlers(parts: ControlParts): LocalHandlers {
  const { store, roles, clock, dataDirectory } = parts
  const disk = () => readDiskUsage(dataDirectory, clock)
  const history = createDeliveryHistoryApi({ store, roles, clock })
  const redelivery = createRedeliveryApi({ store, roles })
  const snippet = createSnippetApi(parts)
  const trace = createTraceApi(parts)
  return {
    async apply(params) {
      const { text, fileName, environment, prune, dryRun } = params as ApplyParams
      const config = await parts.parseConfig(text, fileName, environment)
      if (dryRun) return store.planConfig(config, { prune })
      const plan = await store.applyConfig(config, { prune })
      await parts.publish()
      return plan
    },
    export: () => store.exportConfig(),
    // Whoever reaches the socket owns the installation.
    sources: async () => (await store.listSources()).map((each) => describeSource(each, { role: 'Workspace Owner' })),
    status: async () => readStatus(await store.snapshot(), roles, disk),
    snippet: (params) => snippet(params as SnippetAsked),
    trace: (params) => trace((params as { messageId: string }).messageId),
    sql: (params) => {
      const { query, warehouse } = params as { query: string; warehouse?: string }
      return roles.loaderQuery(query, warehouse)
    },
    async sync(params) {
      const { warehouse } = params as { warehouse: string }
      const snapshot = await store.snapshot()
      if (!snapshot.warehouses.some((each) => each.slug === warehouse)) {
        const known = snapshot.warehouses.map((each) => each.slug).join(', ')
        throw new AppError('unknown_warehouse', 404, `There is no warehouse "${warehouse}".`, {
          hint: `There are: ${known || 'none'}.`,
        })
      }
      await untilDecided(roles)
      return roles.loaderSync(warehouse)
    },
    signInLink: async () => `${parts.baseUrl()}/sign-in/${await store.createSignInLink()}`,
    firstWriteKey: async () =>
      (await store.snapshot()).sources.find((source) => source.isEnabled)?.writeKeys[0] ?? null,
    deliveryHistory: (params) => {
      const { destination, window } = params as { destination: string; window: string }
      return history(destination, window)
    },
    deadLetters: (params) => {
      const { destination, query, limit } = params as { destination: string; query: DeadLetterQuery; limit: number }
      return redelivery.deadLetters(destination, query, limit)
    },
    redeliver: (params) => {
      const { destination, request } = params as { destination: string; request: unknown }
      return redelivery.order(destination, request)
    },
    redeliveries: (params) => redelivery.list((params as { destination: string }).destination),
    async cancelRedelivery(params) {
      const { destination, id } = params as { destination: string; id: string }
      await redelivery.cancel(destination, id)
      return null
    },
    doctor: async () => examine(await store.snapshot(), roles, disk),
  }
}

interface ApplyParams {
  text: string
  fileName: string
  environment: NodeJS.ProcessEnv
  prune: boolean
  dryRun: boolean
}

const CATCH_UP_POLL_MS = 20

/** Resolves when the pipeline has decided everything that was accepted before the call, and what became of its blocked events in the
 *  sources that they were forwarded to. */
async function untilDecided(roles: Roles): Promise<void> {
  await untilDecidedUpTo(roles, await roles.receivedTotals())
  const { eventsEnd } = await roles.pipelineStatus()
  while ((await roles.pipelineStatus()).forwardedThrough < eventsEnd) await wait(CATCH_UP_POLL_MS)
  await untilDecidedUpTo(roles, await roles.receivedTotals())
}

async function untilDecidedUpTo(roles: Roles, totals: Record<number, number>): Promise<void> {
  for (;;) {
    const { sources } = await roles.pipelineStatus()
    const isBehind = Object.entries(totals).some(([source, total]) => {
      const counts = sources[Number(source)]
      const decided =
        counts === undefined ? 0 : counts.processed + counts.duplicate + sumOf(counts.rejected) + sumOf(counts.dropped)
      return decided < total
    })
    if (!isBehind) return
    await wait(CATCH_UP_POLL_MS)
  }
}

function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
