import type { Kysely } from 'kysely'

/** Which file was applied last: it owns what is `managed_by` a file. */
export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('workspaces').addColumn('config_file', 'text').execute()
}
