/** How the control process reaches the others: over their sockets, or in process when no server runs. */
import { callLocal, streamLocal, type LocalHandlers } from '../base/local-socket.ts'
import { AppError } from '../base/errors.ts'
import type { LoaderStatus, QueryItem, Roles } from '../api/index.ts'
import type { ConnectionStatus, DeliveryTrace, History, KeptDeadLetter, Redelivery } from '../delivery/index.ts'
import type { SyncRecord, WarehouseTrace } from '../loader/index.ts'
import type { CountDifference, PipelineStatus, TracedFrame } from '../pipeline/index.ts'
import type { Paths } from './paths.ts'

export const dataRoles = ['gateway', 'pipeline', 'delivery', 'loader'] as const
export type DataRole = (typeof dataRoles)[number]

/** One way to ask a role; answers come from our own processes, of the same version. */
export interface Line {
  call(role: DataRole, method: string, params?: unknown): Promise<unknown>
  stream(role: DataRole, method: string, params?: unknown): AsyncIterable<unknown>
}

export function socketLine(paths: Paths): Line {
  return {
    call: (role, method, params) => callLocal(paths.socketOf(role), method, params),
    stream: (role, method, params) => streamLocal(paths.socketOf(role), method, params),
  }
}

export function inProcessLine(handlers: Partial<Record<DataRole, LocalHandlers>>): Line {
  const handlerOf = (role: DataRole, method: string) => {
    const handler = handlers[role]?.[method]
    if (handler === undefined) throw new AppError('process_away', 503, `The ${role} process does not run.`)
    return handler
  }
  return {
    call: async (role, method, params) => handlerOf(role, method)(params),
    async *stream(role, method, params) {
      const answered = handlerOf(role, method)(params)
      if (Symbol.asyncIterator in answered) yield* answered
    },
  }
}

/** `ownMetrics`: Prometheus text of the process that asks. */
export function rolesOver(line: Line, ownMetrics: () => Promise<string>): Roles {
  return {
    async receivedTotals() {
      try {
        const { totals } = (await line.call('gateway', 'status')) as { totals: Record<number, number> }
        const { forwarded } = (await line.call('pipeline', 'status')) as PipelineStatus
        return sumOf(totals, forwarded)
      } catch {
        // Without the gateway nothing is being accepted, so what the journal says is all there is.
        return (await line.call('pipeline', 'receivedTotals')) as Record<number, number>
      }
    },
    pipelineStatus: async () => (await line.call('pipeline', 'status')) as PipelineStatus,
    pipelineTrace: async (workspace, messageId) =>
      (await line.call('pipeline', 'trace', { workspace, messageId })) as TracedFrame[],
    pipelineRecount: async () => (await line.call('pipeline', 'recount')) as CountDifference[],
    deliveryStatus: async () => (await line.call('delivery', 'status')) as ConnectionStatus[],
    deliveryTrace: async (source, partition, offset) =>
      (await line.call('delivery', 'trace', { source, partition, offset })) as DeliveryTrace[],
    deliveryRecount: async () => (await line.call('delivery', 'recount')) as string[],
    deadLetters: async (connection, filter, limit) =>
      (await line.call('delivery', 'deadLetters', { connection, filter, limit })) as KeptDeadLetter[],
    deliveryHistory: async (connection, seconds, fromMs, toMs) =>
      (await line.call('delivery', 'history', { connection, seconds, fromMs, toMs })) as History,
    countDeadMessages: async (connection, filter) =>
      (await line.call('delivery', 'countDeadMessages', { connection, filter })) as number,
    redeliver: async (connection, order) =>
      (await line.call('delivery', 'redeliver', { connection, order })) as Redelivery,
    redeliveries: async (connection) => (await line.call('delivery', 'redeliveries', { connection })) as Redelivery[],
    cancelRedelivery: async (connection, id) =>
      (await line.call('delivery', 'cancelRedelivery', { connection, id })) as boolean,
    loaderStatus: async () => (await line.call('loader', 'status')) as LoaderStatus,
    loaderTrace: async (source, partition, offset) =>
      (await line.call('loader', 'trace', { source, partition, offset })) as WarehouseTrace[],
    loaderSync: async (warehouse) => (await line.call('loader', 'sync', { warehouse })) as SyncRecord,
    loaderQuery: (sql, warehouse) => line.stream('loader', 'query', { sql, warehouse }) as AsyncIterable<QueryItem>,
    metrics: async () =>
      joinPages([await ownMetrics(), ...(await Promise.all(dataRoles.map((role) => metricsOf(line, role))))]),
    alive: async () =>
      Object.fromEntries(
        await Promise.all(dataRoles.map(async (role) => [role, (await metricsOf(line, role)) !== ''])),
      ),
  }
}

/** What came through the door, and what came from other sources. */
function sumOf(totals: Record<number, number>, forwarded: Record<number, number>): Record<number, number> {
  const sum = { ...totals }
  for (const [source, total] of Object.entries(forwarded)) sum[Number(source)] = (sum[Number(source)] ?? 0) + total
  return sum
}

async function metricsOf(line: Line, role: DataRole): Promise<string> {
  try {
    return String(await line.call(role, 'metrics'))
  } catch {
    return ''
  }
}

/** One page of several: Prometheus wants the samples of a metric together under one heading. */
function joinPages(pages: string[]): string {
  const families = new Map<string, { head: string[]; samples: string[] }>()
  for (const page of pages) {
    let family: { head: string[]; samples: string[] } | undefined
    for (const line of page.split('\n')) {
      const name = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1]
      if (name !== undefined) {
        family = families.get(name) ?? { head: [], samples: [] }
        families.set(name, family)
        if (!family.head.includes(line)) family.head.push(line)
      } else if (line !== '') family?.samples.push(line)
    }
  }
  return [...families.values()].flatMap(({ head, samples }) => [...head, ...samples]).join('\n') + '\n'
}
