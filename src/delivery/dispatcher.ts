/**
 * Reads `events` once for all connections and routes each frame by the source in its header. A connection that has no room is
 * detached and reads for itself from where it stands (`catch-up.ts`) until it has caught up, so the dispatcher never waits for
 * anybody and a connection that gets nothing costs nothing.
 */
import type { Logger } from '../base/logger.ts'
import { isCall, type Frame, type Gap, type Journal, type Reader } from '../journal/index.ts'
import type { Connection } from './connection.ts'
import { EventMessage } from './event-message.ts'
import type { Feed } from './feed.ts'

const READ_BYTES = 512 * 1024

export interface Member {
  connection: Connection
  feed: Feed
}

/** One partition of `events` as the dispatcher reads it. */
export class Stream {
  readonly partition: number
  /** Everything below has been routed. */
  position: number
  readonly #bySource = new Map<number, Member[]>()
  /** Called when a connection in this partition has to read for itself. */
  readonly #onDetached: (member: Member) => void

  constructor(partition: number, position: number, onDetached: (member: Member) => void) {
    this.partition = partition
    this.position = position
    this.#onDetached = onDetached
  }

  add(member: Member): void {
    const { source } = member.connection
    this.#bySource.set(source, [...(this.#bySource.get(source) ?? []), member])
  }

  remove(connection: Connection): void {
    const left = (this.#bySource.get(connection.source) ?? []).filter((member) => member.connection !== connection)
    if (left.length === 0) this.#bySource.delete(connection.source)
    else this.#bySource.set(connection.source, left)
  }

  route(item: Frame | Gap): void {
    if (item.type === 'gap') {
      for (const members of this.#bySource.values()) for (const member of members) countIfLive(member, item)
      this.position = item.offset + item.count
      return
    }
    const members = this.#bySource.get(item.source)
    if (members !== undefined) this.#give(members, item)
    this.position = item.offset + 1
  }

  #give(members: readonly Member[], frame: Frame): void {
    let message: EventMessage | undefined
    const isMessage = isCall(frame.kind) && !frame.isDamaged
    for (const member of members) {
      const { connection, feed } = member
      countIfLive(member, frame)
      if (!isMessage || !feed.isAttached || frame.offset < feed.next) continue
      if (connection.canTake()) {
        connection.take(feed, (message ??= new EventMessage(this.partition, frame)))
      } else {
        feed.detach(frame.offset)
        this.#onDetached(member)
      }
    }
  }
}

function countIfLive({ connection, feed }: Member, item: Frame | Gap): void {
  if (!feed.isCountedByDispatcher) return
  if (item.type === 'gap') connection.countGap(feed, item)
  else connection.count(feed, item)
}

export interface Dispatcher {
  /** Reads what there is; called when there is more. */
  wake(): void
  /** Resolves when everything that was durable at the call has been routed. */
  caughtUp(): Promise<void>
  stop(): Promise<void>
}

export interface DispatcherParts {
  journal: Journal
  log: Logger
  /** The stream of each partition; may grow. */
  streams: ReadonlyMap<number, Stream>
  /** Makes streams for new partitions. */
  findPartitions: () => Promise<void>
  onFailed: (error: unknown) => void
}

export function createDispatcher({ journal, streams, findPartitions, onFailed }: DispatcherParts): Dispatcher {
  const readers = new Map<number, Reader>()
  let isStopped = false
  let isWoken = false
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    try {
      while (isWoken && !isStopped) {
        isWoken = false
        await findPartitions()
        for (const stream of streams.values()) await readAll(stream)
      }
    } catch (error) {
      isStopped = true
      onFailed(error)
    } finally {
      // Also after a failure: whoever waits until nothing runs must not wait for ever.
      running = undefined
    }
  }

  async function readAll(stream: Stream): Promise<void> {
    let reader = readers.get(stream.partition)
    if (reader === undefined) {
      reader = await journal.openReader('events', stream.partition, stream.position)
      readers.set(stream.partition, reader)
    }
    while (!isStopped) {
      const items = await reader.read(READ_BYTES)
      if (items.length === 0) return
      for (const item of items) stream.route(item)
    }
  }

  function wake(): void {
    isWoken = true
    if (!isStopped) running ??= Promise.resolve().then(run)
  }

  return {
    wake,
    async caughtUp() {
      wake()
      while (running) await running
    },
    async stop() {
      isStopped = true
      await running
      for (const reader of readers.values()) await reader.close()
    },
  }
}
