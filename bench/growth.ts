/** Cost per event with many events stored against few: the pipeline with so many ids in its index, the loader with so many rows in
 *  its tables. (The journal itself reads and writes at its end only.) */
import { DuckDBInstance } from '@duckdb/node-api'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { createBed as createLoaderBed } from '../src/loader/testing/loader-bed.ts'
import { openDedupeStore, type IndexEntry } from '../src/pipeline/index.ts'
import { messageKey } from '../src/pipeline/dedupe.ts'
import { aTime, createBed as createPipelineBed } from '../src/pipeline/testing/pipeline-bed.ts'
import { isShort, median, report, type Row } from './report.ts'
import { sampleEvent } from './sample-event.ts'

const few = isShort ? 2_000 : 100_000
const many = isShort ? 20_000 : 10_000_000
const events = isShort ? 2_000 : 40_000
const rounds = isShort ? 1 : 5
const DAY_MS = 86_400_000

const rows: Row[] = []
for (const [what, measure] of [
  ['pipeline (dedupe index of 7 days)', pipelineCost],
  ['loader (DuckDB tables)', loaderCost],
] as const) {
  const small = await measure(few)
  const large = await measure(many)
  const ratio = median(large) / median(small)
  rows.push({
    what: `cost per event with ${many.toLocaleString('en')} stored against ${few.toLocaleString('en')}: ${what}`,
    result: ratio.toFixed(2),
    budget: '≤ 1.2',
    isMet: ratio <= 1.2,
    note: `${median(small).toFixed(1)} µs and ${median(large).toFixed(1)} µs an event`,
  })
}
report('Growth', rows)

/** Microseconds per event, once a round. */
async function pipelineCost(stored: number): Promise<number[]> {
  const bed = await createPipelineBed()
  try {
    const dedupe = await openDedupeStore({
      directory: join(bed.directory, 'bench-dedupe'),
      journalId: bed.journal.id,
      windowDays: () => 7,
      clock: { ...systemClock, now: () => bed.clock.nowMs },
      log: silentLogger,
      onFailure: (error) => {
        throw error
      },
    })
    await fill(dedupe, stored)
    const pipeline = await bed.start(dedupe)
    const costs: number[] = []
    // The first round warms up.
    for (let round = 0; round <= rounds; round++) {
      const startedAt = performance.now()
      for (let from = 0; from < events; from += 20) {
        const messages = Array.from({ length: 20 }, (_, i) => ({
          ...sampleEvent(i),
          messageId: `${round}-${from + i}`,
        }))
        const sent = bed.send({ messages, receivedAtMs: bed.clock.nowMs })
        // Some requests at once, as from many clients; waiting for each would measure the disk.
        if (from % 2_000 === 0) await sent
      }
      await bed.settled(pipeline)
      if (round > 0) costs.push(((performance.now() - startedAt) * 1000) / events)
    }
    await pipeline.stop()
    return costs
  } finally {
    await bed.end()
  }
}

async function fill(dedupe: Awaited<ReturnType<typeof openDedupeStore>>, stored: number): Promise<void> {
  const perDay = Math.ceil(stored / 7)
  for (let day = 6; day >= 0; day--) {
    for (let from = 0; from < perDay; from += 10_000) {
      const entries = Array.from({ length: Math.min(10_000, perDay - from) }, (_, i): IndexEntry => {
        return {
          kind: 1,
          key: messageKey(1, `stored-${day}-${from + i}`),
          offset: 0,
          receivedAtMs: aTime - day * DAY_MS,
        }
      })
      await dedupe.put(entries, 0)
    }
    await dedupe.flush()
  }
}

async function loaderCost(stored: number): Promise<number[]> {
  const bed = await createLoaderBed()
  try {
    let next = 0
    const load = async (count: number) => {
      for (let sent = 0; sent < count; sent += 500)
        await bed.send(Array.from({ length: 500 }, () => sampleEvent(next++)))
      const startedAt = performance.now()
      await bed.sync()
      return ((performance.now() - startedAt) * 1000) / count
    }
    await load(1_000)
    await bed.loader.stop()
    await fillTables(join(bed.directory, 'warehouse.duckdb'), stored)
    await bed.restart()
    // The first load after opening also reads the ids that are there, once.
    await load(events)
    const costs: number[] = []
    for (let round = 0; round < rounds; round++) costs.push(await load(events))
    return costs
  } finally {
    await bed.end()
  }
}

/** Copies the rows that are there under other ids until there are so many. */
async function fillTables(path: string, stored: number): Promise<void> {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  for (const table of ['tracks', 'order_completed']) {
    await connection.run(
      `INSERT INTO web.${table} SELECT rows.* REPLACE (rows.id || '-' || copies.n AS id) FROM (SELECT * FROM web.${table} LIMIT 1000) AS rows, range(${Math.ceil(stored / 1000)}) AS copies(n)`,
    )
  }
  connection.closeSync()
  instance.closeSync()
}
