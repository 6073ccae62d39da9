/** Numbered, in order, never edited once released. */
import type { Migration } from 'kysely/migration'
import * as firstRecords from './0001-first-records.ts'
import * as sourceSettings from './0002-source-settings.ts'
import * as collection from './0003-collection.ts'
import * as configFileName from './0004-config-file-name.ts'

export const migrations: Record<string, Migration> = {
  '0001-first-records': firstRecords,
  '0002-source-settings': sourceSettings,
  '0003-collection': collection,
  '0004-config-file-name': configFileName,
}
