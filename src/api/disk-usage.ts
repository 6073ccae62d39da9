/** How much of the disk each part of the data directory has, how fast it grows, and for how long that goes well. */
import { readdir, readFile, rename, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'

export interface DiskUsage {
  /** Bytes by part: `journal`, `archive`, `dedupe`, `ids`, `warehouses`, `databases`, `other`. */
  parts: Record<string, number>
  freeBytes: number
  /** Size of the disk. */
  diskBytes: number
  /** Null until there is an hour of history. */
  growthBytesPerDay: number | null
  daysLeft: number | null
}

interface Sample {
  atMs: number
  bytes: number
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** An hour of samples every ten minutes is too little to say more; a week of them is plenty. */
const SAMPLE_EVERY_MS = HOUR_MS / 6
const SAMPLES_MAX = 7 * 24 * 6

/** Reads the usage and keeps a sample of it now and then in `<data>/disk-history.json`. */
export async function readDiskUsage(dataDirectory: string, clock: Clock): Promise<DiskUsage> {
  const parts: Record<string, number> = {
    journal: 0,
    archive: 0,
    dedupe: 0,
    ids: 0,
    warehouses: 0,
    databases: 0,
    other: 0,
  }
  for (const entry of await entriesOf(dataDirectory)) {
    const part = partOf(entry.name)
    parts[part] = (parts[part] ?? 0) + (await bytesOf(join(dataDirectory, entry.name)))
  }
  const { bavail, blocks, bsize } = await statfs(dataDirectory)
  const freeBytes = bavail * bsize
  const bytes = Object.values(parts).reduce((total, part) => total + part, 0)
  const growthBytesPerDay = growthOf(await keepSample(dataDirectory, { atMs: clock.now(), bytes }))
  const daysLeft =
    growthBytesPerDay !== null && growthBytesPerDay > 0 ? Math.round((freeBytes / growthBytesPerDay) * 10) / 10 : null
  return { parts, freeBytes, diskBytes: blocks * bsize, growthBytesPerDay, daysLeft }
}

function partOf(name: string): string {
  if (name === 'journal' || name === 'archive' || name === 'dedupe' || name === 'ids') return name
  if (/\.duckdb(\.wal)?$/.test(name)) return 'warehouses'
  return /\.db(-wal|-shm)?$/.test(name) ? 'databases' : 'other'
}

async function bytesOf(path: string): Promise<number> {
  try {
    const found = await stat(path)
    if (!found.isDirectory()) return found.size
  } catch (error) {
    // Segments and day stores are removed while we look.
    if (codeOf(error) === 'ENOENT') return 0
    throw error
  }
  let total = 0
  for (const entry of await entriesOf(path)) total += await bytesOf(join(path, entry.name))
  return total
}

async function entriesOf(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

async function keepSample(dataDirectory: string, sample: Sample): Promise<Sample[]> {
  const path = join(dataDirectory, 'disk-history.json')
  const samples = await readSamples(path)
  const last = samples.at(-1)
  if (last !== undefined && sample.atMs - last.atMs < SAMPLE_EVERY_MS && sample.atMs >= last.atMs)
    return [...samples, sample]
  const kept = [...samples.filter((each) => each.atMs < sample.atMs), sample].slice(-SAMPLES_MAX)
  try {
    await writeFile(`${path}.tmp`, JSON.stringify(kept))
    await rename(`${path}.tmp`, path)
  } catch {
    // A full disk is when this is asked most: what is known is told, and the sample is not kept.
  }
  return kept
}

async function readSamples(path: string): Promise<Sample[]> {
  try {
    // Written by this file. Broken text is no loss: the history begins again.
    return JSON.parse(await readFile(path, 'utf8')) as Sample[]
  } catch {
    return []
  }
}

function growthOf(samples: Sample[]): number | null {
  const newest = samples.at(-1)
  const oldest = newest && samples.find((each) => newest.atMs - each.atMs <= DAY_MS)
  if (newest === undefined || oldest === undefined || newest.atMs - oldest.atMs < HOUR_MS) return null
  return Math.round(((newest.bytes - oldest.bytes) / (newest.atMs - oldest.atMs)) * DAY_MS)
}
