/** Numbered, in order, never edited once released. */
import type { Migration } from 'kysely/migration'
import * as firstRecords from './0001-first-records.ts'
import * as sourceSettings from './0002-source-settings.ts'
import * as collection from './0003-collection.ts'

export const migrations: Record<string, Migration> = {
  '0001-first-records': firstRecords,
  '0002-source-settings': sourceSettings,
  '0003-collection': collection,
}
