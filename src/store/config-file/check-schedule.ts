import { Cron } from 'croner'

/** Loading more often than this costs more than it brings (contract: warehouses.md §7). */
const INTERVAL_MS_MIN = 10_000
const unitsMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 }

/** What is wrong with the schedule of a warehouse, as a sentence for the person who wrote it; undefined when it is fine. */
export function checkSchedule(text: string): string | undefined {
  const line = text.trim()
  if (line === 'manual') return undefined
  const every = /^every (\d{1,6}) ?([smh])$/.exec(line)
  if (every === null) return checkCron(line)
  // The expression matched, so both groups are there and the unit is one of the three.
  const intervalMs = Number(every[1]) * unitsMs[every[2]!]!
  return intervalMs < INTERVAL_MS_MIN ? 'A warehouse is loaded every 10 seconds at most.' : undefined
}

function checkCron(line: string): string | undefined {
  try {
    const next = new Cron(line, { timezone: 'UTC', mode: '5-part' }).nextRun()
    return next === null ? 'The cron line never comes due.' : undefined
  } catch {
    return 'A schedule is "every 10s", "every 5m", "every 1h", a cron line such as "0 * * * *", or "manual".'
  }
}
