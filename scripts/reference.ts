/** Writes the generated pages of docs/reference/: `node scripts/reference.ts`. `test/docs.test.ts` fails while one is stale. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errorCodesPage, reasonCodesPage } from './reference/codes.ts'
import { commandLinePage } from './reference/command-line.ts'
import { configurationPage } from './reference/configuration.ts'
import { connectorPages } from './reference/connectors.ts'
import { metricsPage } from './reference/metrics.ts'

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

/** What each generated page should say, by its path from the root of the repository. */
export async function referencePages(): Promise<Map<string, string>> {
  const pages = new Map([
    ['docs/reference/reason-codes.md', reasonCodesPage()],
    ['docs/reference/error-codes.md', errorCodesPage()],
    ['docs/reference/metrics.md', metricsPage(root)],
    ['docs/reference/configuration.md', configurationPage()],
    ['docs/reference/command-line.md', await commandLinePage(root)],
  ])
  for (const [file, text] of await connectorPages(root)) pages.set(`docs/reference/connectors/${file}`, text)
  return pages
}

if (import.meta.main) {
  for (const [path, text] of await referencePages()) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}
