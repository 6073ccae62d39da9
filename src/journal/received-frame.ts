/** The body of a `received` frame: a small JSON head with what the door knows, then the request body exactly as it came
 *  (decompressed). Layout: uint16 length of the head, head, body. */
import { assert } from '../base/assert.ts'
import type { RejectedCode } from '../protocol/index.ts'

export interface ReceivedHead {
  /** Call implied by the route (`track`, ...), or `batch`. */
  route: 'identify' | 'track' | 'page' | 'screen' | 'group' | 'alias' | 'batch'
  /** Number of the workspace, for dedupe. */
  workspace: number
  /** Client address as the door understood it; present only when it should become `context.ip`. */
  ip?: string
  /** Client address of a server-side source: becomes `context.ip` only of messages with `context.direct: true`. */
  directIp?: string
  /** Present only when it should become `context.userAgent`. */
  userAgent?: string
  /** Code under which every message of this request is rejected although the answer was 200 (`source_disabled`, ...). */
  verdict?: RejectedCode
  /** Settings of the source and the deployment that change what a message becomes, as they were when it was received. */
  ipMode?: 'mask' | 'drop'
  idCoercion?: false
  messageBytesMax: number
  batchMessagesMax?: number
  /** Present when this is no request but an event that another source has blocked: the body is one message, made final there. */
  forwarded?: { messageId: string; flags: number }
}

export function encodeReceived(head: ReceivedHead, body: Uint8Array): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(head))
  assert(json.byteLength < 65536, 'the head of a received frame is smaller than 64 KiB')
  const start = Buffer.allocUnsafe(2 + json.byteLength)
  start.writeUInt16LE(json.byteLength, 0)
  json.copy(start, 2)
  return [start, body]
}

export function decodeReceived(frameBody: Buffer): { head: ReceivedHead; body: Buffer } {
  const length = frameBody.readUInt16LE(0)
  // Written by `encodeReceived` and protected by the frame's CRC, so the shape is known.
  const head = JSON.parse(frameBody.toString('utf8', 2, 2 + length)) as ReceivedHead
  return { head, body: frameBody.subarray(2 + length) }
}
