/** zod's findings as problems: sentences of ours, a suggestion for each misspelt key. */
import { z } from 'zod'
import type { Path, Problem } from './problem.ts'

export type Shaped<Schema extends z.ZodType> =
  { value: z.infer<Schema>; problems: [] } | { value: undefined; problems: Problem[] }

/** Checks a value that stands at `path` against its schema. */
export function checkShape<Schema extends z.ZodType>(schema: Schema, value: unknown, path: Path): Shaped<Schema> {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return { value: parsed.data, problems: [] }
  return { value: undefined, problems: parsed.error.issues.flatMap((issue) => problemsOf(issue, schema, path)) }
}

function problemsOf(issue: z.core.$ZodIssue, schema: z.ZodType, base: Path): Problem[] {
  // zod's paths have symbols for exotic maps only.
  const inner = issue.path as (string | number)[]
  const path = [...base, ...inner]
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, inner)
    return issue.keys.map((key) => ({ path: [...path, key], reason: unknownKey(key, known) }))
  }
  return [{ path, reason: reasonOf(issue) }]
}

/** A sentence that says an unknown key is one, and what it may have been meant to be. */
export function unknownKey(key: string, known: readonly string[]): string {
  const nearest = known
    .map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]
  if (nearest !== undefined && nearest.distance <= Math.max(1, Math.floor(key.length / 3))) {
    return `There is no such key; did you mean "${nearest.name}"?`
  }
  return known.length === 0 ? 'There is no such key.' : `There is no such key; known are ${known.join(', ')}.`
}

function reasonOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.message !== '' && !issue.message.startsWith('Invalid input')) return issue.message
      return issue.input === undefined
        ? 'is missing'
        : `must be ${nounOf(issue.expected)}, not ${describe(issue.input)}`
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`
    case 'invalid_union':
      return unionReason(issue)
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message
    default:
      return issue.message
  }
}

function unionReason(issue: z.core.$ZodIssueInvalidUnion): string {
  if (issue.discriminator !== undefined) return 'must be DROP, SAMPLE, DROP_PROPERTIES or ALLOW_PROPERTIES'
  const values = issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_value' ? inner.values : []))
  return `must be ${values.map((value) => JSON.stringify(value)).join(' or ')}`
}

const nouns: Record<string, string> = {
  string: 'text (in quotes, if it looks like something else)',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section with keys',
  record: 'a section with keys',
}

function nounOf(expected: string): string {
  return nouns[expected] ?? expected
}

function describe(value: unknown): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a section' : typeof value === 'string' ? 'text' : `a ${typeof value}`
}

/** The keys that the schema knows at a path inside it. */
function keysAt(schema: z.ZodType, path: readonly (string | number)[]): string[] {
  const inner = unwrap(schema)
  if (path.length === 0) return inner instanceof z.ZodObject ? Object.keys(inner.shape as object) : []
  const [first, ...rest] = path
  const next =
    inner instanceof z.ZodObject
      ? (inner.shape as Record<string, z.ZodType>)[String(first)]
      : inner instanceof z.ZodArray
        ? (inner.element as z.ZodType)
        : inner instanceof z.ZodRecord
          ? (inner.valueType as z.ZodType)
          : undefined
  return next === undefined ? [] : keysAt(next, rest)
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap() as z.ZodType)
  return schema
}

/** Levenshtein's: insertions, removals and replacements. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      // All three cells were filled before.
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
