export { createLoader, type Loader, type LoaderParts, type WarehouseStatus, type WarehouseTrace } from './loader.ts'
export { readLoadSettings } from './load-settings.ts'
export type { ConnectionStatus } from './status.ts'
export type { SyncRecord } from './sync-record.ts'
