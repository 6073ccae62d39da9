import { Counter, type Registry } from '../base/metrics.ts'

/** What this door did, for the metrics page. The exact accounting per source is in the journal. */
export interface GatewayCounters {
  accepted(messages: number, bytes: number): void
  refused(code: string): void
  /** An accepted request that the client says it sent before (`X-Retry-Count`). */
  retried(): void
  /** A connection that was closed because there were too many. */
  dropped(): void
  /** An answer of the OAuth token endpoint. */
  tokenAnswered(result: string): void
}

export function createGatewayCounters(registry: Registry): GatewayCounters {
  const messages = new Counter({
    name: 'tributary_gateway_messages_total',
    help: 'Messages accepted (durable).',
    registers: [registry],
  })
  const requests = new Counter({
    name: 'tributary_gateway_requests_total',
    help: 'Requests accepted.',
    registers: [registry],
  })
  const bytes = new Counter({
    name: 'tributary_gateway_body_bytes_total',
    help: 'Bytes of accepted bodies, decompressed.',
    registers: [registry],
  })
  const refused = new Counter({
    name: 'tributary_gateway_refused_total',
    help: 'Requests refused, by error code.',
    labelNames: ['code'],
    registers: [registry],
  })
  const retried = new Counter({
    name: 'tributary_gateway_retried_requests_total',
    help: 'Requests accepted that clients sent again, by their X-Retry-Count.',
    registers: [registry],
  })
  const dropped = new Counter({
    name: 'tributary_gateway_dropped_connections_total',
    help: 'Connections closed at once because there were too many.',
    registers: [registry],
  })
  const tokens = new Counter({
    name: 'tributary_gateway_oauth_tokens_total',
    help: 'Requests for OAuth access tokens, by result: issued, or the error.',
    labelNames: ['result'],
    registers: [registry],
  })
  return {
    accepted(count, bodyBytes) {
      messages.inc(count)
      requests.inc()
      bytes.inc(bodyBytes)
    },
    dropped: () => dropped.inc(),
    retried: () => retried.inc(),
    refused: (code) => refused.inc({ code }),
    tokenAnswered: (result) => tokens.inc({ result }),
  }
}
