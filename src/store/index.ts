export { createFixedSnapshotSource, openSnapshotSource } from './snapshot-file.ts'
export type { SnapshotSource } from './snapshot-source.ts'
export { defaultDelivery, defaultDeployment } from './snapshot.ts'
export type {
  DeliverySettings,
  DeploymentSettings,
  DestinationSnapshot,
  FilterAction,
  FilterSnapshot,
  MappingSnapshot,
  SealedJson,
  Snapshot,
  SourceSnapshot,
  WarehouseSnapshot,
  WorkspaceSnapshot,
} from './snapshot.ts'
