/** What the `integrations` object of a message says about one destination or warehouse (contract: spec.md §5, destinations.md
 *  §5, warehouses.md §13). Keys are case-sensitive. */
import { isJsonObject } from './json-values.ts'
import type { JsonObject } from './message.ts'

/** Whether the message may go to a destination that goes by any of these names (display name first, then its other names). */
export function isSentTo(integrations: JsonObject, names: readonly string[]): boolean {
  for (const name of names) {
    const said = valueOf(integrations, name)
    if (said !== undefined) return said
  }
  return valueOf(integrations, 'All') ?? true
}

/** Options that the message carries for the destination: the object under the first of its names that has a value. */
export function optionsFor(integrations: JsonObject, names: readonly string[]): JsonObject {
  const name = names.find((name) => valueOf(integrations, name) !== undefined)
  const value = name === undefined ? undefined : integrations[name]
  return isJsonObject(value) ? value : {}
}

/** Whether the message may be loaded into a warehouse that goes by any of these names (its id and slug). Only the key
 *  `Warehouses` matters: `All` and destination names never do. A list of warehouses says more than `all` and wins over it. */
export function isLoadedTo(integrations: JsonObject, idAndSlug: readonly string[]): boolean {
  const said = Object.hasOwn(integrations, 'Warehouses') ? integrations['Warehouses'] : undefined
  if (!isJsonObject(said)) return valueOf(integrations, 'Warehouses') ?? true
  const listed = said['warehouseIds']
  if (Array.isArray(listed)) return idAndSlug.some((name) => listed.includes(name))
  return valueOf(said, 'all') ?? true
}

/** What a key says: undefined when it says nothing. Anything odd is a yes (contract: spec.md §5). */
function valueOf(integrations: JsonObject, key: string): boolean | undefined {
  // The name comes from a catalogue and the object from a stranger: `constructor` must not find what every object inherits.
  const value = Object.hasOwn(integrations, key) ? integrations[key] : undefined
  if (value === undefined || value === null || value === '') return undefined
  return value !== false && value !== 'false' && value !== 0
}
