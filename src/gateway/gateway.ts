import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { KeyRing } from '../base/secrets.ts'
import type { Registry } from '../base/metrics.ts'
import { Gauge } from '../base/metrics.ts'
import type { Journal } from '../journal/index.ts'
import type { SnapshotSource } from '../snapshot/index.ts'
import type { Door } from './accept.ts'
import { addressSet, type AddressSet } from './client-address.ts'
import { createGatewayCounters } from './counters.ts'
import { createAccessTokens } from './oauth/access-token.ts'
import { createOAuthApps } from './oauth/apps.ts'
import { createAssertionVerifier } from './oauth/assertion.ts'
import { createTokenCheck } from './oauth/require-token.ts'
import type { TokenEndpointParts } from './oauth/token-endpoint.ts'
import { parsePublicUrl, publicAddressFor } from './public-address.ts'
import { createRateLimiter } from './rate-limit.ts'
import { createInFlight } from './read-body.ts'
import { openReceivedTopic } from './received-topic.ts'
import { listen, type ListenOptions } from './server.ts'
import { createSourceDirectory } from './source-directory.ts'
import { createWebPages } from './web-pages.ts'

export interface GatewayOptions extends ListenOptions {
  /** `TRIBUTARY_PUBLIC_URL`: where clients reach this door; absent: each request's own host. */
  publicUrl?: string | undefined
  journal: Journal
  snapshots: SnapshotSource
  clock: Clock
  random: () => number
  log: Logger
  metrics: Registry
  /** The partition of `received` that this process alone writes. */
  partition: number
  /** Of which the keys of access tokens are made. */
  secrets: KeyRing
  /** A random id. */
  newId: () => string
  /** How far a consumer has read the partition: no offset below is given out again. */
  nextOffsetAtLeast: number
}

export interface Gateway {
  readonly port: number
  /** Messages accepted per source number, ever, by this partition. */
  totals(): Record<string, number>
  stop(): Promise<void>
}

/** Opens the door: recovers its partition of `received`, then listens. */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const received = await openReceivedTopic(options.journal, options.partition, options.nextOffsetAtLeast)
  const sources = createSourceDirectory(options.snapshots)
  const tokens = createAccessTokens(options.secrets, options.newId)
  const apps = createOAuthApps(options.snapshots)
  const counters = createGatewayCounters(options.metrics)
  const { clock } = options
  const door: Door = {
    received,
    sources,
    limiter: createRateLimiter(options.clock),
    counters,
    inFlight: createInFlight(),
    clock: options.clock,
    random: options.random,
    isTrustedProxy: trustedProxies(options.snapshots),
    checkToken: createTokenCheck({ tokens, clock, apps }),
  }
  exportGauges(options.metrics, door)
  const addresses = {
    publicAddress: options.publicUrl === undefined ? undefined : parsePublicUrl(options.publicUrl),
    isTls: options.tls !== undefined,
    isTrustedProxy: door.isTrustedProxy,
  }
  const pages = createWebPages(sources, options.snapshots, addresses)
  const tokenEndpoint: TokenEndpointParts = {
    tokens,
    assertions: createAssertionVerifier({ clock, apps }),
    clock,
    inFlight: door.inFlight,
    inFlightBytesMax: () => sources.snapshot.settings.limits.inFlightBytesMax,
    addressOf(request) {
      const address = publicAddressFor(request, addresses)
      return address && `${address.protocol}://${address.host}`
    },
    count: (result) => counters.tokenAnswered(result),
  }
  const server = await listen(door, pages, tokenEndpoint, options, options.log)
  return {
    port: server.port,
    totals: () => received.totals(),
    async stop() {
      await server.stop()
      await received.close()
      pages.close()
      apps.close()
      sources.close()
    },
  }
}

function trustedProxies(snapshots: SnapshotSource): AddressSet {
  let isTrusted = addressSet(snapshots.current.settings.ingest.trustedProxies)
  snapshots.onChange((snapshot) => {
    isTrusted = addressSet(snapshot.settings.ingest.trustedProxies)
  })
  return (address) => isTrusted(address)
}

function exportGauges(registry: Registry, door: Door): void {
  new Gauge({
    name: 'tributary_gateway_in_flight_bytes',
    help: 'Bytes of request bodies in memory; bound: limits.inFlightBytesMax.',
    registers: [registry],
    collect() {
      this.set(door.inFlight.bytes)
    },
  })
  new Gauge({
    name: 'tributary_gateway_is_writable',
    help: '1 while the journal takes messages, 0 while ingest answers 503.',
    registers: [registry],
    collect() {
      this.set(door.received.isWritable ? 1 : 0)
    },
  })
}
