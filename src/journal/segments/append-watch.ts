import type { Clock } from '../../base/clock.ts'
import type { FileSystem } from '../../base/file-system.ts'
import type { Topic } from '../journal.ts'
import type { DurableMark } from './durable-mark.ts'
import { listPartitions, markPath, partitionDirectory } from './layout.ts'

/** How late a change may be noticed when the file system's hints fail, and how late a new partition is. */
export const defaultPollMs = 1000

export interface AppendWatch {
  /** Calls `run` after frames of the topic became durable, in any process. Returns a function that stops it. */
  watch(topic: Topic, run: () => void): () => void
  /** Frames of this topic became durable in this process. */
  notify(topic: Topic): void
  close(): void
}

/** Notices new frames: at once those of this process, by a watch on the mark files those of others, by a poll the rest. */
export function createAppendWatch(options: {
  directory: string
  fileSystem: FileSystem
  clock: Clock
  defer: (run: () => void) => void
  mark: (topic: Topic, partition: number) => Promise<DurableMark | undefined>
  pollMs: number
}): AppendWatch {
  const watches = new Map<Topic, Set<TopicWatch>>()

  function watch(topic: Topic, run: () => void): () => void {
    const topicWatch = watchTopic({ ...options, topic, run })
    const ofTopic = watches.get(topic) ?? new Set()
    watches.set(topic, ofTopic.add(topicWatch))
    return () => {
      topicWatch.stop()
      ofTopic.delete(topicWatch)
    }
  }

  return {
    watch,
    notify(topic) {
      for (const topicWatch of watches.get(topic) ?? []) topicWatch.changed()
    },
    close() {
      for (const ofTopic of watches.values()) for (const topicWatch of ofTopic) topicWatch.stop()
      watches.clear()
    },
  }
}

interface TopicWatch {
  changed(): void
  stop(): void
}

function watchTopic(options: {
  topic: Topic
  run: () => void
  directory: string
  fileSystem: FileSystem
  clock: Clock
  defer: (run: () => void) => void
  mark: (topic: Topic, partition: number) => Promise<DurableMark | undefined>
  pollMs: number
}): TopicWatch {
  const { topic, run, directory, fileSystem, clock, defer, mark, pollMs } = options
  const ends = new Map<number, number>()
  const stops = new Map<number, () => void>()
  let isPending = false
  let isStopped = false
  let timer = clock.after(0, () => void poll())

  /** Many changes of one turn make one call. */
  function changed(): void {
    if (isPending || isStopped) return
    isPending = true
    defer(() => {
      isPending = false
      if (!isStopped) run()
    })
  }

  async function poll(): Promise<void> {
    try {
      for (const partition of await listPartitions(fileSystem, directory, topic)) await look(partition)
    } catch {
      // Whatever keeps the directory from being read now is met, and reported, by the readers.
    }
    if (!isStopped) timer = clock.after(pollMs, () => void poll())
  }

  async function look(partition: number): Promise<void> {
    const end = (await mark(topic, partition))?.end ?? 0
    if (!stops.has(partition) && !isStopped) watchPartition(partition)
    if (end !== (ends.get(partition) ?? 0)) changed()
    ends.set(partition, end)
  }

  function watchPartition(partition: number): void {
    try {
      stops.set(partition, fileSystem.watch(markPath(partitionDirectory(directory, topic, partition)), changed))
    } catch {
      // The mark file is not there yet or no watch is to be had: the poll goes on looking.
    }
  }

  return {
    changed,
    stop() {
      isStopped = true
      clock.clear(timer)
      for (const stop of stops.values()) stop()
    },
  }
}
