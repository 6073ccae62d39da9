import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { AppError, messageOf } from '../base/errors.ts'
import { createGateway } from '../gateway/index.ts'
import type { ProcessContext } from './process-context.ts'
import type { RunningRole } from './role.ts'
import { openSecrets } from './secrets.ts'
import type { StartOptions } from './start-options.ts'

interface Tls {
  /** PEM. */
  certificate: string
  /** PEM. */
  key: string
}

/** Throws `bad_option` for files that cannot be read, hold no PEM, or do not belong together. */
async function readTls({ certificatePath, keyPath }: NonNullable<StartOptions['tls']>): Promise<Tls> {
  try {
    const tls = { certificate: await readFile(certificatePath, 'utf8'), key: await readFile(keyPath, 'utf8') }
    createSecureContext({ cert: tls.certificate, key: tls.key })
    return tls
  } catch (error) {
    const problem = `TRIBUTARY_TLS_CERT and TRIBUTARY_TLS_KEY cannot be used: ${messageOf(error)}.`
    throw new AppError('bad_option', 400, problem, { cause: error })
  }
}

/** What the journal, snapshot and sockets of this process need, with much to spare: without a file the journal could not go on. */
const FILES_KEPT = 512

/** Connections that leave enough of the files that this process may open; undefined where the system does not say or sets no limit. */
async function connectionsMax(): Promise<number | undefined> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1])
  return files < 10_000 + FILES_KEPT ? Math.max(64, files - FILES_KEPT) : undefined
}

/** The door: no database, the configuration from the snapshot in memory. */
export async function startGateway(context: ProcessContext): Promise<RunningRole> {
  const { options, journal, snapshots, clock, random, log, metrics, paths } = context
  const tls = options.tls && (await readTls(options.tls))
  const connections = await connectionsMax()
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
    ...(connections === undefined ? {} : { connectionsMax: connections }),
    publicUrl: options.publicUrl,
    secrets: openSecrets(paths, { mayCreate: false }),
    newId: context.newId,
    controlSocketPath: paths.socketOf('http'),
  })
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    handlers: { status: async () => ({ totals: gateway.totals() }) },
    address: `${tls === undefined ? 'http' : 'https'}://${host}:${gateway.port}`,
    stop: () => gateway.stop(),
  }
}
