import {
  createDelivery,
  openOutcomeStore,
  type BucketSeconds,
  type DeadLetterFilter,
  type Delivery,
} from '../delivery/index.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import { openSettings } from '../base/secrets.ts'
import { openCatalog, openEgress, sendRequestOf } from './outside.ts'
import type { ProcessContext } from './process-context.ts'
import type { RunningRole } from './role.ts'
import { openSecrets } from './secrets.ts'

const OUTCOMES_PARTITION = 0

export async function startDelivery(context: ProcessContext): Promise<RunningRole> {
  const { delivery, close } = await openDelivery(context, (error) => {
    throw error
  })
  await delivery.start()
  return {
    handlers: deliveryHandlers(delivery),
    async stop() {
      await delivery.stop()
      await close()
    },
  }
}

export async function openDelivery(
  context: ProcessContext,
  onFailed: (error: unknown) => void,
): Promise<{ delivery: Delivery; close: () => Promise<void> }> {
  const { journal, snapshots, clock, random, log, metrics, paths } = context
  const secrets = openSecrets(context.paths, { mayCreate: false })
  const catalog = openCatalog()
  const egress = openEgress(context)
  const store = openOutcomeStore(paths.deliveryDatabase)
  const delivery = createDelivery({
    journal,
    snapshots,
    clock,
    random,
    log,
    metrics,
    store,
    partition: OUTCOMES_PARTITION,
    newId: context.newId,
    definitionOf: (type) => catalog.destination(type),
    makeSendRequest: ({ connection, timeoutMs }) => sendRequestOf(egress, connection, timeoutMs),
    openSettings: (sealed) => openSettings(sealed, secrets),
    onFailed,
  })
  return {
    delivery,
    async close() {
      await egress.close()
      store.close()
    },
  }
}

interface AboutHistory {
  connection: number
  seconds: BucketSeconds
  fromMs: number
  toMs: number
}

interface AboutDeadLetters {
  connection: number
  filter: DeadLetterFilter
}

export function deliveryHandlers(delivery: Delivery): LocalHandlers {
  return {
    status: () => delivery.status(),
    trace: (params) => {
      const { source, partition, offset } = params as { source: number; partition: number; offset: number }
      return delivery.trace(source, partition, offset)
    },
    recount: () => delivery.recount(),
    deadLetters: (params) => {
      const { connection, filter, limit } = params as AboutDeadLetters & { limit: number }
      return delivery.deadLetters(connection, filter, limit)
    },
    history: async (params) => {
      const { connection, seconds, fromMs, toMs } = params as AboutHistory
      return delivery.history(connection, seconds, fromMs, toMs)
    },
    countDeadMessages: (params) => {
      const { connection, filter } = params as AboutDeadLetters
      return delivery.countDeadMessages(connection, filter)
    },
    redeliver: (params) => {
      const { connection, order } = params as { connection: number; order: Parameters<Delivery['redeliver']>[1] }
      return delivery.redeliver(connection, order)
    },
    redeliveries: async (params) => delivery.redeliveries((params as { connection: number }).connection),
    cancelRedelivery: (params) => {
      const { connection, id } = params as { connection: number; id: string }
      return delivery.cancelRedelivery(connection, id)
    },
    lowWatermark: async (params) => delivery.lowWatermark((params as { partition: number }).partition),
  }
}
