/** One simulated installation: a disk, five kinds of processes, clients, vendors and a warehouse, all driven by one seed. */
import { dirname } from 'node:path'
import { createFixedSnapshotSource } from '../../../src/snapshot/snapshot-file.ts'
import type { Clock } from '../../../src/base/clock.ts'
import type { Random } from '../../../src/base/seeded-random.ts'
import { JournalUnavailable, prepareJournal } from '../../../src/journal/index.ts'
import type { DedupeDisk } from '../../../src/pipeline/index.ts'
import { createScheduler, type Process, type Scheduler } from '../scheduler.ts'
import { createSimulatedDisk, type SimulatedDisk } from '../simulated-file-system.ts'
import { Clients } from './clients.ts'
import { drawConfiguration, type Configuration } from './configuration.ts'
import { SavedOutcomes } from './saved-outcomes.ts'
import { Vendor } from './vendor.ts'
import { SimulatedWarehouse } from './warehouse.ts'
import { Witness } from './witness.ts'

export const journalDirectory = '/data/journal'
export const archiveDirectory = '/data/archive'
export const idDirectory = '/data/ids'

export class World {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly disk: SimulatedDisk
  readonly configuration: Configuration
  readonly snapshots: ReturnType<typeof createFixedSnapshotSource>
  readonly clients: Clients
  readonly vendor: Vendor
  readonly warehouse: SimulatedWarehouse
  readonly savedOutcomes = new SavedOutcomes()
  readonly dedupeDisk: DedupeDisk = { entries: [], covered: undefined }
  readonly witness: Witness
  /** Segments as they were when they left the hot journal. */
  readonly removedSegments = new Map<string, Buffer>()
  /** What should never happen and has. */
  readonly findings: unknown[] = []
  /** What the wall clock is ahead of the time that passes. */
  skewMs = 0
  /** One call in so many fails; 0 for none. */
  errorsOneIn = 0
  #hash = 0x811c9dc5

  constructor(seed: number) {
    this.scheduler = createScheduler(seed)
    this.random = this.scheduler.random
    this.disk = createSimulatedDisk(this.random)
    this.disk.fault = (call) => {
      this.trace(`${call.kind} ${call.path}`)
      if (call.kind === 'remove' && call.path.endsWith('.segment')) this.#keepSegment(call.path)
      return this.errorsOneIn > 0 && this.random.integer(this.errorsOneIn) === 0 ? 'EIO' : undefined
    }
    this.configuration = drawConfiguration(this.random)
    this.snapshots = createFixedSnapshotSource(this.configuration.snapshot)
    this.clients = new Clients(this.random)
    this.vendor = new Vendor(this.random)
    const server = this.configuration.isWarehouseRemote ? this.scheduler.createProcess() : undefined
    this.warehouse = new SimulatedWarehouse(this.random, server)
    this.witness = new Witness((finding) => this.findings.push(finding))
  }

  /** Makes the journal, before any process starts. */
  async prepare(): Promise<void> {
    const process = this.scheduler.createProcess()
    const fileSystem = this.disk.fileSystemOf(process)
    const newId = () => this.random.uuid()
    await this.finish('the preparation', prepareJournal({ directory: journalDirectory, fileSystem, newId }))
    await this.finish('the preparation', fileSystem.makeDirectory(idDirectory))
    this.disk.kill(process)
  }

  /** Whether delivery can do without its database: the frames that it would have to count again are all somewhere. */
  get hasAllEvents(): boolean {
    return this.configuration.hasArchive || ![...this.removedSegments.keys()].some((path) => path.includes('/events/'))
  }

  /** The wall clock of the machine, in whole milliseconds. */
  get wallMs(): number {
    return Math.floor(this.scheduler.nowMs) + this.skewMs
  }

  /** The wall clock of the machine and the timers of a process. */
  clockOf({ clock }: Process): Clock {
    return { now: () => this.wallMs, after: clock.after, clear: clock.clear }
  }

  /** Adds to the fingerprint of the run. */
  trace(what: string): void {
    let hash = this.#hash
    for (let i = 0; i < what.length; i += 1) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193)
    this.#hash = Math.imul(hash ^ this.scheduler.stepCount, 0x01000193)
  }

  get fingerprint(): string {
    return (this.#hash >>> 0).toString(16)
  }

  /** Runs `work` of a process that is expected to come to its end. */
  async finish<T>(what: string, work: Promise<T>): Promise<T> {
    let result: { value: T } | { error: unknown } | undefined
    work.then(
      (value) => (result = { value }),
      (error: unknown) => (result = { error }),
    )
    await this.run(() => result !== undefined, 200_000)
    if (result === undefined) throw new Error(`${what} does not end`)
    if ('error' in result) throw result.error
    return result.value
  }

  async run(isDone: () => boolean, stepsMax?: number): Promise<void> {
    await this.scheduler.run(() => this.findings.length > 0 || isDone(), stepsMax)
    if (this.findings.length > 0) throw this.findings[0]
  }

  async runSteps(count: number): Promise<void> {
    let left = count
    await this.run(() => left-- <= 0)
  }

  /** Lets time pass. */
  async runFor(ms: number): Promise<void> {
    const untilMs = this.scheduler.nowMs + ms
    await this.run(() => this.scheduler.nowMs >= untilMs)
  }

  /** The newest segment of a partition is removed by nobody but recovery, when it holds nothing. */
  #keepSegment(path: string): void {
    const segments = this.disk.paths().filter((other) => dirname(other) === dirname(path) && other.endsWith('.segment'))
    if (segments.includes(path) && segments.at(-1) !== path) this.removedSegments.set(path, this.disk.contentOf(path))
  }
}

/** What an I/O error does to a process: it stops and starts again. Anything else that stops one is a finding. */
export function isDiskTrouble(error: unknown): boolean {
  if (error instanceof JournalUnavailable) return error.reason === 'failed' || error.reason === 'closed'
  if (!(error instanceof Error)) return false
  if ('code' in error && (error.code === 'EIO' || error.code === 'ENOSPC')) return true
  return error.cause !== undefined && isDiskTrouble(error.cause)
}

/** The list in an order that chance decides. */
export function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const rest = [...list]
  return list.map(() => rest.splice(random.integer(rest.length), 1)[0]!)
}
