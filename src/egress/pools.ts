/** Connections, kept alive and shared by the requests of one lane to one origin. */
import { buildConnector, Pool } from 'undici'
import type { AddressPolicy } from './address-policy.ts'
import { guardLookup, type ResolveHost } from './lookup.ts'

export interface PoolLimits {
  /** Connections of one lane to one origin. */
  connectionsMax: number
  /** Pools in all; the oldest makes room, after its requests have ended. */
  poolsMax: number
  connectTimeoutMs: number
}

export const defaultPoolLimits: PoolLimits = {
  // Above the highest adaptive concurrency of a connection (100), so that no request waits here while its time runs.
  connectionsMax: 128,
  poolsMax: 2000,
  connectTimeoutMs: 10_000,
}

const HEADER_BYTES_MAX = 16 * 1024
/** When the server does not say how long it keeps an idle connection; shorter than the 5 s of Node's own servers. */
const KEEP_ALIVE_MS = 4_000
const KEEP_ALIVE_MAX_MS = 60_000

export interface Pools {
  get(origin: string, lane: string | number | undefined): Pool
  readonly size: number
  /** Takes no more requests; resolves when those that were begun have ended. */
  close(): Promise<void>
  /** Drops every connection, those still being made too. */
  destroy(): Promise<void>
}

export interface PoolsParts {
  policy: AddressPolicy
  resolve: ResolveHost
  /** PEM of the certificate authorities to trust, and no others; absent: Node's. */
  ca: string | undefined
  limits: PoolLimits
}

export function createPools({ policy, resolve, ca, limits }: PoolsParts): Pools {
  const pools = new Map<string, Pool>()
  const closing = new Map<Pool, Promise<void>>()
  const connect = buildConnector({
    lookup: guardLookup(resolve, policy),
    timeout: limits.connectTimeoutMs,
    // Node's default, said again because NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    rejectUnauthorized: true,
    // One request a connection: HTTP/2 would put all of a lane behind one socket.
    allowH2: false,
    ...(ca === undefined ? {} : { ca }),
  })

  function retire(key: string, pool: Pool): void {
    pools.delete(key)
    closing.set(
      pool,
      pool.close().finally(() => closing.delete(pool)),
    )
  }

  function open(origin: string): Pool {
    return new Pool(origin, {
      connect,
      connections: limits.connectionsMax,
      pipelining: 1,
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      // The deadline of the whole request covers both.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  return {
    get(origin, lane) {
      const key = lane === undefined ? origin : `${lane} ${origin}`
      const known = pools.get(key)
      if (known) return known
      // A map keeps the order of insertion. Noting each use would cost every request; a pool that is missed is made anew.
      for (const [oldest, pool] of pools) {
        if (pools.size < limits.poolsMax) break
        retire(oldest, pool)
      }
      const pool = open(origin)
      pools.set(key, pool)
      return pool
    },
    get size() {
      return pools.size
    },
    async close() {
      for (const [key, pool] of pools) retire(key, pool)
      await Promise.all(closing.values())
    },
    async destroy() {
      await Promise.all([...pools.values(), ...closing.keys()].map((pool) => pool.destroy()))
    },
  }
}
