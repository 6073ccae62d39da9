/** The accounting rules of the design (§3), checked over what `status --json` prints. */
import assert from 'node:assert/strict'

type Codes = Record<string, number>

export interface SourceStatus {
  received: number
  rejected: Codes
  duplicate: number
  dropped: Codes
  processed: number
  waiting: number
}

export interface ConnectionStatus {
  source: string
  destination?: string
  warehouse?: string
  mode?: 'device'
  received: number
  rejected: Codes
  duplicate: number
  dropped: Codes
  delivered: number
  discarded: Codes
  waiting: number
  deadLetters: number
  oldestWaitingSeconds: number
}

export interface Status {
  sources: Record<string, SourceStatus>
  connections: ConnectionStatus[]
}

const sum = (codes: Codes) => Object.values(codes).reduce((total, count) => total + count, 0)

/** Every message is accounted for: the sums of each source and connection hold. */
export function assertBalanced(status: Status): void {
  for (const [slug, source] of Object.entries(status.sources)) {
    const { received, rejected, duplicate, dropped, processed, waiting } = source
    assert.equal(
      received,
      sum(rejected) + duplicate + sum(dropped) + processed + waiting,
      `source ${slug}: ${JSON.stringify(source)}`,
    )
  }
  for (const connection of status.connections) {
    const { received, rejected, duplicate, dropped, delivered, discarded, waiting } = connection
    const total = sum(rejected) + duplicate + sum(dropped) + delivered + sum(discarded) + waiting
    assert.equal(received, total, `connection ${JSON.stringify(connection)}`)
  }
}
