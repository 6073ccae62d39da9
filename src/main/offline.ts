/** The same answers as from a running server, for a data directory on which none runs. The caller holds its lock. */
import { createControlHandlers } from '../api/index.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import { createLogger } from '../base/logger.ts'
import { controlParts, openControl } from './control.ts'
import { deliveryHandlers, openDelivery } from './delivery.ts'
import { loaderHandlers, openLoader } from './loader.ts'
import { openPipeline, pipelineHandlers } from './pipeline.ts'
import { pathsOf } from './paths.ts'
import { openProcessContext } from './process-context.ts'
import { inProcessLine, rolesOver } from './roles.ts'
import { readStartOptions } from './start-options.ts'

export interface Offline {
  handlers: LocalHandlers
  close(): Promise<void>
}

/** Opens the rooms without listening, sending or loading on a schedule. What was accepted and not yet decided is decided. */
export async function openOffline(environment: NodeJS.ProcessEnv): Promise<Offline> {
  const fail = (error: unknown): never => {
    throw error
  }
  const options = readStartOptions(environment)
  const paths = pathsOf(options.dataDirectory)
  const { store, journal } = await openControl(paths, createLogger('offline'), fail)
  await store.publish(paths.snapshot)
  const context = await openProcessContext('offline', options, fail)
  const pipeline = await openPipeline(context, fail)
  await pipeline.start()
  const { delivery, close: closeDelivery } = await openDelivery(context, fail)
  await delivery.open()
  const loader = await openLoader(context)
  const line = inProcessLine({
    pipeline: pipelineHandlers(pipeline, context.journal),
    delivery: deliveryHandlers(delivery),
    loader: loaderHandlers(loader),
  })
  const roles = rolesOver(line, async () => '')
  return {
    handlers: createControlHandlers(
      controlParts({ store, roles: { ...roles, alive: async () => ({}) }, paths, options }),
    ),
    async close() {
      await loader.stop()
      await delivery.stop()
      await closeDelivery()
      await pipeline.stop()
      await context.journal.close()
      context.snapshots.close()
      await journal.close()
      await store.close()
    },
  }
}
