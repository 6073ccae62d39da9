/** Limit for a warehouse load: rows that are flattened already, appended to a staging table, then MERGE; a transaction for each 16,384
 *  events, each of which is a row in two tables, as with the loader. Prints events per second. */
import { DuckDBInstance, DuckDBTimestampTZValue } from '@duckdb/node-api'

const [path = ':memory:', count = '100000'] = process.argv.slice(2)
const PER_COMMIT = 16_384
const texts = 'id,user_id,event,event_text,context_library_name,context_library_version,context_locale'
const common = `${texts.replaceAll(',', ' VARCHAR,')} VARCHAR, received_at TIMESTAMPTZ, sent_at TIMESTAMPTZ, original TIMESTAMPTZ, uuid_ts TIMESTAMPTZ`
const own = 'order_id VARCHAR, currency VARCHAR, products VARCHAR, revenue DOUBLE'
const tables = { tracks: common, order_completed: `${common}, ${own}` }
const product = (i: number) => ({ product_id: `p-${i}`, sku: `SKU-${i}`, name: `Thing ${i}`, price: 9.95, qty: 1 })
const products = JSON.stringify(Array.from({ length: 10 }, (_, i) => product(i)))
const at = new DuckDBTimestampTZValue(1772355600000000n)
const connection = await (await DuckDBInstance.create(path, { memory_limit: '256MB', threads: '1' })).connect()
for (const [table, columns] of Object.entries(tables))
  await connection.run(`CREATE TABLE ${table} (${columns}); CREATE TEMP TABLE stage_${table} (${columns})`)
const startedAt = performance.now()
for (let from = 0; from < Number(count); from += PER_COMMIT) {
  await connection.run('BEGIN')
  for (const table of Object.keys(tables)) {
    const appender = await connection.createAppender(`stage_${table}`, 'main', 'temp')
    for (let i = from; i < Math.min(Number(count), from + PER_COMMIT); i++) {
      const row = [`bench-${i}`, `user-${i % 10000}`, 'order_completed', 'Order Completed', 'bench', '1.0.0', 'en-GB']
      for (const text of row) appender.appendVarchar(text)
      for (let n = 0; n < 4; n++) appender.appendTimestampTZ(at)
      if (table !== 'tracks') for (const text of [`order-${i}`, 'EUR', products]) appender.appendVarchar(text)
      if (table !== 'tracks') appender.appendDouble(99.5)
      appender.endRow()
    }
    appender.closeSync()
    const merge = `MERGE INTO ${table} USING stage_${table} AS stage ON ${table}.id = stage.id WHEN NOT MATCHED THEN INSERT`
    await connection.run(`${merge}; DELETE FROM stage_${table}`)
  }
  await connection.run('COMMIT')
}
console.log(Number(count) / ((performance.now() - startedAt) / 1000))
