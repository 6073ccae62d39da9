/** Every destination folder passes the suite of the kit; a new folder needs no line here. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { destinationSuite } from '../../src/kit/testing/destination-suite.ts'

const entries = await readdir(import.meta.dirname, { withFileTypes: true })
for (const entry of entries) {
  if (entry.isDirectory()) await destinationSuite(join(import.meta.dirname, entry.name))
}
