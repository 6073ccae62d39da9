/** Numbered, in order, never edited once released. */
import type { Migration } from 'kysely/migration'
import * as firstRecords from './0001-first-records.ts'

export const migrations: Record<string, Migration> = {
  '0001-first-records': firstRecords,
}
