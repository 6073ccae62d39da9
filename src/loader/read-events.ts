/**
 * From frames of `events` to the part of a load that one source needs: rows, and the ledger as of the new cursor. One of these is
 * made for each source and chunk; what it counted is thrown away when the load fails.
 */
import type { Logger } from '../base/logger.ts'
import { eventFlags, eventKinds, isCall, type Decision, type Frame, type Gap } from '../journal/index.ts'
import { isLoadedTo, parseExactly, type Message } from '../protocol/index.ts'
import type { Flattener } from './flatten.ts'
import { copyLedger, countCode, countMissing, type Ledger } from './ledger.ts'
import { mayNeedScrub, scrub } from './scrub.ts'

/** Where one warehouse stands with one source in one partition of `events`. */
export interface SourceCursor {
  partition: number
  /** The next offset that this source still needs; everything before it is in the warehouse or not of this source. */
  offset: number
  /** The offset that the warehouse has, or where the source began when it has none yet. */
  committedOffset: number
  ledger: Ledger
  /** Why offsets since the last frame of the source are missing. */
  gap: Gap['reason'] | undefined
}

export interface SourceChunk {
  readonly cursor: SourceCursor
  /** Ledger as it will be once this is loaded. */
  readonly ledger: Ledger
  /** Frames of the source in this chunk, decisions included. */
  readonly frameCount: number
  gap: Gap['reason'] | undefined
  /** Takes a frame of the source. */
  add(frame: Frame): void
}

export interface ChunkOptions {
  cursor: SourceCursor
  flattener: Flattener
  /** Id and slug of the warehouse, as `integrations.Warehouses` names it. */
  names: readonly string[]
  log: Logger
}

export function createSourceChunk({ cursor, flattener, names, log }: ChunkOptions): SourceChunk {
  const ledger = copyLedger(cursor.ledger)
  const chunk = { cursor, ledger, frameCount: 0, gap: cursor.gap, add }

  function add(frame: Frame): void {
    chunk.frameCount += 1
    countMissing(ledger, frame, chunk.gap)
    chunk.gap = undefined
    if (frame.isDamaged) countCode(ledger.dropped, 'JOURNAL_CORRUPT')
    else if (isCall(frame.kind)) addCall(frame)
    else addDecision(frame, ledger)
  }

  function addCall(frame: Frame): void {
    let message: Message
    try {
      message = parseMessage(frame.body)
      if ((frame.flags & eventFlags.integrations) !== 0 && !isLoadedTo(message.integrations, names)) {
        countCode(ledger.dropped, 'FILTERED_BY_INTEGRATIONS_OBJECT')
        return
      }
      flattener.add(message)
    } catch (error) {
      // A message that we cannot handle is a bug of ours; it must not hold up those behind it.
      log.error({ err: error, source: frame.source, offset: frame.offset }, 'a message could not be flattened')
      countCode(ledger.discarded, 'INTERNAL')
      return
    }
    ledger.delivered += 1
  }

  return chunk
}

/** The message of a call frame, with exact numbers and without characters that no warehouse takes. */
export function parseMessage(body: Buffer): Message {
  const json = body.toString('utf8')
  // Written by the pipeline as a normalised message.
  const message = parseExactly(json) as Message
  return mayNeedScrub(json) ? scrub(message) : message
}

function addDecision(frame: Frame, ledger: Ledger): void {
  if (frame.kind === eventKinds.duplicate) {
    ledger.duplicate += 1
    return
  }
  // Written by the pipeline as a `Decision`.
  const { code } = JSON.parse(frame.body.toString('utf8')) as Decision
  countCode(frame.kind === eventKinds.rejected ? ledger.rejected : ledger.dropped, code)
}
