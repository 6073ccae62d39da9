/** What the workspace of a simulated world looks like: two sources, a destination for each, a warehouse for both. */
import {
  defaultDeployment,
  type DestinationSnapshot,
  type MappingSnapshot,
  type Snapshot,
} from '../../../src/snapshot/index.ts'
import type { DeliverySettings, SchemaControls, SourceSnapshot } from '../../../src/snapshot/snapshot.ts'
import type { Random } from '../../../src/base/seeded-random.ts'

export const sources = [1, 2]
/** The connection of each source. */
export const connectionOf = (source: number): number => source + 10
export const schemaOf = (source: number): string => `source_${source}`
export const warehouseSlug = 'local'

/** Names that a schema may block. */
export const blockable = { event: 'Event 2', trait: 'trait_2' }

/** URL of a mapping; the vendor tells mappings apart by it. */
export const urlOf = (connection: number, mapping: string): string => `https://vendor.example/${connection}/${mapping}`

export interface Configuration {
  snapshot: Snapshot
  /** Requests of one connection that may be under way at once. */
  concurrency: number
  isOrdered: boolean
  gatewayCount: number
  segmentBytesMax: number
  diskReserveBytes: number
  hasArchive: boolean
  /** Segments leave the hot journal although readers have not passed them; the archive has them. */
  hotBytesMax: number | undefined
  isWarehouseRemote: boolean
}

export function drawConfiguration(random: Random): Configuration {
  const isOrdered = random.chance(0.3)
  const concurrency = 1 + random.integer(3)
  const batchSize = random.pick([1, 1, 3])
  const hasArchive = random.chance(0.3)
  const delivery: DeliverySettings = {
    ...defaultDeployment.delivery,
    retryFirstDelayMs: 100,
    retryMaxDelayMs: 2_000,
    requestTimeoutMs: 3_000,
    batchMaxWaitMs: 50,
    ordered: isOrdered,
    concurrency,
    // Six seconds: some messages are given up.
    ...(random.chance(0.2) ? { retryWindowHours: 1 / 600 } : {}),
  }
  return {
    snapshot: snapshotOf(delivery, batchSize, random),
    concurrency,
    isOrdered,
    gatewayCount: random.chance(0.3) ? 2 : 1,
    segmentBytesMax: 800 + random.integer(random.pick([1_500, 8_000])),
    diskReserveBytes: random.chance(0.5) ? 0 : 2_000,
    hasArchive,
    hotBytesMax: hasArchive && random.chance(0.5) ? 4_000 : undefined,
    isWarehouseRemote: random.chance(0.5),
  }
}

/** The sources with other toggles in their schemas: each blocks nothing, or an event that may go to the other source, so that there
 *  are circles too. */
export function drawSources(random: Random): SourceSnapshot[] {
  return sources.map((number) => {
    if (random.chance(0.5)) return sourceOf(number)
    const schema: SchemaControls = {
      blockedEvents: [blockable.event],
      blockedTraits: [blockable.trait],
      blockedGroupTraits: [],
      ...(random.chance(0.7) ? { forwardBlockedEventsTo: sources.find((other) => other !== number)! } : {}),
    }
    return { ...sourceOf(number), schema }
  })
}

function snapshotOf(delivery: DeliverySettings, batchSize: number, random: Random): Snapshot {
  return {
    number: 1,
    publishedAtMs: 0,
    workspaces: [{ number: 1, id: 'ws_1', slug: 'acme', name: 'Acme' }],
    sources: drawSources(random),
    destinations: sources.map((source) => destinationOf(source, batchSize)),
    warehouses: [
      {
        number: 21,
        id: 'wh_1',
        workspace: 1,
        slug: warehouseSlug,
        name: 'Local',
        type: 'simulated',
        isEnabled: true,
        sources,
        settings: {},
        schedule: 'every 10s',
        selectiveSync: {},
      },
    ],
    settings: { ...defaultDeployment, delivery },
  }
}

function sourceOf(number: number): SourceSnapshot {
  return {
    number,
    id: `src_${number}`,
    workspace: 1,
    slug: `source-${number}`,
    name: `Source ${number}`,
    type: 'http-api',
    isEnabled: true,
    isClientSide: false,
    writeKeys: [`KEY_${number}`],
    ip: 'keep',
  }
}

function destinationOf(source: number, batchSize: number): DestinationSnapshot {
  const number = connectionOf(source)
  const mapping = (id: string, trigger: string): MappingSnapshot => {
    const fields = { url: urlOf(number, id), data: { '@path': '$.' }, batch_size: batchSize }
    return { id, name: id, action: 'send', trigger, fields, isEnabled: true }
  }
  return {
    number,
    id: `dst_${number}`,
    workspace: 1,
    source,
    slug: `hook-${source}`,
    name: `Hook ${source}`,
    type: 'webhook',
    isEnabled: true,
    settings: {},
    mappings: [mapping('all', 'type = "track"'), mapping('twice', 'properties.twice = true')],
    filters: [{ title: 'drop', if: 'properties.drop = true', actions: [{ type: 'DROP' }], isEnabled: true }],
    delivery: {},
    start: {},
  }
}
