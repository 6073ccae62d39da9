/** What the control process asks the others for. `main/` answers it over their sockets, or in process when no server runs. */
import type {
  ConnectionStatus,
  BucketSeconds,
  DeadLetterFilter,
  DeliveryTrace,
  History,
  KeptDeadLetter,
  Redelivery,
} from '../delivery/index.ts'
import type {
  ConnectionStatus as LoadedConnectionStatus,
  SyncRecord,
  WarehouseStatus,
  WarehouseTrace,
} from '../loader/index.ts'
import type { PipelineStatus, CountDifference, TracedFrame } from '../pipeline/index.ts'

export interface Roles {
  /** Messages accepted per source number, ever. Exact also while the gateway is away. */
  receivedTotals(): Promise<Record<number, number>>
  pipelineStatus(): Promise<PipelineStatus>
  pipelineTrace(workspace: number, messageId: string): Promise<TracedFrame[]>
  /** What the journal contradicts of the pipeline's counts. */
  pipelineRecount(): Promise<CountDifference[]>
  deliveryStatus(): Promise<ConnectionStatus[]>
  deliveryTrace(source: number, partition: number, offset: number): Promise<DeliveryTrace[]>
  /** What the journal contradicts of the delivery's counts: sentences. */
  deliveryRecount(): Promise<string[]>
  /** Newest first. */
  deadLetters(connection: number, filter: DeadLetterFilter, limit: number): Promise<KeptDeadLetter[]>
  deliveryHistory(connection: number, seconds: BucketSeconds, fromMs: number, toMs: number): Promise<History>
  countDeadMessages(connection: number, filter: DeadLetterFilter): Promise<number>
  redeliver(connection: number, order: { filter: DeadLetterFilter; messagesPerSecond?: number }): Promise<Redelivery>
  redeliveries(connection: number): Promise<Redelivery[]>
  cancelRedelivery(connection: number, id: string): Promise<boolean>
  loaderStatus(): Promise<LoaderStatus>
  loaderTrace(source: number, partition: number, offset: number): Promise<WarehouseTrace[]>
  /** Resolves when all of `events` that was durable at the call is committed in the warehouse. */
  loaderSync(warehouse: string): Promise<SyncRecord>
  loaderQuery(sql: string, warehouse: string | undefined): AsyncIterable<QueryItem>
  /** Prometheus text of every process that answers. */
  metrics(): Promise<string>
  /** Which processes answer. */
  alive(): Promise<Record<string, boolean>>
}

/** Terms of the accounting of one connection (design §3). */
export interface ConnectionCounts {
  received: number
  rejected: Record<string, number>
  duplicate: number
  dropped: Record<string, number>
  delivered: number
  discarded: Record<string, number>
  waiting: number
  deadLetters: number
  oldestWaitingSeconds: number
}

/** The accounting of every source × warehouse, and how each warehouse does. */
export interface LoaderStatus {
  connections: LoadedConnectionStatus[]
  warehouses: WarehouseStatus[]
}

/** First the columns, then rows. */
export type QueryItem = { columns: string[] } | { rows: unknown[][] }
