export {
  createDebugger,
  type DebuggerParts,
  type Followed,
  type FollowOptions,
  type FoundMessages,
  type Sampling,
  type SourceDebugger,
} from './debugger.ts'
export { type MessageFilter } from './message-filter.ts'
export { type KeptMessage, type Place } from './kept-message.ts'
export { libraryCall } from './library-call.ts'
