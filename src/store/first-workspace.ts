import type { ControlDatabase } from './control-database.ts'
import { nextNumber } from './counters.ts'

/** What a program without any configuration starts with. */
export const firstWorkspace = { slug: 'default', name: 'My workspace' }

interface FirstWorkspaceParts {
  newId: () => string
  now: () => number
}

/** Makes a workspace with one source, so that the first event can be sent, and one local warehouse, so that it can be seen. */
export async function makeFirstWorkspace(
  trx: ControlDatabase,
  { newId, now }: FirstWorkspaceParts,
): Promise<{ writeKey: string }> {
  const workspace = await insertWorkspace(trx, firstWorkspace, { newId, now })
  const source = await nextNumber(trx, 'source')
  const warehouse = await nextNumber(trx, 'connection')
  const writeKey = newId()
  const owned = { workspace, managed_by: null, created_at: now(), is_enabled: 1 } as const
  await trx
    .insertInto('sources')
    .values({
      ...owned,
      number: source,
      id: `src_${newId()}`,
      slug: 'demo',
      name: 'Demo',
      type: 'http-api',
      ip: 'keep',
      labels: '{}',
      events_per_second: null,
      is_strict: 0,
      settings: '{}',
      webhook_token_hash: null,
      webhook_token_written_as: null,
      schema_controls: '{}',
      schema_managed_by: null,
      oauth_app: null,
      is_oauth_required: 0,
    })
    .execute()
  await trx.insertInto('write_keys').values({ write_key: writeKey, source, position: 0 }).execute()
  await trx
    .insertInto('warehouses')
    .values({
      ...owned,
      number: warehouse,
      id: `whs_${newId()}`,
      slug: 'local',
      type: 'duckdb',
      name: 'Local warehouse',
      settings: JSON.stringify({ path: 'warehouse.duckdb' }),
      schedule: 'every 1m',
      selective_sync: '{}',
    })
    .execute()
  await trx.insertInto('warehouse_sources').values({ warehouse, source }).execute()
  return { writeKey }
}

/** Makes a workspace; returns its number. */
export async function insertWorkspace(
  trx: ControlDatabase,
  { slug, name }: { slug: string; name: string },
  { newId, now }: FirstWorkspaceParts,
): Promise<number> {
  const number = await nextNumber(trx, 'workspace')
  const id = `wks_${newId()}`
  const row = { number, id, slug, name, events_per_second: null, config_file: null, created_at: now() }
  await trx.insertInto('workspaces').values(row).execute()
  return number
}
