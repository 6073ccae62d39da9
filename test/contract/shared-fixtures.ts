/** Golden cases that live beside the repository (`TRIBUTARY_SHARED`, by default `../shared`) and are read in place. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export interface FixtureCase {
  test: string
  fn: string
  args: unknown[]
  toEqual?: unknown
  toStrictEqual?: unknown
  toMatchObject?: unknown
  toThrow?: unknown
}

export interface Fixtures {
  cases: FixtureCase[]
  schema_fixtures?: { name: string; valid: boolean; mapping: unknown; expectError?: string | string[] }[]
}

/** Reads one file of fixtures, or throws with a sentence on where it was looked for. */
export function readFixtures(name: string): Fixtures {
  const shared = resolve(import.meta.dirname, '../..', process.env['TRIBUTARY_SHARED'] ?? '../shared')
  const path = join(shared, 'fixtures', name)
  try {
    return revive(JSON.parse(readFileSync(path, 'utf8'))) as Fixtures
  } catch (cause) {
    throw new Error(`The fixtures are not at ${path}: set TRIBUTARY_SHARED to the folder that holds fixtures/`, {
      cause,
    })
  }
}

/** The fixtures mark what JSON lacks: `{"$undefined": true}` is undefined. */
function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive)
  if (typeof value !== 'object' || value === null) return value
  if ('$undefined' in value) return undefined
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]))
}
