/** Every planted bug is caught, or the simulation looks at nothing. `SCHEDULES` is how many schedules each may take. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mutants } from './chain/mutants.ts'
import { runSchedules } from './chain/run-schedules.ts'

const count = Math.max(2000, Number(process.env['SCHEDULES'] ?? 0))

for (const { title, ...planted } of mutants) {
  test(`caught: ${title}`, async (t) => {
    const failure = await runSchedules(1, count, planted)
    assert.ok(failure !== undefined, `no schedule of ${count} noticed`)
    t.diagnostic(`seed ${failure.seed}: ${failure.why.split('\n')[0]}`)
  })
}
