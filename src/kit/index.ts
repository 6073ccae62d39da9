export { checkDestination, checkWarehouse } from './check-definition.ts'
export { defineAction, defineDestination } from './destination.ts'
export type {
  ActionData,
  ActionDefinition,
  BatchItemResult,
  DestinationDefinition,
  Preset,
  SendOptions,
  SendRequest,
  SendResponse,
} from './destination.ts'
export { BadPayload, BadSettings, ResponseError, Retry } from './errors.ts'
export { field } from './field.ts'
export type { Field, Fields, ValuesOf } from './field.ts'
export { checkSettings, fitValue, fitValues } from './fit-values.ts'
export type { FittedValues } from './fit-values.ts'
export { unmappedJson } from './unmapped.ts'
export { defineWarehouse, loadFields } from './warehouse.ts'
export type {
  Cell,
  ColumnRows,
  ColumnType,
  Load,
  LoadCursor,
  LoadRecord,
  LoadResult,
  QueryLimits,
  QueryResult,
  TableRows,
  TableSchema,
  UpsertRows,
  WarehouseConnection,
  WarehouseDefinition,
  WarehouseEnvironment,
} from './warehouse.ts'
