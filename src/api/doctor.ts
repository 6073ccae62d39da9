/** Recomputes the accounting from the journal, compares, and looks at what commonly goes wrong. */
import { defaultDiskReserve } from '../base/disk-reserve.ts'
import type { Snapshot } from '../snapshot/index.ts'
import type { DiskUsage } from './disk-usage.ts'
import type { Roles } from './roles.ts'
import { readStatus, sum, type ConnectionBySlug } from './status.ts'

export interface Examination {
  isHealthy: boolean
  checks: Check[]
}

export interface Check {
  name: string
  isGood: boolean
  /** What was found; when it is not good, what to do. */
  findings: string[]
}

export async function examine(snapshot: Snapshot, roles: Roles, disk: () => Promise<DiskUsage>): Promise<Examination> {
  const checks = [
    await checkProcesses(roles),
    await checkSums(snapshot, roles, disk),
    await checkPipeline(snapshot, roles),
    await checkDelivery(roles),
    await checkWarehouses(roles),
    await checkDisk(snapshot, disk),
  ]
  return { isHealthy: checks.every((check) => check.isGood), checks }
}

async function checkProcesses(roles: Roles): Promise<Check> {
  const alive = await roles.alive()
  const away = Object.keys(alive).filter((role) => alive[role] === false)
  return checkOf(
    'processes answer',
    away.map((role) => `The ${role} process does not answer; it restarts by itself, its log says why it ended.`),
  )
}

async function checkSums(snapshot: Snapshot, roles: Roles, disk: () => Promise<DiskUsage>): Promise<Check> {
  const status = await readStatus(snapshot, roles, disk)
  const wrong: string[] = []
  for (const [slug, { received, rejected, duplicate, dropped, processed, waiting }] of Object.entries(status.sources)) {
    const total = sum(rejected) + duplicate + sum(dropped) + processed + waiting
    if (total !== received) wrong.push(`Source ${slug}: received ${received}, accounted for ${total}.`)
  }
  for (const connection of status.connections) {
    const { received, rejected, duplicate, dropped, delivered, discarded, waiting } = connection
    const total = sum(rejected) + duplicate + sum(dropped) + delivered + sum(discarded) + waiting
    if (total !== received) wrong.push(`${nameOf(connection)}: received ${received}, accounted for ${total}.`)
  }
  return checkOf('every message is accounted for', wrong)
}

function nameOf(connection: ConnectionBySlug): string {
  return `Connection ${connection.source} → ${'destination' in connection ? connection.destination : connection.warehouse}`
}

async function checkPipeline(snapshot: Snapshot, roles: Roles): Promise<Check> {
  const differences = await roles.pipelineRecount()
  return checkOf(
    'the counts of the sources are those of the journal',
    differences.map(({ source, what, reported, counted }) => {
      const slug = snapshot.sources.find((each) => each.number === source)?.slug ?? String(source)
      return `Source ${slug}, ${what}: reported ${reported}, the journal says ${counted}.`
    }),
  )
}

async function checkDelivery(roles: Roles): Promise<Check> {
  return checkOf('the counts of the destinations are those of the journal', await roles.deliveryRecount())
}

async function checkWarehouses(roles: Roles): Promise<Check> {
  const { warehouses } = await roles.loaderStatus()
  return checkOf(
    'warehouses load',
    warehouses.flatMap(({ warehouse, lastSync }) =>
      lastSync?.error === undefined ? [] : [`Warehouse ${warehouse}: ${lastSync.error}`],
    ),
  )
}

async function checkDisk(snapshot: Snapshot, disk: () => Promise<DiskUsage>): Promise<Check> {
  const { freeBytes, diskBytes } = await disk()
  const { diskReserveBytes = defaultDiskReserve(diskBytes) } = snapshot.settings.journal
  const isLow = freeBytes < diskReserveBytes * 2
  return checkOf(
    'there is room on the disk',
    isLow
      ? [
          `${Math.round(freeBytes / 1e6)} MB are free; below ${Math.round(diskReserveBytes / 1e6)} MB ingest answers 503.`,
        ]
      : [],
  )
}

function checkOf(name: string, findings: string[]): Check {
  return { name, isGood: findings.length === 0, findings }
}
