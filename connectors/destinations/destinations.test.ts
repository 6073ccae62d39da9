/** Every destination folder passes the suite of the kit; a new folder needs no line here. */
import { join } from 'node:path'
import { createCatalog } from '../../src/catalog/index.ts'
import { destinationSuite } from '../../src/kit/testing/destination-suite.ts'

const { destinations } = await createCatalog({ directory: join(import.meta.dirname, '..') }).listTypes()
for (const type of destinations) await destinationSuite(join(import.meta.dirname, type))
