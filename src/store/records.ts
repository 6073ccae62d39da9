/** All control records at one moment. They are few (thousands at most), so whoever needs some reads them all. */
import type { Selectable } from 'kysely'
import type { ControlDatabase } from './control-database.ts'
import type {
  DestinationRow,
  FilterRow,
  MappingRow,
  OAuthAppRow,
  SourceRow,
  Tables,
  TokenRow,
  WarehouseRow,
  WorkspaceRow,
} from './tables.ts'
import type { SchemaControls } from '../snapshot/index.ts'
import type { ConfigSections } from './config-file/config.ts'

export interface Records {
  workspaces: Selectable<WorkspaceRow>[]
  sources: SourceRecord[]
  destinations: DestinationRecord[]
  warehouses: WarehouseRecord[]
  tokens: Selectable<TokenRow>[]
  oauthApps: OAuthAppRecord[]
  sections: ConfigSections
}

export type OAuthAppRecord = Selectable<OAuthAppRow> & { revokedTokens: string[] }

/** `SchemaControls` as they are stored: what is empty may be absent. */
export type StoredSchemaControls = Partial<SchemaControls>
export type SourceRecord = Selectable<SourceRow> & { writeKeys: string[] }
export type DestinationRecord = Selectable<DestinationRow> & { mappings: MappingRow[]; filters: FilterRow[] }
/** With the numbers of its sources. */
export type WarehouseRecord = Selectable<WarehouseRow> & { sources: number[] }

/** Reads every record, in the order of creation. Give it a transaction, so that what it reads belongs together. */
export async function readRecords(db: ControlDatabase): Promise<Records> {
  const writeKeys = groupBy(await list(db, 'write_keys', 'position'), ({ source }) => source)
  const mappings = groupBy(await list(db, 'mappings', 'position'), ({ destination }) => destination)
  const filters = groupBy(await list(db, 'filters', 'position'), ({ destination }) => destination)
  const warehouseSources = groupBy(await list(db, 'warehouse_sources', 'source'), ({ warehouse }) => warehouse)
  const revoked = Map.groupBy(
    await db.selectFrom('revoked_tokens').selectAll().orderBy('hash').execute(),
    ({ app }) => app,
  )
  const settings = await db.selectFrom('settings').select('sections').executeTakeFirst()
  return {
    workspaces: await list(db, 'workspaces', 'number'),
    sources: (await list(db, 'sources', 'number')).map((row) => ({
      ...row,
      writeKeys: (writeKeys.get(row.number) ?? []).map((key) => key.write_key),
    })),
    destinations: (await list(db, 'destinations', 'number')).map((row) => ({
      ...row,
      mappings: mappings.get(row.number) ?? [],
      filters: filters.get(row.number) ?? [],
    })),
    warehouses: (await list(db, 'warehouses', 'number')).map((row) => ({
      ...row,
      sources: (warehouseSources.get(row.number) ?? []).map(({ source }) => source),
    })),
    tokens: await list(db, 'tokens', 'name'),
    oauthApps: (await list(db, 'oauth_apps', 'name')).map((row) => ({
      ...row,
      revokedTokens: (revoked.get(row.id) ?? []).map(({ hash }) => hash),
    })),
    sections: settings === undefined ? {} : fromJson<ConfigSections>(settings.sections),
  }
}

/** A column that this room wrote with JSON.stringify. */
export function fromJson<T>(text: string): T {
  return JSON.parse(text) as T
}

async function list<Name extends keyof Tables>(
  db: ControlDatabase,
  table: Name,
  order: 'number' | 'position' | 'name' | 'source',
): Promise<Selectable<Tables[Name]>[]> {
  // Kysely cannot follow a table name that is a type parameter; the result has the table's own columns.
  const rows = await db
    .selectFrom(table as 'sources')
    .selectAll()
    .orderBy(order as 'number')
    .execute()
  return rows as unknown as Selectable<Tables[Name]>[]
}

function groupBy<Row>(rows: Row[], keyOf: (row: Row) => number): Map<number, Row[]> {
  return Map.groupBy(rows, keyOf)
}
