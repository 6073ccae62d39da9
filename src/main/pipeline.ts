import { join } from 'node:path'
import { createMessageId } from '../protocol/index.ts'
import {
  createPipeline,
  createPipelineMetrics,
  openDedupeStore,
  openIdFiles,
  receivedTotals,
  recount,
  type Pipeline,
} from '../pipeline/index.ts'
import type { LocalHandlers } from '../base/local-socket.ts'
import type { Journal } from '../journal/index.ts'
import type { ProcessContext } from './process-context.ts'
import type { RunningRole } from './role.ts'

const EVENTS_PARTITION = 0

export async function startPipeline(context: ProcessContext): Promise<RunningRole> {
  const pipeline = await openPipeline(context, (error) => {
    throw error
  })
  await pipeline.start()
  return { handlers: pipelineHandlers(pipeline, context.journal), stop: () => pipeline.stop() }
}

export async function openPipeline(context: ProcessContext, onFailure: (error: Error) => void): Promise<Pipeline> {
  const { journal, clock, log, metrics, fileSystem, paths, snapshots, random } = context
  return createPipeline({
    journal,
    dedupe: await openDedupeStore({
      directory: join(paths.dedupe, String(EVENTS_PARTITION)),
      journalId: journal.id,
      windowDays: () => snapshots.current.settings.dedupe.windowDays,
      clock,
      log,
      onFailure,
    }),
    idFiles: await openIdFiles(fileSystem, join(paths.ids, String(EVENTS_PARTITION))),
    clock,
    newMessageId: () => createMessageId(clock.now(), random),
    log,
    metrics: createPipelineMetrics(metrics, () => clock.now()),
    eventsPartition: EVENTS_PARTITION,
    snapshots,
    onFailure,
  })
}

export function pipelineHandlers(pipeline: Pipeline, journal: Journal): LocalHandlers {
  return {
    status: async () => pipeline.status(),
    receivedTotals: () => receivedTotals(journal),
    trace: (params) => {
      const { workspace, messageId } = params as { workspace: number; messageId: string }
      return pipeline.trace(workspace, messageId)
    },
    recount: () => recount(journal, EVENTS_PARTITION, pipeline.status()),
  }
}
