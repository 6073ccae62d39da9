import { assert } from '../../base/assert.ts'
import { codeOf } from '../../base/errors.ts'
import type { FileSystem } from '../../base/file-system.ts'
import type { ColdReader, ColdStore } from '../cold/cold-store.ts'
import type { Frame, Gap, Reader, Topic } from '../journal.ts'
import type { DurableMark } from './durable-mark.ts'
import { listSegments } from './layout.ts'
import { readBlock, type Place } from './read-block.ts'
import type { SegmentFile, SegmentFiles } from './segment-files.ts'

export interface ReaderParts {
  topic: Topic
  partition: number
  partitionPath: string
  tag: number
  fileSystem: FileSystem
  files: SegmentFiles
  cold: ColdStore | undefined
  /** How far it is safe to read now; undefined while the partition does not exist. */
  mark: () => Promise<DurableMark | undefined>
}

type Standing =
  { kind: 'hot'; file: SegmentFile; place: Place; nextBase: number | undefined } | { kind: 'cold'; cold: ColdReader }

/** Reads one partition in order: hot segments, else the cold tier, else gaps. One `read` at a time. */
export class SegmentReader implements Reader {
  offset: number
  readonly #parts: ReaderParts
  #mark: DurableMark | undefined
  #standing: Standing | undefined
  #isReading = false
  #hasMoved = true

  constructor(parts: ReaderParts, offset: number) {
    this.#parts = parts
    this.offset = offset
  }

  async read(bytesMax: number): Promise<(Frame | Gap)[]> {
    assert(!this.#isReading, 'a reader is asked for one block at a time')
    this.#isReading = true
    try {
      return await this.#read(Math.max(1, bytesMax))
    } finally {
      this.#isReading = false
    }
  }

  seek(offset: number): void {
    assert(!this.#isReading, 'a reader does not seek while it reads')
    this.offset = offset
    this.#hasMoved = true
  }

  async close(): Promise<void> {
    await this.#leave()
  }

  async #read(bytesMax: number): Promise<(Frame | Gap)[]> {
    for (;;) {
      // An old mark stays true, so a reader that is behind does not look again.
      if (this.#mark === undefined || this.offset >= this.#mark.end) this.#mark = await this.#parts.mark()
      if (this.#mark === undefined || this.offset >= this.#mark.end) return []
      const items = this.#fromHere(await this.#next(this.#mark, bytesMax))
      if (items.length > 0) return items
    }
  }

  /** Drops what lies before the offset wanted: a place may be found only roughly, and a gap may begin earlier. */
  #fromHere(items: (Frame | Gap)[]): (Frame | Gap)[] {
    const wanted = this.offset
    const last = items.at(-1)
    if (last === undefined) return items
    this.offset = Math.max(wanted, last.type === 'gap' ? last.offset + last.count : last.offset + 1)
    if (items[0]!.offset >= wanted) return items
    return items.flatMap((item) => {
      if (item.offset >= wanted) return [item]
      const end = item.type === 'gap' ? item.offset + item.count : item.offset + 1
      return item.type === 'gap' && end > wanted ? [{ ...item, offset: wanted, count: end - wanted }] : []
    })
  }

  async #next(mark: DurableMark, bytesMax: number): Promise<(Frame | Gap)[]> {
    let standing = this.#standing
    if (standing === undefined || this.#hasMoved || !reaches(standing, this.offset)) {
      const found = await this.#find(mark)
      if (found === undefined) return []
      this.#hasMoved = false
      if ('gap' in found) return [found.gap]
      standing = found.standing
    }
    if (standing.kind === 'cold') return await standing.cold.read(this.offset, bytesMax)
    const end = await this.#endOf(standing, mark)
    const { items, next } = await readBlock(standing.file.handle, standing.place, end, {
      tag: this.#parts.tag,
      bytesMax,
    })
    standing.place = next
    return items
  }

  /** Finds the segment that holds the offset, hot before cold, or the gap that it lies in. Undefined: look again. */
  async #find(mark: DurableMark): Promise<{ standing: Standing } | { gap: Gap } | undefined> {
    const { fileSystem, partitionPath, cold } = this.#parts
    await this.#leave()
    const bases = await listSegments(fileSystem, partitionPath)
    await this.#parts.files.closeRemoved(partitionPath, bases)
    const index = bases.findLastIndex((base) => base <= this.offset)
    if (index >= 0) return await this.#enterHot(bases[index]!, bases[index + 1], mark)
    const coldReader = await cold?.open(this.#parts.topic, this.#parts.partition, this.offset)
    if (coldReader !== undefined && coldReader.baseOffset <= this.offset) {
      return { standing: (this.#standing = { kind: 'cold', cold: coldReader }) }
    }
    const nextOffset = Math.min(coldReader?.baseOffset ?? Infinity, bases[0] ?? Infinity, mark.end)
    await coldReader?.close()
    return { gap: { type: 'gap', offset: this.offset, count: nextOffset - this.offset, reason: 'expired' } }
  }

  async #enterHot(base: number, nextBase: number | undefined, mark: DurableMark) {
    try {
      const file = await this.#parts.files.open(this.#parts.partitionPath, base)
      const standing = { kind: 'hot' as const, file, place: { offset: base, position: 0 }, nextBase }
      this.#standing = standing
      standing.place = await file.locate(this.offset, await this.#endOf(standing, mark))
      return { standing }
    } catch (error) {
      // Retention took the segment between the listing and now: the next look finds it in the cold tier or as a gap.
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** How far the segment may be read. */
  async #endOf(standing: Standing & { kind: 'hot' }, mark: DurableMark): Promise<Place> {
    const { file } = standing
    if (file.baseOffset === mark.segmentBase) return { offset: mark.end, position: mark.position }
    if (standing.nextBase === undefined) {
      const bases = await listSegments(this.#parts.fileSystem, this.#parts.partitionPath)
      standing.nextBase = bases.find((base) => base > file.baseOffset)
    }
    // A segment other than the mark's is sealed; what the mark does not reach yet stays out in any case.
    const offset = Math.min(standing.nextBase ?? mark.end, mark.end)
    return { offset, position: await file.handle.size() }
  }

  async #leave(): Promise<void> {
    const standing = this.#standing
    this.#standing = undefined
    if (standing?.kind === 'hot') await standing.file.release()
    if (standing?.kind === 'cold') await standing.cold.close()
  }
}

/** Whether reading on from where it stands leads to `offset` within the same file. */
function reaches(standing: Standing, offset: number): boolean {
  if (standing.kind === 'cold') return offset >= standing.cold.baseOffset && offset < standing.cold.endOffset
  return standing.nextBase === undefined || offset < standing.nextBase
}
