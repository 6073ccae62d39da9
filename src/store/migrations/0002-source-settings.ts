import type { Kysely } from 'kysely'

/** Strict sources, and what a webhook source makes of its requests. */
export async function up({ schema }: Kysely<unknown>): Promise<void> {
  const table = () => schema.alterTable('sources')
  await table()
    .addColumn('is_strict', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
  await table()
    .addColumn('settings', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute()
  await table().addColumn('webhook_token_hash', 'text').execute()
  await table().addColumn('webhook_token_written_as', 'text').execute()
}
