import type { Snapshot, SnapshotSource, SourceSnapshot, WorkspaceSnapshot } from '../snapshot/index.ts'
import { compileWebhookFields, type WebhookFields } from './webhook-message.ts'

export interface KnownSource {
  source: SourceSnapshot
  workspace: WorkspaceSnapshot
}

export interface KnownWebhook extends KnownSource {
  fields: WebhookFields
}

/** Sources by write key and by name, as of the newest snapshot. */
export interface SourceDirectory {
  byWriteKey(writeKey: string): KnownSource | undefined
  /** By slug or id, among the sources of type `webhook`. A slug is ambiguous when several workspaces have it. */
  byWebhookName(name: string): KnownWebhook | 'ambiguous' | undefined
  readonly snapshot: Snapshot
  close(): void
}

export function createSourceDirectory(snapshots: SnapshotSource): SourceDirectory {
  let snapshot = snapshots.current
  let byKey = indexByWriteKey(snapshot)
  let byName = indexWebhooks(snapshot)
  const stop = snapshots.onChange((changed) => {
    snapshot = changed
    byKey = indexByWriteKey(changed)
    byName = indexWebhooks(changed)
  })
  return {
    byWriteKey: (writeKey) => byKey.get(writeKey),
    byWebhookName: (name) => byName.get(name),
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

function indexWebhooks(snapshot: Snapshot): Map<string, KnownWebhook | 'ambiguous'> {
  const workspaces = new Map(snapshot.workspaces.map((workspace) => [workspace.number, workspace]))
  const byName = new Map<string, KnownWebhook | 'ambiguous'>()
  for (const source of snapshot.sources) {
    const workspace = workspaces.get(source.workspace)
    if (workspace === undefined || source.webhook === undefined) continue
    const known = { source, workspace, fields: compileWebhookFields(source.webhook.fields) }
    byName.set(source.slug, byName.has(source.slug) ? 'ambiguous' : known)
    byName.set(source.id, known)
  }
  return byName
}
