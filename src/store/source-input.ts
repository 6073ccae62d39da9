/** What people send to make and change sources: the config file's own shapes, so that file and API refuse the same things alike. */
import { z } from 'zod'
import { AppError } from '../base/errors.ts'
import { checkShape } from './config-file/check-shape.ts'
import { formatPath, type Problem } from './config-file/problem.ts'
import * as schemas from './config-file/schemas.ts'

export type NewSource = z.infer<typeof newSource>
export type SourceChange = z.infer<typeof sourceChange>

const changeable = {
  name: schemas.title.optional(),
  enabled: schemas.flag.optional(),
  strict: schemas.flag.optional(),
  ip: schemas.ipRule.optional(),
  /** All of them; those not named are gone. */
  labels: schemas.labels.optional(),
  /** Null: no limit of its own. */
  limits: z.strictObject({ eventsPerSecond: schemas.eventsPerSecond.nullable() }).optional(),
  /** Those named are set, null takes one away (contract: public-api.md §1.8); what a kind allows is checked with the stored ones. */
  settings: z.record(z.string(), z.unknown()).optional(),
  /** Null: a write key is enough. */
  oauth: schemas.sourceOAuth.nullable().optional(),
}

export const sourceChange = z.strictObject(changeable)

/** Write keys of one source at most. */
export const WRITE_KEYS_MAX = 100

export const newSource = z.strictObject({
  slug: schemas.slug,
  type: z.string().default('http-api'),
  ...changeable,
  /** Absent: a new one. */
  writeKeys: z.array(schemas.writeKey).min(1, 'needs at least one write key').max(WRITE_KEYS_MAX).optional(),
  /** False: it goes into every warehouse that the file does not own. */
  disconnectAllWarehouses: schemas.flag.default(false),
})

export const newWriteKey = z.strictObject({ writeKey: schemas.writeKey.optional() })

const listChange = z.array(schemas.schemaName)
const toggles = z.record(schemas.schemaName, schemas.flag)
const schemaChange = z.strictObject({
  blockedEvents: z.unknown().optional(),
  blockedTraits: z.unknown().optional(),
  blockedGroupTraits: z.unknown().optional(),
  forwardBlockedEventsTo: z.string().nullable().optional(),
})

export interface SchemaChange {
  blockedEvents?: NamesChange
  blockedTraits?: NamesChange
  blockedGroupTraits?: NamesChange
  /** Slug of a source; null: they go nowhere. */
  forwardBlockedEventsTo?: string | null
}

/** The whole list, or name -> whether it is blocked. */
export type NamesChange = string[] | Record<string, boolean>

/** Throws `bad_request`. */
export function readSchemaChange(body: unknown): SchemaChange {
  const { forwardBlockedEventsTo: target, ...lists } = readInput(schemaChange, body)
  const change: SchemaChange = target === undefined ? {} : { forwardBlockedEventsTo: target }
  const problems: Problem[] = []
  for (const list of ['blockedEvents', 'blockedTraits', 'blockedGroupTraits'] as const) {
    if (lists[list] === undefined) continue
    const shaped = checkShape<z.ZodType<NamesChange>>(Array.isArray(lists[list]) ? listChange : toggles, lists[list], [
      list,
    ])
    problems.push(...shaped.problems)
    if (shaped.value !== undefined) change[list] = shaped.value
  }
  if (problems.length > 0) throw badInput(problems)
  return change
}

/** The value in the shape of the schema. Throws `bad_request` with a sentence for each problem. */
export function readInput<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const { value: shaped, problems } = checkShape(schema, value, [])
  if (problems.length > 0) throw badInput(problems)
  return shaped as z.infer<Schema>
}

export function badInput(problems: readonly Problem[]): AppError {
  const lines = problems.map(({ path, reason }) => `${path.length === 0 ? 'the body' : formatPath(path)}: ${reason}`)
  return new AppError('bad_request', 400, lines.join('\n'), { hint: 'Nothing was changed.' })
}
