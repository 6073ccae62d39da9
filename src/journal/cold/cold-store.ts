import type { FileSystem } from '../../base/file-system.ts'
import type { Frame, Gap, Topic } from '../journal.ts'

/** Reads one cold segment. */
export interface ColdReader {
  readonly baseOffset: number
  readonly endOffset: number
  read(offset: number, bytesMax: number): Promise<(Frame | Gap)[]>
  close(): Promise<void>
}

export interface ColdStore {
  /** The cold segment that holds `offset`, else the first one after it, else undefined. */
  open(topic: Topic, partition: number, offset: number): Promise<ColdReader | undefined>
  firstOffset(topic: Topic, partition: number): Promise<number | undefined>
}

export function openColdStore(fileSystem: FileSystem, directory: string): ColdStore {
  void fileSystem
  void directory
  return { open: async () => undefined, firstOffset: async () => undefined }
}
