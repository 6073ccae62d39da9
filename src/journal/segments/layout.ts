/** Where the files of a journal are: `<directory>/<topic>/<partition>/<base offset>.segment` and `durable` beside them. */
import { join } from 'node:path'
import type { FileSystem } from '../../base/file-system.ts'
import type { Topic } from '../journal.ts'

export function partitionDirectory(directory: string, topic: Topic, partition: number): string {
  return join(directory, topic, String(partition))
}

export function segmentPath(partitionPath: string, baseOffset: number): string {
  return join(partitionPath, `${offsetName(baseOffset)}.segment`)
}

export function markPath(partitionPath: string): string {
  return join(partitionPath, 'durable')
}

/** Base offsets of the segments in a partition's directory, ascending. */
export async function listSegments(fileSystem: FileSystem, partitionPath: string): Promise<number[]> {
  const names = await fileSystem.list(partitionPath)
  return names.filter((name) => /^\d{20}\.segment$/.test(name)).map((name) => Number(name.slice(0, 20)))
}

export async function listPartitions(fileSystem: FileSystem, directory: string, topic: Topic): Promise<number[]> {
  const names = await fileSystem.list(join(directory, topic))
  return names
    .filter((name) => /^\d{1,5}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
}

/** 20 digits, so that names sort as numbers do. */
export function offsetName(offset: number): string {
  return String(offset).padStart(20, '0')
}
