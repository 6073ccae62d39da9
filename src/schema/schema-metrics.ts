import { Counter, Gauge, type Registry } from '../base/metrics.ts'
import type { FoldState } from './fold.ts'

export interface SchemaMetrics {
  counted(frames: number): void
  lost(frames: number): void
  flushed(seconds: number): void
}

export interface MeasuredSchema {
  /** Frames of `events` that are not counted yet. */
  waiting(): Promise<number>
  lagSeconds(): number
  state(): FoldState
}

/** What the schema view does and what it takes. */
export function createSchemaMetrics(registry: Registry, measured: MeasuredSchema): SchemaMetrics {
  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        this.set(await read())
      },
    })
  }
  gauge('tributary_schema_waiting_messages', 'Messages that are not in the schema yet.', () => measured.waiting())
  gauge(
    'tributary_schema_lag_seconds',
    'Time since the newest message in the schema was received; 0 when none waits.',
    async () => ((await measured.waiting()) === 0 ? 0 : measured.lagSeconds()),
  )
  gauge(
    'tributary_schema_shapes',
    'Different messages that are told apart in memory (at most 40,000).',
    () => measured.state().shapes,
  )
  gauge(
    'tributary_schema_references',
    'Names that these refer to in memory, together (at most 1,000,000).',
    () => measured.state().references,
  )
  gauge(
    'tributary_schema_name_bytes',
    'Estimate of what the names in memory take (at most 48 MiB).',
    () => measured.state().nameBytes,
  )
  const messages = new Counter({
    name: 'tributary_schema_messages_total',
    help: 'Messages and decisions read for the schema.',
    registers: [registry],
  })
  const lost = new Counter({
    name: 'tributary_schema_lost_messages_total',
    help: 'Messages that the schema lacks because the journal has lost them (damage, or retention without an archive).',
    registers: [registry],
  })
  const flushes = new Counter({
    name: 'tributary_schema_flushes_total',
    help: 'Writes of the schema to its database.',
    registers: [registry],
  })
  const flushSeconds = new Counter({
    name: 'tributary_schema_flush_seconds_total',
    help: 'Time that these took.',
    registers: [registry],
  })
  return {
    counted: (frames) => messages.inc(frames),
    lost: (frames) => lost.inc(frames),
    flushed(seconds) {
      flushes.inc()
      flushSeconds.inc(seconds)
    },
  }
}
