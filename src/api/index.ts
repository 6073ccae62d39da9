export { createControlHandlers } from './control-handlers.ts'
export type { ControlParts } from './control-handlers.ts'
export { readDiskUsage } from './disk-usage.ts'
export type { Examination } from './doctor.ts'
export { serveControlHttp } from './http.ts'
export type { ControlHttp } from './http.ts'
export { createRedeliveryApi, createRedeliveryRoutes } from './redelivery.ts'
export type { DeadLetterAnswer, DeadLetterQuery, RedeliveryAnswer, RedeliveryRequest } from './redelivery.ts'
export type { ConnectionCounts, LoaderStatus, QueryItem, Roles } from './roles.ts'
export {
  createSourceEventsApi,
  createSourceEventsHandlers,
  createSourceEventsRoutes,
} from './source-events.ts'
export type { SamplingAnswer, SourceEvent, SourceEventsItem } from './source-events.ts'
export type { Status } from './status.ts'
export type { Trace } from './trace.ts'
