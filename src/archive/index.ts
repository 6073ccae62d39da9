export { createArchiveRunner, type ArchiveRunner, type ArchiveRunnerParts, type ArchiveSettings } from './runner.ts'
