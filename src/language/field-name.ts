/** Names of destination fields: dots and `[n]` build nested output, double quotes make the name a plain key (contract:
 *  destinations.md §9.1). */
import { isObject, setKey } from './own-properties.ts'

/** Largest `[n]` in a field name, so that one mapping cannot ask for an endless array. */
export const FIELD_INDEX_MAX = 999

export type Step = string | number

const NAME = /^[^.[\]]+(?:\[\d{1,3}\])*(?:\.[^.[\]]+(?:\[\d{1,3}\])*)*$/
const STEP = /\[(\d+)\]|[^.[\]]+/g

/** The steps of a name; a name in quotes, or one that does not read as a path (`a..b`), is one plain key. */
export function parseFieldName(name: string): Step[] {
  if (name.length > 2 && name.startsWith('"') && name.endsWith('"')) return [name.slice(1, -1)]
  if (!NAME.test(name)) return [name]
  return Array.from(name.matchAll(STEP), ([key, index]) => (index === undefined ? key : Number(index)))
}

/** Sets `value` below `target`, making objects and arrays on the way. What stands there already and is not in `fresh` is
 *  copied first, because it may belong to the message. Gaps in arrays are null. */
export function placeAt(
  target: Record<string, unknown>,
  steps: readonly Step[],
  value: unknown,
  fresh: Set<unknown>,
): void {
  let container: Record<string, unknown> | unknown[] = target
  for (const [depth, step] of steps.entries()) {
    if (depth === steps.length - 1) return put(container, step, value)
    const isList = typeof steps[depth + 1] === 'number'
    const inner = own(get(container, step), isList, fresh)
    put(container, step, inner)
    container = inner
  }
}

function own(existing: unknown, isList: boolean, fresh: Set<unknown>): Record<string, unknown> | unknown[] {
  const fits = isList ? Array.isArray(existing) : isObject(existing)
  // `fits` has just been made from the type of `existing`.
  if (fits && fresh.has(existing)) return existing as Record<string, unknown> | unknown[]
  const made = isList ? (fits ? [...(existing as unknown[])] : []) : fits ? { ...(existing as object) } : {}
  fresh.add(made)
  return made
}

function get(container: Record<string, unknown> | unknown[], step: Step): unknown {
  if (Array.isArray(container)) return container[Number(step)]
  return Object.hasOwn(container, step) ? container[String(step)] : undefined
}

function put(container: Record<string, unknown> | unknown[], step: Step, value: unknown): void {
  if (!Array.isArray(container)) return setKey(container, String(step), value)
  const index = Number(step)
  while (container.length < index) container.push(null)
  container[index] = value
}
