import type { Kysely } from 'kysely'

/** The first control records: everything between a write key and a connection, sign-in, and the counters of numbers. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createRoots(db)
  await createDestinations(db)
  await createWarehouses(db)
  await createAccess(db)
  await createSettings(db)
}

async function createRoots({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('workspaces')
    .addColumn('number', 'integer', (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('slug', 'text', (column) => column.notNull().unique())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('events_per_second', 'double precision')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute()
  await schema
    .createTable('sources')
    .addColumn('number', 'integer', (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('workspace', 'integer', (column) => column.notNull().references('workspaces.number'))
    .addColumn('slug', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('is_enabled', 'integer', (column) => column.notNull())
    .addColumn('ip', 'text', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('events_per_second', 'double precision')
    .addColumn('managed_by', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('sources_slug', ['workspace', 'slug'])
    .execute()
  await schema
    .createTable('write_keys')
    .addColumn('write_key', 'text', (column) => column.primaryKey())
    .addColumn('source', 'integer', (column) => column.notNull().references('sources.number').onDelete('cascade'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .execute()
}

async function createDestinations({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('destinations')
    .addColumn('number', 'integer', (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('workspace', 'integer', (column) => column.notNull().references('workspaces.number'))
    .addColumn('source', 'integer', (column) => column.notNull().references('sources.number'))
    .addColumn('slug', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('is_enabled', 'integer', (column) => column.notNull())
    .addColumn('settings', 'text', (column) => column.notNull())
    .addColumn('auth', 'text')
    .addColumn('uses_presets', 'integer', (column) => column.notNull())
    .addColumn('delivery', 'text', (column) => column.notNull())
    .addColumn('start', 'text', (column) => column.notNull())
    .addColumn('managed_by', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('destinations_slug', ['workspace', 'slug'])
    .execute()
  await schema
    .createTable('mappings')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('destination', 'integer', (c) => c.notNull().references('destinations.number').onDelete('cascade'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('trigger', 'text', (column) => column.notNull())
    .addColumn('fields', 'text', (column) => column.notNull())
    .addColumn('is_enabled', 'integer', (column) => column.notNull())
    .addUniqueConstraint('mappings_position', ['destination', 'position'])
    .execute()
  await schema
    .createTable('filters')
    .addColumn('destination', 'integer', (c) => c.notNull().references('destinations.number').onDelete('cascade'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('condition', 'text', (column) => column.notNull())
    .addColumn('actions', 'text', (column) => column.notNull())
    .addColumn('is_enabled', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('filters_key', ['destination', 'position'])
    .execute()
}

async function createWarehouses({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('warehouses')
    .addColumn('number', 'integer', (column) => column.primaryKey())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('workspace', 'integer', (column) => column.notNull().references('workspaces.number'))
    .addColumn('slug', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('is_enabled', 'integer', (column) => column.notNull())
    .addColumn('settings', 'text', (column) => column.notNull())
    .addColumn('schedule', 'text', (column) => column.notNull())
    .addColumn('selective_sync', 'text', (column) => column.notNull())
    .addColumn('managed_by', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('warehouses_slug', ['workspace', 'slug'])
    .execute()
  await schema
    .createTable('warehouse_sources')
    .addColumn('warehouse', 'integer', (c) => c.notNull().references('warehouses.number').onDelete('cascade'))
    .addColumn('source', 'integer', (column) => column.notNull().references('sources.number').onDelete('cascade'))
    .addPrimaryKeyConstraint('warehouse_sources_key', ['warehouse', 'source'])
    .execute()
}

async function createAccess({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('tokens')
    .addColumn('workspace', 'integer', (column) => column.notNull().references('workspaces.number'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('written_as', 'text')
    .addColumn('managed_by', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('tokens_key', ['workspace', 'name'])
    .execute()
  await schema
    .createTable('sign_in_links')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('used_at', 'bigint')
    .execute()
  await schema
    .createTable('sessions')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
}

async function createSettings({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('settings')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('sections', 'text', (column) => column.notNull())
    .execute()
  // The numbers given last; a deleted record's number is never given again.
  await schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'integer', (column) => column.notNull())
    .execute()
  await schema
    .createTable('snapshots')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('number', 'integer', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('published_at', 'bigint', (column) => column.notNull())
    .execute()
}
