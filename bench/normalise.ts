/** What one message costs between the bytes of a request and its stored JSON: parse, split, validate, normalise, print. */
import { normaliseMessage, parseBody, splitBody, type Route } from '../src/protocol/index.ts'
import { isShort, median, report } from './report.ts'
import { sampleEvent } from './sample-event.ts'

const BUDGET_MICROSECONDS = 12

const rounds = isShort ? 2 : 7
const messagesPerRound = isShort ? 2_000 : 40_000

const batchOf = (count: number): object => ({
  batch: Array.from({ length: count }, (_, i) => sampleEvent(i)),
  sentAt: '2026-03-01T09:00:05.000Z',
  context: { library: { name: 'bench', version: '1.0.0' } },
})
const withLongNumber = (): object => ({ ...sampleEvent(1), userId: '#' })

report('Normalise', [
  row('one event per request', 'track', JSON.stringify(sampleEvent(1)), 1),
  row('20 events per request', 'batch', JSON.stringify(batchOf(20)), 20),
  row('100 events per request', 'batch', JSON.stringify(batchOf(100)), 100),
  row(
    'one event with a number beyond 2^53',
    'track',
    JSON.stringify(withLongNumber()).replace('"#"', '9007199254740993'),
    1,
  ),
])

function row(what: string, route: Route, text: string, messages: number): Parameters<typeof report>[1][number] {
  const bytes = Buffer.from(text)
  const requests = Math.ceil(messagesPerRound / messages)
  const ours = measure(requests * messages, requests, () => normaliseAll(bytes, route))
  const plain = measure(requests * messages, requests, () => void JSON.parse(bytes.toString()))
  const isExact = what.includes('2^53')
  return {
    what: `${what}, ${Math.round(bytes.byteLength / messages)} bytes each`,
    result: `${ours.toFixed(1)} µs`,
    budget: isExact ? '' : `≤ ${BUDGET_MICROSECONDS} µs`,
    isMet: isExact || ours <= BUDGET_MICROSECONDS,
    note: `JSON.parse alone ${plain.toFixed(1)} µs`,
  }
}

function normaliseAll(bytes: Buffer, route: Route): void {
  for (const item of splitBody(parseBody(bytes), { route, messageBytesMax: 32_768 })) {
    const result = normaliseMessage(item, { receivedAtMs: 1_772_355_605_000, newMessageId: () => 'api-made' })
    if (result.kind !== 'call') throw new Error(`The sample was rejected: ${result.code}`)
  }
}

/** Microseconds per message, median of the rounds. */
function measure(messages: number, requests: number, once: () => void): number {
  const results = Array.from({ length: rounds + 1 }, () => {
    const start = performance.now()
    for (let i = 0; i < requests; i += 1) once()
    return ((performance.now() - start) * 1000) / messages
  })
  // The first round warms up the compiler.
  return median(results.slice(1))
}
