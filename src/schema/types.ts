/** What a value in JSON can be: one bit for each, so that the types seen of a name are one number. On disk: never renumber. */
export const types = {
  string: 1,
  number: 2,
  integer: 4,
  boolean: 8,
  dateTime: 16,
  object: 32,
  array: 64,
  null: 128,
} as const

const names: readonly [number, string][] = [
  [types.string, 'string'],
  [types.number, 'number'],
  [types.integer, 'integer'],
  [types.boolean, 'boolean'],
  [types.dateTime, 'date-time'],
  [types.object, 'object'],
  [types.array, 'array'],
  [types.null, 'null'],
]

export function typeNames(bits: number): string[] {
  return names.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name)
}

/** Levels of nesting that are looked into. What lies deeper is seen as an object or a list and no more. */
export const depthMax = 16
