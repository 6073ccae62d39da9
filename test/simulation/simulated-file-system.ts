/**
 * A disk in memory that fails the way disks do. Each file has what reads see (the page cache), what a power cut leaves for
 * certain (synced), and the changes between the two. Operations take effect and complete when the scheduler says so.
 *
 * - `kill` ends one process: of its operations under way each happened wholly, in part or not at all; the page cache stays.
 * - `cutPower` ends all: each sector of 512 bytes of a file has any of the contents it had since the last sync, the length is
 *   any of those it had, and each creation, renaming or removal that no `syncDirectory` followed happened or did not.
 * - A sync that fails writes some sectors and forgets the rest: they read back as written, a later sync succeeds without them,
 *   a power cut loses them (what Linux does).
 *
 * Directories themselves are durable at once: the product makes them before it needs them.
 */
import { dirname, basename } from 'node:path'
import type { FileHandle, FileSystem } from '../../src/base/file-system.ts'
import type { Random } from '../../src/base/seeded-random.ts'
import type { Process } from './scheduler.ts'

export type CallKind =
  | 'open'
  | 'write'
  | 'read'
  | 'sync'
  | 'size'
  | 'truncate'
  | 'list'
  | 'makeDirectory'
  | 'exists'
  | 'rename'
  | 'remove'
  | 'syncDirectory'
  | 'freeBytes'

export interface Call {
  kind: CallKind
  path: string
  /** Ordinal of the call on this disk, from 1. */
  number: number
}

export interface SimulatedDisk {
  /** The disk as one process has it. */
  fileSystemOf(process: Pick<Process, 'isAlive' | 'schedule' | 'kill'>): FileSystem
  /** Asked before every call takes effect: an error code makes it fail. */
  fault: ((call: Call) => 'EIO' | 'ENOSPC' | undefined) | undefined
  /** Room that is left; files that grow take of it, and a write that needs more fails with ENOSPC. */
  freeBytes: number
  /** The call that took effect last. */
  readonly lastCall: Call | undefined
  /** Ends one process, in the middle of whatever it is doing. */
  kill(process: Pick<Process, 'isAlive' | 'schedule' | 'kill'>): void
  /** Ends all processes and leaves what a power cut leaves. */
  cutPower(): void
  /** Whose call failed with this error; undefined when it is none of this disk. */
  ownerOf(error: unknown): Pick<Process, 'isAlive' | 'schedule' | 'kill'> | undefined
  /** Paths of all files, sorted. */
  paths(): string[]
  /** A copy of what a file holds. */
  contentOf(path: string): Buffer
  /** Replaces a file, durably. */
  setContent(path: string, content: Uint8Array): void
  /** Bit rot: turns one bit of a file over, on the disk and in the cache. */
  flipBit(path: string, position: number, bit: number): void
}

const sectorBytes = 512

/** A disk without files. All chance comes from `random`. */
export function createSimulatedDisk(random: Random): SimulatedDisk {
  return new Disk(random)
}

/** A process for tests without a scheduler: everything happens in the order asked. */
export function plainProcess(): Pick<Process, 'isAlive' | 'schedule' | 'kill'> {
  const process = {
    isAlive: true,
    schedule: (run: () => void) => queueMicrotask(() => process.isAlive && run()),
    kill() {
      process.isAlive = false
    },
  }
  return process
}

type Owner = Pick<Process, 'isAlive' | 'schedule' | 'kill'>

type Change = { position: number; bytes: Uint8Array } | { length: number }

interface Operation {
  owner: Owner
  /** Takes effect on the disk, or throws. */
  effect: () => unknown
  /** What of it a crash may leave half done. */
  half: (() => void) | undefined
}

type NameChange =
  | { kind: 'create'; path: string; file: SimulatedFile }
  | { kind: 'rename'; path: string; to: string; file: SimulatedFile }
  | { kind: 'remove'; path: string }

class Disk implements SimulatedDisk {
  fault: SimulatedDisk['fault'] = undefined
  freeBytes = 1e12
  lastCall: Call | undefined
  readonly #random: Random
  readonly #owners = new Set<Owner>()
  readonly #inFlight = new Set<Operation>()
  readonly #ownersOfErrors = new WeakMap<object, Owner>()
  readonly #directories = new Map<string, Set<string>>([['/', new Set()]])
  #files = new Map<string, SimulatedFile>()
  #syncedFiles = new Map<string, SimulatedFile>()
  #nameChanges: NameChange[] = []
  readonly #watchers = new Set<{ owner: Owner; path: string; changed: () => void }>()

  constructor(random: Random) {
    this.#random = random
  }

  fileSystemOf(owner: Owner): FileSystem {
    this.#owners.add(owner)
    const act = <T>(kind: CallKind, path: string, effect: () => T, half?: () => void): Promise<T> =>
      this.#act(owner, kind, path, effect, half)
    return {
      open: (path, mode) => act('open', path, () => this.#handle(owner, path, this.#open(path, mode))),
      list: (directory) => act('list', directory, () => [...(this.#directories.get(directory) ?? [])].sort()),
      makeDirectory: (path) => act('makeDirectory', path, () => this.#makeDirectory(path)),
      exists: (path) => act('exists', path, () => this.#files.has(path) || this.#directories.has(path)),
      rename: (from, to) => act('rename', from, () => this.#rename(from, to)),
      remove: (path) => act('remove', path, () => this.#remove(path)),
      syncDirectory: (path) => act('syncDirectory', path, () => this.#syncDirectory(path)),
      freeBytes: (path) => act('freeBytes', path, () => this.freeBytes),
      watch: (path, changed) => this.#watch(owner, path, changed),
    }
  }

  kill(owner: Owner): void {
    owner.kill()
    this.#owners.delete(owner)
    for (const watcher of this.#watchers) if (watcher.owner === owner) this.#watchers.delete(watcher)
    for (const operation of this.#inFlight) {
      if (operation.owner !== owner) continue
      this.#inFlight.delete(operation)
      const fate = this.#random.integer(3)
      if (fate === 0) operation.half?.()
      if (fate === 1) attempt(operation.effect)
    }
  }

  cutPower(): void {
    for (const owner of this.#owners) this.kill(owner)
    for (const change of this.#nameChanges) if (this.#random.chance(0.5)) applyName(this.#syncedFiles, change)
    this.#nameChanges = []
    this.#files = new Map(this.#syncedFiles)
    for (const names of this.#directories.values()) names.clear()
    for (const path of this.#directories.keys())
      if (path !== '/') this.#directories.get(dirname(path))!.add(basename(path))
    for (const [path, file] of this.#files) {
      this.#directories.get(dirname(path))!.add(basename(path))
      file.losePower()
    }
  }

  ownerOf(error: unknown): Owner | undefined {
    return typeof error === 'object' && error !== null ? this.#ownersOfErrors.get(error) : undefined
  }

  paths(): string[] {
    return [...this.#files.keys()].sort()
  }

  contentOf(path: string): Buffer {
    const file = this.#fileAt(path)
    const bytes = Buffer.alloc(file.size)
    file.read(bytes, 0)
    return bytes
  }

  setContent(path: string, content: Uint8Array): void {
    const file = this.#open(path, 'create')
    file.change({ length: 0 })
    file.change({ position: 0, bytes: content })
    file.sync()
    this.#syncDirectory(dirname(path))
  }

  flipBit(path: string, position: number, bit: number): void {
    this.#fileAt(path).flip(position, bit)
  }

  #act<T>(owner: Owner, kind: CallKind, path: string, effect: () => T, half?: () => void): Promise<T> {
    if (!owner.isAlive) return Promise.reject(new Error('this process has been killed'))
    return new Promise((resolve, reject) => {
      const checked = () => {
        this.lastCall = { kind, path, number: (this.lastCall?.number ?? 0) + 1 }
        const code = this.fault?.(this.lastCall)
        if (code === undefined) return effect()
        half?.()
        throw systemError(code, path)
      }
      const operation: Operation = { owner, effect: checked, half }
      this.#inFlight.add(operation)
      owner.schedule(() => {
        this.#inFlight.delete(operation)
        try {
          resolve(checked())
        } catch (error) {
          if (error instanceof Error) this.#ownersOfErrors.set(error, owner)
          reject(error)
        }
      })
    })
  }

  #fileAt(path: string): SimulatedFile {
    const file = this.#files.get(path)
    if (file === undefined) throw systemError('ENOENT', path)
    return file
  }

  #open(path: string, mode: 'read' | 'write' | 'create'): SimulatedFile {
    const present = this.#files.get(path)
    if (present !== undefined) return present
    const names = this.#directories.get(dirname(path))
    if (mode !== 'create' || names === undefined) throw systemError('ENOENT', path)
    const file = new SimulatedFile(this.#random)
    this.#files.set(path, file)
    names.add(basename(path))
    this.#nameChanges.push({ kind: 'create', path, file })
    return file
  }

  #handle(owner: Owner, path: string, file: SimulatedFile): FileHandle {
    const act = <T>(kind: CallKind, effect: () => T, half?: () => void): Promise<T> =>
      this.#act(owner, kind, path, effect, half)
    return {
      write: (buffers, position) =>
        act(
          'write',
          () => {
            this.#write(file, position, Buffer.concat(buffers), path)
            this.#tellWatchers(path)
          },
          () => {
            const bytes = Buffer.concat(buffers)
            attempt(() =>
              this.#write(file, position, bytes.subarray(0, this.#random.integer(bytes.byteLength + 1)), path),
            )
          },
        ),
      read: (target, position) => act('read', () => file.read(target, position)),
      sync: () =>
        act(
          'sync',
          () => file.sync(),
          () => file.failSync(),
        ),
      size: () => act('size', () => file.size),
      truncate: (length) =>
        act('truncate', () => {
          this.freeBytes += file.size - length
          file.change({ length })
        }),
      close: async () => {},
    }
  }

  #write(file: SimulatedFile, position: number, bytes: Buffer, path: string): void {
    const growth = Math.max(0, position + bytes.byteLength - file.size)
    if (growth <= this.freeBytes) {
      this.freeBytes -= growth
      file.change({ position, bytes })
      return
    }
    const fitting = bytes.byteLength - (growth - this.freeBytes)
    if (fitting > 0) file.change({ position, bytes: bytes.subarray(0, fitting) })
    this.freeBytes = 0
    throw systemError('ENOSPC', path)
  }

  #makeDirectory(path: string): void {
    if (this.#directories.has(path)) return
    this.#makeDirectory(dirname(path))
    this.#directories.set(path, new Set())
    this.#directories.get(dirname(path))!.add(basename(path))
  }

  #rename(path: string, to: string): void {
    const file = this.#files.get(path)
    if (file === undefined) throw systemError('ENOENT', path)
    applyName(this.#files, { kind: 'rename', path, to, file })
    this.#directories.get(dirname(path))!.delete(basename(path))
    this.#directories.get(dirname(to))!.add(basename(to))
    this.#nameChanges.push({ kind: 'rename', path, to, file })
  }

  #remove(path: string): void {
    const file = this.#files.get(path)
    if (file === undefined) return
    this.freeBytes += file.size
    this.#files.delete(path)
    this.#directories.get(dirname(path))!.delete(basename(path))
    this.#nameChanges.push({ kind: 'remove', path })
  }

  #syncDirectory(path: string): void {
    if (!this.#directories.has(path)) throw systemError('ENOENT', path)
    const isHere = (change: NameChange) =>
      dirname(change.path) === path || (change.kind === 'rename' && dirname(change.to) === path)
    for (const change of this.#nameChanges.filter(isHere)) applyName(this.#syncedFiles, change)
    this.#nameChanges = this.#nameChanges.filter((change) => !isHere(change))
  }

  #watch(owner: Owner, path: string, changed: () => void): () => void {
    if (!this.#files.has(path)) throw systemError('ENOENT', path)
    const watcher = { owner, path, changed }
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #tellWatchers(path: string): void {
    for (const watcher of this.#watchers) {
      if (watcher.path === path) watcher.owner.schedule(() => this.#watchers.has(watcher) && watcher.changed())
    }
  }
}

/** One file, named or not. */
class SimulatedFile {
  readonly #random: Random
  #cache = new Bytes()
  #synced = new Bytes()
  /** What happened since the last sync, in order. */
  #changes: Change[] = []

  constructor(random: Random) {
    this.#random = random
  }

  get size(): number {
    return this.#cache.length
  }

  read(target: Uint8Array, position: number): number {
    return this.#cache.read(target, position)
  }

  change(change: Change): void {
    this.#cache.apply(change)
    this.#changes.push(change)
  }

  sync(): void {
    for (const change of this.#changes) this.#synced.apply(change)
    this.#changes = []
  }

  failSync(): void {
    this.#settleAtRandom()
  }

  losePower(): void {
    this.#settleAtRandom()
    this.#cache = this.#synced.copy()
  }

  flip(position: number, bit: number): void {
    this.sync()
    for (const bytes of [this.#cache, this.#synced]) bytes.view()[position]! ^= 1 << bit
  }

  /** Leaves on the disk what may have reached it: each sector as it was at some moment since the last sync. */
  #settleAtRandom(): void {
    const changes = this.#changes
    this.#changes = []
    if (changes.length === 0) return
    const mood = this.#random.integer(3)
    if (mood === 0) return
    const momentOf = mood === 1 ? () => changes.length : this.#randomMoments(changes.length)
    const before = this.#synced.length
    const lengths = [before]
    for (const change of changes) lengths.push(lengthAfter(lengths.at(-1)!, change))
    for (const [index, change] of changes.entries()) {
      this.#synced.applySectors(change, (sector) => index < momentOf(sector))
    }
    this.#synced.setLength(lengths[momentOf(-1)]!)
  }

  #randomMoments(count: number): (sector: number) => number {
    const moments = new Map<number, number>()
    return (sector) => {
      const known = moments.get(sector)
      if (known !== undefined) return known
      const moment = this.#random.integer(count + 1)
      moments.set(sector, moment)
      return moment
    }
  }
}

/** Bytes that grow. */
class Bytes {
  length = 0
  #buffer = Buffer.alloc(0)

  view(): Buffer {
    return this.#buffer.subarray(0, this.length)
  }

  copy(): Bytes {
    const copy = new Bytes()
    copy.apply({ position: 0, bytes: this.view() })
    return copy
  }

  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.byteLength, this.length - position))
    if (count > 0) target.set(this.#buffer.subarray(position, position + count))
    return count
  }

  apply(change: Change): void {
    if ('length' in change) {
      this.setLength(change.length)
      return
    }
    this.setLength(Math.max(this.length, change.position + change.bytes.byteLength))
    this.#buffer.set(change.bytes, change.position)
  }

  /** Applies a change to the sectors for which `isKept`; the length covers them at least. */
  applySectors(change: Change, isKept: (sector: number) => boolean): void {
    if ('length' in change) return
    const { position, bytes } = change
    for (let from = position; from < position + bytes.byteLength;) {
      const sector = Math.floor(from / sectorBytes)
      const to = Math.min((sector + 1) * sectorBytes, position + bytes.byteLength)
      if (isKept(sector)) this.apply({ position: from, bytes: bytes.subarray(from - position, to - position) })
      from = to
    }
  }

  setLength(length: number): void {
    if (length > this.#buffer.byteLength) {
      const larger = Buffer.alloc(Math.max(length, this.#buffer.byteLength * 2, 1024))
      this.view().copy(larger)
      this.#buffer = larger
    }
    if (length < this.length) this.#buffer.fill(0, length, this.length)
    this.length = length
  }
}

function lengthAfter(length: number, change: Change): number {
  return 'length' in change ? change.length : Math.max(length, change.position + change.bytes.byteLength)
}

function applyName(files: Map<string, SimulatedFile>, change: NameChange): void {
  if (change.kind === 'create') files.set(change.path, change.file)
  if (change.kind === 'remove') files.delete(change.path)
  if (change.kind === 'rename') {
    files.delete(change.path)
    files.set(change.to, change.file)
  }
}

function attempt(run: () => unknown): void {
  try {
    run()
  } catch {
    // Nobody is left to be told.
  }
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path })
}
