/** Reading and writing objects that came from outside: only own properties count, so that `constructor` or `__proto__` in
 *  a path or a key is a name like any other and never reaches a prototype. A number that no double can hold (`RawNumber`) is
 *  an object in JavaScript only, and counts as a number here. */
import { isRawNumber } from '../protocol/index.ts'

/** The own property or array element of that name; undefined when there is none. */
export function readKey(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  // An own property of an object was just found, so reading it by name is safe.
  return (value as Record<string, unknown>)[key]
}

/** A function that follows `keys` from a root; undefined where the path ends early. */
export function compileReader(keys: readonly string[]): (root: unknown) => unknown {
  const [first, second] = keys
  if (first === undefined) return (root) => root
  if (second === undefined) return (root) => readKey(root, first)
  if (keys.length === 2) return (root) => readKey(readKey(root, first), second)
  return (root) => {
    let value = root
    for (const key of keys) value = readKey(value, key)
    return value
  }
}

/** As `compileReader`, for comparing: an exact number is read as the nearest double. */
export function compileOperandReader(keys: readonly string[]): (root: unknown) => unknown {
  const read = compileReader(keys)
  return (root) => {
    const value = read(root)
    return typeof value === 'object' && isRawNumber(value) ? Number(value.rawJSON) : value
  }
}

/** Sets an own property whatever its name: plain assignment to `__proto__` would change the prototype instead. */
export function setKey(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  } else {
    target[key] = value
  }
}

/** True for an object that is neither an array nor an exact number. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value)
}
