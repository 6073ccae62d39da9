import type { Snapshot, SnapshotSource, SourceSnapshot, WorkspaceSnapshot } from '../snapshot/index.ts'

export interface KnownSource {
  source: SourceSnapshot
  workspace: WorkspaceSnapshot
}

/** Sources by write key, as of the newest snapshot. */
export interface SourceDirectory {
  byWriteKey(writeKey: string): KnownSource | undefined
  readonly snapshot: Snapshot
  close(): void
}

export function createSourceDirectory(snapshots: SnapshotSource): SourceDirectory {
  let snapshot = snapshots.current
  let byKey = indexByWriteKey(snapshot)
  const stop = snapshots.onChange((changed) => {
    snapshot = changed
    byKey = indexByWriteKey(changed)
  })
  return {
    byWriteKey: (writeKey) => byKey.get(writeKey),
    get snapshot() {
      return snapshot
    },
    close: stop,
  }
}

function indexByWriteKey(snapshot: Snapshot): Map<string, KnownSource> {
  const workspaces = new Map(snapshot.workspaces.map((workspace) => [workspace.number, workspace]))
  const byKey = new Map<string, KnownSource>()
  for (const source of snapshot.sources) {
    const workspace = workspaces.get(source.workspace)
    if (workspace === undefined) continue
    for (const writeKey of source.writeKeys) byKey.set(writeKey, { source, workspace })
  }
  return byKey
}
