/** The door of the snapshot: the configuration as the data plane works from it, without the control database behind it. */
export { parseSchedule } from './schedule.ts'
export type { Schedule } from './schedule.ts'
export { createFixedSnapshotSource, openSnapshotSource, writeSnapshotFile } from './snapshot-file.ts'
export type { SnapshotFileOptions } from './snapshot-file.ts'
export type { SnapshotSource } from './snapshot-source.ts'
export { defaultDelivery, defaultDeployment } from './snapshot.ts'
export type {
  BrowserSettings,
  DeliverySettings,
  DeploymentSettings,
  DestinationSnapshot,
  FilterAction,
  FilterSnapshot,
  MappingSnapshot,
  OAuthAppSnapshot,
  SchemaControls,
  SealedJson,
  Snapshot,
  SourceSnapshot,
  WarehouseSnapshot,
  WebhookSnapshot,
  WorkspaceSnapshot,
} from './snapshot.ts'
