import { readFile } from 'node:fs/promises'
import { createGateway } from '../gateway/index.ts'
import type { ProcessContext } from './process-context.ts'
import type { RunningRole } from './role.ts'

/** The door: no database, the configuration from the snapshot in memory. */
export async function startGateway(context: ProcessContext): Promise<RunningRole> {
  const { options, journal, snapshots, clock, random, log, metrics, paths } = context
  const tls = options.tls && {
    certificate: await readFile(options.tls.certificatePath, 'utf8'),
    key: await readFile(options.tls.keyPath, 'utf8'),
  }
  const gateway = await createGateway({
    journal,
    snapshots,
    clock,
    random,
    log,
    metrics,
    partition: 0,
    nextOffsetAtLeast: 0,
    host: options.host,
    port: options.port,
    ...(tls === undefined ? {} : { tls }),
    publicUrl: options.publicUrl,
    controlSocketPath: paths.socketOf('http'),
  })
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    handlers: { status: async () => ({ totals: gateway.totals() }) },
    address: `${tls === undefined ? 'http' : 'https'}://${host}:${gateway.port}`,
    stop: () => gateway.stop(),
  }
}
