/** When a warehouse is synced: `every 10s`, `every 1m`, `every 1h`, a cron line, or `manual`. */
import { Cron } from 'croner'
import { AppError } from '../base/errors.ts'

export interface Schedule {
  /** When the next run is due, in milliseconds; undefined for never. A run that is overdue is due at once. */
  nextMs(lastStartMs: number, nowMs: number): number | undefined
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 } as const

/** Shortest interval of any warehouse (contract: warehouses.md §7). */
export const INTERVAL_MS_MIN = 10_000

/** Reads a schedule. Throws `bad_schedule`. */
export function parseSchedule(text: string): Schedule {
  const line = text.trim()
  if (line === 'manual') return { nextMs: () => undefined }
  const every = /^every (\d{1,6}) ?([smh])$/.exec(line)
  // The pattern allows these three units only.
  if (every !== null) return everySchedule(Number(every[1]) * unitMs[every[2] as keyof typeof unitMs], line)
  return cronSchedule(line)
}

function everySchedule(intervalMs: number, line: string): Schedule {
  if (intervalMs < INTERVAL_MS_MIN) {
    throw new AppError('bad_schedule', 400, `The schedule "${line}" is too often: at least 10s.`)
  }
  return { nextMs: (lastStartMs, nowMs) => Math.max(nowMs, lastStartMs + intervalMs) }
}

function cronSchedule(line: string): Schedule {
  try {
    // In UTC, as everything else; without a function it never sets a timer.
    const cron = new Cron(line, { timezone: 'UTC', mode: '5-part' })
    return { nextMs: (_, nowMs) => cron.nextRun(new Date(nowMs))?.getTime() }
  } catch (error) {
    throw new AppError(
      'bad_schedule',
      400,
      `The schedule "${line}" is neither "every 10s|1m|1h", "manual" nor a cron line.`,
      {
        cause: error,
      },
    )
  }
}
