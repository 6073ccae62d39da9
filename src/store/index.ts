/** The door of the store: control records, the config file, and the snapshot that the data plane works from. */
export { parseConfig } from './config-file/parse-config.ts'
export type { ConfigChecks, ConfigProblem, MappingToCheck } from './config-file/parse-config.ts'
export type { Config } from './config-file/config.ts'
export type { Plan, PlanChange } from './config-file/plan.ts'
export { openStore } from './store.ts'
export type { Store, StoreOptions } from './store.ts'
