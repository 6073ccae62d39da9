/** Settings and payload fields of a connector: one schema gives the form, the validation, the docs and the TypeScript type. */

export type FieldType = 'string' | 'text' | 'number' | 'integer' | 'boolean' | 'datetime' | 'password' | 'object'

export interface Field {
  type: FieldType
  label: string
  description: string
  required: boolean
  /** An array of `type`. */
  multiple: boolean
  /** Pre-fills a new mapping or setting: a value or a mapping directive. Never applied at run time, except to presets. */
  default?: unknown
  choices?: { label: string; value: string }[]
  format?: 'uri' | 'email' | 'uuid' | 'hostname'
}

export type Fields = Record<string, Field>

type FieldOptions = Partial<Omit<Field, 'type' | 'required' | 'multiple'>> & { label: string; description: string }

function make<T extends FieldType>(type: T) {
  return <const O extends FieldOptions & { required?: boolean; multiple?: boolean }>(options: O) => ({
    type,
    required: false as const,
    multiple: false as const,
    ...options,
  })
}

/** Makers of fields: `field.string({ label: 'URL', description: '…', required: true })`. */
export const field = {
  string: make('string'),
  text: make('text'),
  number: make('number'),
  integer: make('integer'),
  boolean: make('boolean'),
  datetime: make('datetime'),
  password: make('password'),
  object: make('object'),
}

interface TypeScriptTypes {
  string: string
  text: string
  number: number
  integer: number
  boolean: boolean
  datetime: string | number
  password: string
  object: Record<string, unknown>
}

type ValueOf<F extends Field> = F['multiple'] extends true ? TypeScriptTypes[F['type']][] : TypeScriptTypes[F['type']]

/** The TypeScript type of values that fit the fields. */
export type ValuesOf<F extends Fields> = {
  [K in keyof F as F[K]['required'] extends true ? K : never]: ValueOf<F[K]>
} & {
  [K in keyof F as F[K]['required'] extends true ? never : K]?: ValueOf<F[K]>
}
