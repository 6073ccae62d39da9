/**
 * The whole chain on a disk that fails: gateways, pipeline, delivery, loader and archive under schedules that a seed decides, with
 * kills, power cuts, calls that fail, disks that fill up, clocks that jump, vendors and warehouses that answer badly or not at
 * all. What must be true afterwards is in `chain/audit.ts`.
 *
 * `SCHEDULES=n` runs so many, `SEED=n` begins with that one; `SEED=n SCHEDULES=1` replays it step by step.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSchedules } from './chain/run-schedules.ts'

const first = Number(process.env['SEED'] ?? 1)
const count = Number(process.env['SCHEDULES'] ?? 10_000)

test(`${count} schedules from seed ${first}: what was accepted arrives, once, and every count is right`, async () => {
  const failure = await runSchedules(first, count)
  if (failure !== undefined)
    assert.fail(`schedule failed, replay with SEED=${failure.seed} SCHEDULES=1\n${failure.why}`)
})
