import { stringify } from 'yaml'
import { mapChildren, mapSealed } from '../../base/secrets.ts'
import type { Records } from '../records.ts'
import { BULLETS } from './config.ts'
import { destinationEntry, oauthAppEntry, sectionEntries, sourceEntry, tokenEntry, warehouseEntry } from './entries.ts'

/** The records as the text of a config file. */
export function exportConfig(records: Records): string {
  const [workspace] = records.workspaces
  const slugs = new Map(records.sources.map(({ number, slug }) => [number, slug]))
  // Sources cannot be deleted while a destination or a warehouse refers to them.
  const slugOf = (source: number) => slugs.get(source)!
  const oauthAppOf = (id: string) => records.oauthApps.find((app) => app.id === id)?.name ?? ''
  const file = {
    ...(workspace === undefined ? {} : { workspace: { name: workspace.name, slug: workspace.slug } }),
    tokens: entriesOf(
      records.tokens,
      (row) => row.name,
      (row) => ({
        token: row.written_as === null ? BULLETS : { $sealed: '', $from: row.written_as },
        ...tokenEntry(row),
      }),
    ),
    oauthApps: entriesOf(records.oauthApps, (row) => row.name, oauthAppEntry),
    sources: entriesOf(
      records.sources,
      (row) => row.slug,
      (row) => sourceEntry(row, { slugOf: (source) => slugs.get(source) ?? '', oauthAppOf }),
    ),
    destinations: entriesOf(
      records.destinations,
      (row) => row.slug,
      (row) => destinationEntry(row, slugOf(row.source)),
    ),
    warehouses: entriesOf(
      records.warehouses,
      (row) => row.slug,
      (row) => warehouseEntry(row, slugOf),
    ),
    ...sectionEntries(records),
  }
  const filled = Object.entries(file).filter(([, section]) => Object.keys(section).length > 0)
  const text = mapSealed(escapePlaceholders(Object.fromEntries(filled)), ({ $from }) => $from ?? BULLETS)
  return stringify(text, { lineWidth: 0 })
}

function entriesOf<Row>(
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  entryOf: (row: Row) => Record<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(rows.map((row) => [nameOf(row), entryOf(row)]))
}

/** Text that only looks like a placeholder is written so that it is read as text again. What stands in `$from` is one. */
function escapePlaceholders(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/\$(?=\{[A-Za-z_][A-Za-z0-9_]*\})/g, '$$$$')
  return mapChildren(value, (child, name) => (name === '$from' ? child : escapePlaceholders(child)))
}
