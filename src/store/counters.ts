import type { ControlDatabase } from './control-database.ts'
import type { CounterRow } from './tables.ts'

/** A number that was never given before. Destinations and warehouses share `connection`. */
export async function nextNumber(trx: ControlDatabase, name: CounterRow['name']): Promise<number> {
  const { value } = await trx
    .insertInto('counters')
    .values({ name, value: 1 })
    .onConflict((conflict) => conflict.column('name').doUpdateSet((eb) => ({ value: eb('counters.value', '+', 1) })))
    .returning('value')
    .executeTakeFirstOrThrow()
  return value
}
