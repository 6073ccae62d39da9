import type { Kysely } from 'kysely'

/** Schema controls and OAuth of sources, OAuth apps, device mode and consent categories of destinations. */
export async function up({ schema }: Kysely<unknown>): Promise<void> {
  const sources = () => schema.alterTable('sources')
  await sources()
    .addColumn('schema_controls', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute()
  await sources().addColumn('schema_managed_by', 'text').execute()
  await sources().addColumn('oauth_app', 'text').execute()
  await sources()
    .addColumn('is_oauth_required', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
  const destinations = () => schema.alterTable('destinations')
  await destinations()
    .addColumn('mode', 'text', (column) => column.notNull().defaultTo('cloud'))
    .execute()
  await destinations()
    .addColumn('consent_categories', 'text', (column) => column.notNull().defaultTo('[]'))
    .execute()
  await schema
    .createTable('oauth_apps')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('workspace', 'integer', (column) => column.notNull().references('workspaces.number'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('public_keys', 'text', (column) => column.notNull())
    .addColumn('token_lifetime_seconds', 'integer', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('managed_by', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('oauth_apps_name', ['workspace', 'name'])
    .execute()
  await schema
    .createTable('revoked_tokens')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('app', 'text', (column) => column.notNull().references('oauth_apps.id').onDelete('cascade'))
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
}
