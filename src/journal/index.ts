export {
  JournalUnavailable,
  topics,
  type Frame,
  type FrameInput,
  type Gap,
  type Journal,
  type OpenedWriter,
  type OpenWriterOptions,
  type PartitionWriter,
  type Reader,
  type Segment,
  type Topic,
} from './journal.ts'
export {
  eventFlags,
  eventKinds,
  isCall,
  outcomeKinds,
  receivedKinds,
  type Decision,
  type Forwarding,
} from './frame-kinds.ts'
export { decodeReceived, encodeReceived, type ReceivedHead } from './received-frame.ts'
export { openJournal, type JournalOptions } from './segments/open-journal.ts'
export { prepareJournal, renewJournalId } from './segments/journal-identity.ts'
export { coldDirectory, listColdSegments, readColdLastTimeMs, type ColdSegment } from './cold/cold-store.ts'
export { writeColdSegment } from './cold/write-cold-segment.ts'
