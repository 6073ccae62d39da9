import type { Snapshot } from './snapshot.ts'

/** Gives a process the newest configuration snapshot and tells it when there is a newer one. */
export interface SnapshotSource {
  readonly current: Snapshot
  /** Calls `run` after each change. Returns a function that stops it. */
  onChange(run: (snapshot: Snapshot) => void): () => void
  close(): void
}
