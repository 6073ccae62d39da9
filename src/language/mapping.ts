/**
 * Mappings: JSON whose leaves are values or directives (contract: destinations.md §9.1). One pass over the JSON both checks
 * it and makes the function that resolves it, so the two cannot disagree. What a directive means is in `directives.ts`.
 */
import type { JsonObject } from '../protocol/index.ts'
import { directiveNamed } from './directives.ts'
import { parseFieldName, placeAt, type Step } from './field-name.ts'
import { describe, isDirective, MappingError, Place, type MappingProblem, type Resolve } from './mapping-place.ts'
import { isObject, setKey } from './own-properties.ts'

export interface Mapping {
  /** The payload for one message: read only, as it may share objects with the message. Throws MappingError. */
  resolve(message: JsonObject): JsonObject
}

/** Objects, arrays and directives inside one another. */
export const MAPPING_DEPTH_MAX = 100

// A directive around the whole mapping, in the way Segment stores it: its output is what the rest is resolved against.
const INTERNAL_DIRECTIVE = '__segment_internal_directive'

/** What is wrong with a mapping; empty when it is valid. */
export function validateMapping(fields: unknown): MappingProblem[] {
  const place = new Place(compileValue)
  compileRoot(fields, place)
  return place.problems
}

/** Throws MappingError with every problem when the mapping is not valid. */
export function compileMapping(fields: JsonObject): Mapping {
  const resolve = compileMappingValue(fields)
  return {
    resolve(message) {
      const payload = resolve(message)
      if (!isObject(payload))
        throw new MappingError([{ path: '/', problem: `should give an object but it gives ${describe(payload)}` }])
      return payload
    },
  }
}

/** As `compileMapping`, for a mapping that gives any JSON value. */
export function compileMappingValue(mapping: unknown): Resolve {
  const place = new Place(compileValue)
  const resolve = compileRoot(mapping, place)
  if (place.problems.length > 0) throw new MappingError(place.problems)
  return resolve
}

/** True for `{"@path":"$."}`, which gives the message as it is: its bytes can be passed on. */
export function isWholeMessage(value: unknown): boolean {
  if (!isObject(value) || !Object.hasOwn(value, '@path')) return false
  const path = value['@path']
  return (
    Object.keys(value).every((key) => key === '@path' || key === '_metadata') &&
    (path === '$.' || path === '$' || path === '')
  )
}

function compileRoot(mapping: unknown, place: Place): Resolve {
  if (!isObject(mapping) || !Object.hasOwn(mapping, INTERNAL_DIRECTIVE)) return place.compile(mapping)
  const { [INTERNAL_DIRECTIVE]: directive, ...rest } = mapping
  const transform = isObject(directive) ? directive['@transform'] : undefined
  const at = place.at(INTERNAL_DIRECTIVE)
  if (!isObject(transform)) return at.refuse('should be a @transform directive')
  return at.compile({ '@transform': { ...transform, mapping: rest } })
}

function compileValue(value: unknown, place: Place): Resolve {
  if (place.path.length > MAPPING_DEPTH_MAX) return place.refuse(`is nested deeper than ${MAPPING_DEPTH_MAX} levels`)
  if (Array.isArray(value)) return compileArray(value, place)
  if (!isObject(value)) return () => value
  return isDirective(value) ? compileDirective(value, place) : compileObject(value, place)
}

function compileDirective(value: Record<string, unknown>, place: Place): Resolve {
  const keys = Object.keys(value)
  const [name = '', ...others] = keys.filter((key) => key !== '_metadata')
  if (others.length > 0) return place.refuse(`should only have one @-prefixed key but it has ${keys.length} keys`)
  const compile = directiveNamed(name)
  return compile ? compile(value[name], place.at(name)) : place.refuse(`has an invalid directive: ${name}`)
}

function compileArray(items: unknown[], place: Place): Resolve {
  const resolvers = items.map((item, index) => place.at(index).compile(item))
  // An item keeps its position, so what is missing becomes null, as it does in JSON.
  return (payload) => resolvers.map((resolve) => resolve(payload) ?? null)
}

interface Entry {
  key: string
  /** When the name builds nested output. */
  steps: Step[] | undefined
  resolve: Resolve
}

function compileObject(object: Record<string, unknown>, place: Place): Resolve {
  const entries = Object.entries(object).map(([key, value]) => compileEntry(key, value, place))
  const hasSteps = entries.some(({ steps }) => steps)
  return (payload) => {
    const result: Record<string, unknown> = {}
    const fresh = hasSteps ? new Set<unknown>() : undefined
    for (const { key, steps, resolve } of entries) {
      const value = resolve(payload)
      if (value === undefined) continue
      if (steps && fresh) placeAt(result, steps, value, fresh)
      else setKey(result, key, value)
    }
    return result
  }
}

function compileEntry(key: string, value: unknown, place: Place): Entry {
  const resolve = place.at(key).compile(value)
  const [first = key, ...rest] = place.hasPlainKeys ? [key] : parseFieldName(key)
  return { key: String(first), steps: rest.length > 0 ? [first, ...rest] : undefined, resolve }
}
