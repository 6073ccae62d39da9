/** What happened to a message: every stage with its time, decision and code, from every process that knows of it. */
import type { Snapshot } from '../snapshot/index.ts'
import type { WarehouseTrace } from '../loader/index.ts'
import { forwardedId, type TracedFrame } from '../pipeline/index.ts'
import { isJsonObject } from '../protocol/index.ts'
import type { DeliveryAttempt } from '../delivery/index.ts'
import type { Roles } from './roles.ts'

export interface Trace {
  messageId: string
  /** One for each time that the id came in, oldest first: accepted, duplicates, rejections. */
  copies: TracedCopy[]
}

export interface TracedCopy {
  source: string
  receivedAt: string
  decision: 'processed' | 'duplicate' | 'rejected' | 'dropped'
  code?: string
  type?: string
  event?: string
  /** Of an event that the schema of its source blocks: the source that got it instead, and its id there. */
  forwardedTo?: { source: string; messageId: string }
  /** Where it stands in the journal. */
  place: { partition: number; offset: number }
  request: { partition: number; offset: number; index: number }
  destinations: TracedDestination[]
  warehouses: WarehouseTrace[]
}

export interface TracedDestination {
  destination: string
  state: string
  code?: string
  /** Every decision and request, oldest first. */
  attempts: TracedAttempt[]
}

export type TracedAttempt = Omit<DeliveryAttempt, 'atMs' | 'nextTryAtMs'> & { at: string; nextTryAt?: string }

/** Undefined when nobody has seen the id within the time for which it is kept. */
export async function readTrace(snapshot: Snapshot, roles: Roles, messageId: string): Promise<Trace | undefined> {
  const copies: TracedCopy[] = []
  for (const workspace of snapshot.workspaces) {
    for (const frame of await roles.pipelineTrace(workspace.number, messageId))
      copies.push(await traceCopy(snapshot, roles, frame))
  }
  return copies.length === 0 ? undefined : { messageId, copies }
}

async function traceCopy(snapshot: Snapshot, roles: Roles, frame: TracedFrame): Promise<TracedCopy> {
  const copy: TracedCopy = {
    source: slugOf(snapshot, frame.source),
    receivedAt: iso(frame.receivedAtMs),
    decision: frame.result === 'accepted' ? 'processed' : frame.result,
    place: { partition: frame.partition, offset: frame.offset },
    request: frame.input,
    destinations: [],
    warehouses: [],
  }
  const type = frame.message?.type ?? frame.decision?.type
  if (type !== undefined) copy.type = type
  const event = frame.message?.event ?? eventOf(frame.decision?.message)
  if (event !== undefined) copy.event = event
  if (frame.decision !== undefined) {
    const { code, messageId, forwarding } = frame.decision
    copy.code = code
    if (forwarding !== undefined && messageId !== undefined)
      copy.forwardedTo = { source: slugOf(snapshot, forwarding.source), messageId: forwardedId(messageId) }
  }
  if (frame.result !== 'accepted') return copy
  copy.destinations = await traceDestinations(snapshot, roles, frame)
  copy.warehouses = await roles.loaderTrace(frame.source, frame.partition, frame.offset)
  return copy
}

function slugOf({ sources }: Snapshot, source: number): string {
  return sources.find(({ number }) => number === source)?.slug ?? `source ${source}`
}

function eventOf(message: unknown): string | undefined {
  return isJsonObject(message) && typeof message['event'] === 'string' ? message['event'] : undefined
}

async function traceDestinations(snapshot: Snapshot, roles: Roles, frame: TracedFrame): Promise<TracedDestination[]> {
  const traced = await roles.deliveryTrace(frame.source, frame.partition, frame.offset)
  return traced.map(({ connection, state, code, attempts }) => ({
    destination:
      snapshot.destinations.find((each) => each.number === connection)?.slug ?? `deleted connection ${connection}`,
    state,
    ...(code === undefined ? {} : { code }),
    attempts: attempts.map(({ atMs, nextTryAtMs, ...rest }) => ({
      at: iso(atMs),
      ...rest,
      ...(nextTryAtMs === undefined ? {} : { nextTryAt: iso(nextTryAtMs) }),
    })),
  }))
}

const iso = (ms: number) => new Date(ms).toISOString()
