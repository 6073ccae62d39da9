/**
 * Values against the fields of a connector: its settings, or the payload of an action (contract: destinations.md §9). A value of
 * the wrong type that has one obvious reading in the right one is converted, as Segment's framework does (`"5"` for a number, 5
 * for a string, one value for a list). Problems are sentences for a person; values stay out of them, because they may be secrets
 * or somebody's data.
 */
import { isJsonObject, isRawNumber, type JsonObject } from '../protocol/index.ts'
import type { Field, Fields } from './field.ts'

export interface FittedValues {
  /** Only what the fields know. A value with a problem is left out. */
  values: JsonObject
  /** In the order of the fields. */
  problems: string[]
}

/** Fits values to fields. `null` counts as missing, and stays. */
export function fitValues(fields: Fields, given: JsonObject): FittedValues {
  const values: JsonObject = {}
  const problems: string[] = []
  for (const [key, field] of Object.entries(fields)) {
    const value = Object.hasOwn(given, key) ? given[key] : undefined
    if (value === undefined || value === null) {
      if (field.required) problems.push(`"${key}" is required but it is missing.`)
      if (value === null) values[key] = null
      continue
    }
    const fitted = fitValue(field, value)
    if (fitted === undefined) problems.push(`"${key}" should be ${expected(field)}, ${notThe(value)}.`)
    else if (field.required && fitted === '') problems.push(`"${key}" is required but it is empty.`)
    else values[key] = fitted
  }
  return { values, problems }
}

/** What is wrong with the settings that a person wrote, unknown names included; empty when nothing is. */
export function checkSettings(fields: Fields, settings: JsonObject): string[] {
  const known = Object.keys(fields)
  const unknown = Object.keys(settings).filter((key) => !known.includes(key))
  const hint = known.length === 0 ? 'There are none to set.' : `Known are: ${known.join(', ')}.`
  return [
    ...unknown.map((key) => `"${key}" is not a setting of this connector. ${hint}`),
    ...fitValues(fields, settings).problems,
  ]
}

/** The value in the type of its field; undefined when it has no obvious reading there. */
export function fitValue(field: Field, value: unknown): unknown {
  if (!field.multiple) return fitOne(field, value)
  const items = (Array.isArray(value) ? value : [value]).map((item) => fitOne(field, item))
  return items.includes(undefined) ? undefined : items
}

function fitOne(field: Field, value: unknown): unknown {
  const fitted = fitType(field.type, value)
  if (fitted === undefined) return undefined
  if (field.choices && !field.choices.some((choice) => choice.value === fitted)) return undefined
  // An empty text is "nothing" for a field with a format; `required` decides whether that will do.
  if (field.format && fitted !== '' && !hasFormat[field.format](String(fitted))) return undefined
  return fitted
}

function fitType(type: Field['type'], value: unknown): unknown {
  switch (type) {
    case 'string':
    case 'text':
    case 'password':
      return toText(value)
    case 'number':
      return toNumber(value)
    case 'integer': {
      const number = toNumber(value)
      return typeof number !== 'number' || Number.isInteger(number) ? number : undefined
    }
    case 'boolean':
      return toBoolean(value)
    case 'datetime':
      return typeof value === 'string' || typeof value === 'number' ? value : undefined
    case 'object':
      return isJsonObject(value) || Array.isArray(value) ? value : undefined
  }
}

function toText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (isRawNumber(value)) return value.rawJSON
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function toNumber(value: unknown): unknown {
  if (typeof value === 'number' || isRawNumber(value)) return value
  if (typeof value === 'boolean') return Number(value)
  if (typeof value !== 'string' || value.trim() === '') return undefined
  const number = Number(value)
  return Number.isFinite(number) ? number : undefined
}

function toBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 1) return true
  return value === 'false' || value === 0 ? false : undefined
}

const hasFormat: Record<NonNullable<Field['format']>, (text: string) => boolean> = {
  uri: (text) => URL.canParse(text),
  email: (text) => /^[^\s@]+@[^\s@]+$/.test(text),
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
  hostname: (text) =>
    /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i.test(text),
}

const typeNames: Record<Field['type'], string> = {
  string: 'a text',
  text: 'a text',
  password: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  datetime: 'a date',
  object: 'an object',
}

const formatNames: Record<NonNullable<Field['format']>, string> = {
  uri: 'a URL, beginning with https:// or another scheme',
  email: 'an e-mail address',
  uuid: 'a UUID',
  hostname: 'a host name',
}

function expected({ type, choices, format, multiple }: Field): string {
  const one = choices
    ? `one of ${choices.map(({ value }) => value).join(', ')}`
    : format
      ? formatNames[format]
      : typeNames[type]
  return multiple ? `a list, each item ${one}` : one
}

/** Says of what type the value is, which is all that may be told of it. */
function notThe(value: unknown): string {
  if (Array.isArray(value)) return 'and the list given is not'
  if (typeof value === 'object') return 'and the object given is not'
  return `and the ${typeof value === 'string' ? 'text' : typeof value} given is not`
}
