import { Counter, Gauge, Histogram, type Registry } from '../base/metrics.ts'
import type { AttemptResult } from './attempt.ts'
import type { Connection } from './connection.ts'
import { sum, waitingTotal } from './ledger.ts'

const circuitNumbers = { closed: 0, probing: 1, open: 2 }

/** Exports what delivery does. Returns what to call for each attempt. */
export function exportMetrics(
  registry: Registry,
  connections: () => Iterable<Connection>,
): (connection: number, result: AttemptResult, messages: number) => void {
  exportGauges(registry, connections)
  const attempts = new Counter({
    name: 'tributary_delivery_attempts_total',
    help: 'Requests by how they ended; a batch with several ends counts under its first.',
    labelNames: ['connection', 'ending', 'code'],
    registers: [registry],
  })
  const messagesSent = new Counter({
    name: 'tributary_delivery_attempted_messages_total',
    help: 'Messages in those requests.',
    labelNames: ['connection'],
    registers: [registry],
  })
  const latency = new Histogram({
    name: 'tributary_delivery_attempt_seconds',
    help: 'Time from the start of an attempt to its answer.',
    labelNames: ['connection'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  })
  return (connection, { endings, latencyMs }, messages) => {
    const ending = Array.isArray(endings) ? endings[0] : endings
    if (ending === undefined) return
    attempts.inc({ connection, ending: ending.kind, code: ending.kind === 'delivered' ? '' : ending.code })
    messagesSent.inc({ connection }, messages)
    latency.observe({ connection }, latencyMs / 1000)
  }
}

function exportGauges(registry: Registry, connections: () => Iterable<Connection>): void {
  const gauge = (name: string, help: string, value: (connection: Connection) => number) =>
    new Gauge({
      name: `tributary_delivery_${name}`,
      help,
      labelNames: ['connection'],
      registers: [registry],
      collect() {
        this.reset()
        for (const connection of connections()) this.set({ connection: connection.number }, value(connection))
      },
    })
  gauge('waiting', 'Messages that wait, in the journal, in hand or in the retry store.', (c) => waitingTotal(c.ledger))
  gauge('in_hand', 'Messages in memory; bound: 10,000 a connection.', (c) => c.inHand)
  gauge('retry_store', 'Messages in the retry store; bound: 10,000 a connection.', (c) => c.retryStoreSize)
  gauge('delivered', 'Messages delivered, ever.', (c) => c.ledger.delivered)
  gauge('discarded', 'Messages discarded, ever.', (c) => sum(c.ledger.discarded))
  gauge('in_flight', 'Attempts in flight; bound: concurrency.', (c) => c.lane?.inFlight ?? 0)
  gauge('concurrency', 'How many attempts may be in flight now.', (c) => c.lane?.concurrency ?? 0)
  gauge('circuit', '0 closed, 1 a probe is out, 2 open.', (c) => circuitNumbers[c.lane?.circuit ?? 'closed'])
}
