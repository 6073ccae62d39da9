/** Copies of a message without some of its properties. Arrays on the way stand for all their items. Objects that lose nothing
 *  are not copied, so that the result is the same object when nothing was there to remove. */
import { isObject, setKey } from './own-properties.ts'

/** The steps of a dotted path; `\` before a dot or any other character makes it part of a name. */
export function splitPath(path: string): string[] {
  return (path.match(/(?:\\.|[^.\\])+/gsu) ?? []).map((step) => step.replace(/\\(.)/gsu, '$1'))
}

/** The value without what stands at the path. */
export function dropPath(value: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  if (Array.isArray(value)) return mapItems(value, (item) => dropPath(item, path))
  if (!isObject(value) || !Object.hasOwn(value, key)) return value
  if (rest.length > 0) return withKey(value, key, dropPath(value[key], rest))
  return pick(value, (name) => name !== key)
}

/** The value with only the listed paths below the place that `prefix` leads to; all else stays as it is. */
export function keepPaths(value: unknown, prefix: readonly string[], paths: readonly (readonly string[])[]): unknown {
  const [key, ...rest] = prefix
  if (Array.isArray(value)) return mapItems(value, (item) => keepPaths(item, prefix, paths))
  if (!isObject(value)) return value
  if (key === undefined) return keepOnly(value, paths)
  return Object.hasOwn(value, key) ? withKey(value, key, keepPaths(value[key], rest, paths)) : value
}

function keepOnly(object: Record<string, unknown>, paths: readonly (readonly string[])[]): Record<string, unknown> {
  let result = pick(object, (name) => paths.some(([first]) => first === name))
  for (const name of Object.keys(result)) {
    const below = paths.filter(([first]) => first === name).map((path) => path.slice(1))
    // A path that ends here keeps the whole value.
    if (below.every((path) => path.length > 0)) result = withKey(result, name, keepPaths(result[name], [], below))
  }
  return result
}

function mapItems(items: unknown[], change: (item: unknown) => unknown): unknown[] {
  const changed = items.map(change)
  return changed.every((item, index) => item === items[index]) ? items : changed
}

function withKey(object: Record<string, unknown>, key: string, value: unknown): Record<string, unknown> {
  if (object[key] === value) return object
  const copy = { ...object }
  setKey(copy, key, value)
  return copy
}

function pick(object: Record<string, unknown>, isKept: (key: string) => boolean): Record<string, unknown> {
  const kept = Object.keys(object).filter(isKept)
  if (kept.length === Object.keys(object).length) return object
  const copy: Record<string, unknown> = {}
  for (const key of kept) setKey(copy, key, object[key])
  return copy
}
