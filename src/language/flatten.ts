/** `@flatten`: one level, keys joined by a separator. */
import { isObject, setKey } from './own-properties.ts'

/** Arrays are flattened by index unless `omitArrays`; empty objects and arrays leave nothing. */
export function flattenObject(
  value: object,
  prefix = '',
  separator = '.',
  omitArrays = false,
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  const add = (inner: object, before: string): void => {
    for (const [key, child] of Object.entries(inner)) {
      const name = before === '' ? key : before + separator + key
      const isNested = isObject(child) || (Array.isArray(child) && !omitArrays)
      if (isNested) add(child, name)
      else setKey(result, name, child)
    }
  }
  add(value, prefix)
  return result
}
