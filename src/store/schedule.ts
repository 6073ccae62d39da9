/** When a warehouse is loaded: `every 10s`, `every 1m`, `every 1h`, a cron line, or `manual`. */
import { Cron } from 'croner'

export type Schedule = { kind: 'every'; ms: number } | { kind: 'cron'; line: string } | { kind: 'manual' }

/** Loading more often than this costs more than it brings. */
export const SCHEDULE_MS_MIN = 10_000

const unitsMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 }

/** The schedule that the text means, or, as `problem`, a sentence for the person who wrote it. */
export function parseSchedule(text: string): Schedule | { kind: 'wrong'; problem: string } {
  if (text === 'manual') return { kind: 'manual' }
  const every = /^every\s+(\d+)\s*([smh])$/.exec(text)
  if (every !== null) {
    // The expression matched, so both groups are there and the unit is one of the three.
    const ms = Number(every[1]) * unitsMs[every[2]!]!
    return ms < SCHEDULE_MS_MIN ? tooOften() : { kind: 'every', ms }
  }
  return parseCron(text)
}

function parseCron(line: string): Schedule | { kind: 'wrong'; problem: string } {
  if (line.trim().split(/\s+/).length < 5) return notASchedule()
  try {
    const cron = new Cron(line, { paused: true })
    const runs = cron.nextRuns(20)
    if (runs.length === 0) return { kind: 'wrong', problem: 'The cron line never comes due.' }
    const isTooOften = runs.some((run, i) => i > 0 && run.getTime() - runs[i - 1]!.getTime() < SCHEDULE_MS_MIN)
    return isTooOften ? tooOften() : { kind: 'cron', line }
  } catch {
    return notASchedule()
  }
}

function tooOften(): { kind: 'wrong'; problem: string } {
  return { kind: 'wrong', problem: `A warehouse is loaded every ${SCHEDULE_MS_MIN / 1000} seconds at most.` }
}

function notASchedule(): { kind: 'wrong'; problem: string } {
  return {
    kind: 'wrong',
    problem: 'A schedule is "every 10s", "every 5m", "every 1h", a cron line such as "0 * * * *", or "manual".',
  }
}
