import type { LocalHandlers } from '../base/local-socket.ts'

/** A running process of the installation: what it answers to the others, what it tells its parent, how it stops. */
export interface RunningRole {
  /** Methods on `<data>/run/<role>.sock`. */
  handlers: LocalHandlers
  /** Lines that people should read at the start. */
  lines?: string[]
  /** Where it takes traffic. */
  address?: string
  /** Finishes what is in flight and closes its files, within a few seconds. */
  stop(): Promise<void>
}
