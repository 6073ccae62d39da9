/** `@flatten`: one level, keys joined by a separator. */
import { setKey } from './own-properties.ts'

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
      const isLeaf = typeof child !== 'object' || child === null || (omitArrays && Array.isArray(child))
      if (isLeaf) setKey(result, name, child)
      else add(child, name)
    }
  }
  add(value, prefix)
  return result
}
