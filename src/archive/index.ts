export { createRawLog, type RawLog, type RawLogParts } from './raw-log.ts'
export { createArchiveRunner, type ArchiveRunner, type ArchiveRunnerParts, type ArchiveSettings } from './runner.ts'
