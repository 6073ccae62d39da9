/** When a warehouse is synced: `every 10s`, `every 1m`, `every 1h`, a cron line, or `manual`. */
import { Cron } from 'croner'
import { AppError } from '../base/errors.ts'

export interface Schedule {
  /** When the next run is due, in milliseconds; undefined for never. A run that is overdue is due at once. */
  nextMs(lastStartMs: number, nowMs: number): number | undefined
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 } as const

/** Loading more often than this costs more than it brings (contract: warehouses.md §7). */
const INTERVAL_MS_MIN = 10_000

/** Reads a schedule. Throws `bad_schedule`, whose message is for the person who wrote it. */
export function parseSchedule(text: string): Schedule {
  const line = text.trim()
  if (line === 'manual') return { nextMs: () => undefined }
  const every = /^every (\d{1,6}) ?([smh])$/.exec(line)
  // The pattern allows these three units only.
  if (every !== null) return everySchedule(Number(every[1]) * unitMs[every[2] as keyof typeof unitMs])
  return cronSchedule(line)
}

function everySchedule(intervalMs: number): Schedule {
  if (intervalMs < INTERVAL_MS_MIN)
    throw new AppError('bad_schedule', 400, 'A warehouse is loaded every 10 seconds at most.')
  return { nextMs: (lastStartMs, nowMs) => Math.max(nowMs, lastStartMs + intervalMs) }
}

function cronSchedule(line: string): Schedule {
  const cron = readCron(line)
  if (cron.nextRun() === null) throw new AppError('bad_schedule', 400, 'The cron line never comes due.')
  return { nextMs: (_, nowMs) => cron.nextRun(new Date(nowMs))?.getTime() }
}

function readCron(line: string): Cron {
  try {
    // In UTC, as everything else; without a function it never sets a timer.
    return new Cron(line, { timezone: 'UTC', mode: '5-part' })
  } catch (cause) {
    const message = 'A schedule is "every 10s", "every 5m", "every 1h", a cron line such as "0 * * * *", or "manual".'
    throw new AppError('bad_schedule', 400, message, { cause })
  }
}
