/** Every warehouse passes the suite of the kit. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { warehouseSuite } from '../../src/kit/testing/warehouse-suite.ts'
import duckdb from './duckdb/index.ts'

warehouseSuite('duckdb', duckdb, async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'tributary-duckdb-'))
  return {
    connect: () => duckdb.connect({}, { dataDirectory }),
    remove: () => rm(dataDirectory, { recursive: true }),
  }
})
