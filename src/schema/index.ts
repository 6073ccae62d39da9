export { createSchema, type SchemaParts, type SchemaView } from './schema.ts'
export {
  windows,
  type EventCounts,
  type NameCounts,
  type NotListed,
  type PropertyCounts,
  type PropertyList,
  type SchemaReader,
  type SchemaType,
  type Window,
} from './schema-reader.ts'
