import { destination, pino, type Logger } from 'pino'

export type { Logger }

/** JSON lines on stderr, so that stdout keeps to what people and scripts read (the ready line, first-start output).
 *  `TRIBUTARY_LOG` sets the level: trace, debug, info (default), warn, error, silent. */
export function createLogger(role: string): Logger {
  return pino(
    {
      level: process.env['TRIBUTARY_LOG'] ?? 'info',
      base: { role, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination({ fd: 2, sync: true }),
  )
}

/** Says nothing; for tests and tools. */
export const silentLogger: Logger = pino({ level: 'silent' })
