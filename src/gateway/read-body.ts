/** Reads a request body into memory, decompressed, up to a limit. */
import type { IncomingMessage } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { Clock } from '../base/clock.ts'
import { AppError } from '../base/errors.ts'

/** The bytes of all bodies in memory, so that many slow or large requests cannot exhaust it. */
export interface InFlight {
  bytes: number
  /** Of these, of bodies that did not come at once and are not complete. */
  comingBytes: number
  /** Those bodies, oldest first. */
  readonly coming: Set<ComingBody>
}

/** A body of which a part has come. */
export interface ComingBody {
  sinceMs: number
  giveUp(error: AppError): void
}

export interface ReadLimits {
  /** Of one body, decompressed. */
  bytesMax: number
  /** Of all bodies in memory. */
  inFlightBytesMax: number
}

export function createInFlight(): InFlight {
  return { bytes: 0, comingBytes: 0, coming: new Set() }
}

/** The length of the body as its header says, before decompression; 0 when it does not. */
export function announcedBytes({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? 0)
}

/** What gzip may add to bytes that it cannot make smaller. */
const GZIP_OVERHEAD_BYTES = 4096

/** The body of `request`, after undoing gzip. Throws `body_too_large` (400) at the limit, without reading further, `bad_request`
 *  for another encoding or broken gzip, and `unavailable` (503) when there is no room. The bytes stay counted in `inFlight` until
 *  the caller takes them off. */
export function readBody(
  request: IncomingMessage,
  limits: ReadLimits,
  inFlight: InFlight,
  clock: Clock,
): Promise<Buffer> {
  const encoding = request.headers['content-encoding']
  if (encoding === undefined) return collect(request, limits, inFlight, clock)
  switch (encoding.toLowerCase()) {
    case '':
    case 'identity':
      return collect(request, limits, inFlight, clock)
    case 'gzip':
    case 'x-gzip':
      return readGzip(request, limits, inFlight, clock)
    default:
      return Promise.reject(
        new AppError('bad_request', 400, `Content-Encoding "${encoding}" is not supported; send gzip or nothing.`),
      )
  }
}

// Inflated when all of it is there: a stream would hold its window and buffers for as long as a slow client likes.
async function readGzip(
  request: IncomingMessage,
  limits: ReadLimits,
  inFlight: InFlight,
  clock: Clock,
): Promise<Buffer> {
  const packed = await collect(request, { ...limits, bytesMax: limits.bytesMax + GZIP_OVERHEAD_BYTES }, inFlight, clock)
  inFlight.bytes -= packed.byteLength
  const body = inflate(packed, limits.bytesMax)
  inFlight.bytes += body.byteLength
  return body
}

function inflate(packed: Buffer, bytesMax: number): Buffer {
  try {
    // A bomb is stopped at the limit, never inflated whole. At most a millisecond or two, as for parsing that many bytes.
    return gunzipSync(packed, { maxOutputLength: bytesMax })
  } catch (error) {
    // Node's own errors carry a code.
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw bodyTooLarge()
    throw new AppError('bad_request', 400, 'The body is not valid gzip, or it broke off.')
  }
}

function collect(
  request: IncomingMessage,
  { bytesMax, inFlightBytesMax }: ReadLimits,
  inFlight: InFlight,
  clock: Clock,
): Promise<Buffer> {
  // It will never be right, so nobody need wait for it, or be told to come again.
  if (announcedBytes(request) > bytesMax) return Promise.reject(bodyTooLarge())
  return new Promise((resolve, reject) => {
    const pieces = new Pieces()
    let isSettled = false
    let coming: ComingBody | undefined
    const settle = () => {
      isSettled = true
      if (coming === undefined) return
      inFlight.coming.delete(coming)
      inFlight.comingBytes -= pieces.length
    }
    const fail = (error: AppError) => {
      if (isSettled) return
      settle()
      inFlight.bytes -= pieces.length
      pieces.clear()
      // What still comes is thrown away; the connection is closed after the answer (answers.ts).
      request.resume()
      reject(error)
    }
    request.on('data', (chunk: Buffer) => {
      if (isSettled) return
      pieces.add(chunk)
      inFlight.bytes += chunk.byteLength
      if (coming !== undefined) inFlight.comingBytes += chunk.byteLength
      if (pieces.length > bytesMax) return fail(bodyTooLarge())
      // Nearly every body is one chunk, and complete when it is seen.
      if (request.complete) return
      if (coming === undefined) {
        inFlight.coming.add((coming = { sinceMs: clock.now(), giveUp: fail }))
        inFlight.comingBytes += pieces.length
      }
      if (!makeRoom(inFlight, inFlightBytesMax, inFlightBytesMax / 2, clock)) fail(noRoom())
    })
    request.on('end', () => {
      if (isSettled) return
      settle()
      resolve(pieces.whole())
    })
    request.on('error', () => fail(brokeOff()))
    request.on('close', () => {
      if (!request.complete) fail(brokeOff())
    })
  })
}

/** How long a body may take before it has to give way to others when memory is short. */
const SLOW_AFTER_MS = 5_000

/** Gives up slow bodies, the oldest first, until both limits are kept; false when that is not enough. Those that are still coming may
 *  have half of the memory only: without this some hundred clients that never finish would keep everybody else out. */
export function makeRoom(inFlight: InFlight, bytesMax: number, comingBytesMax: number, clock: Clock): boolean {
  const isKept = () => inFlight.bytes <= bytesMax && inFlight.comingBytes <= comingBytesMax
  if (isKept()) return true
  const slowSinceMs = clock.now() - SLOW_AFTER_MS
  for (const body of inFlight.coming) {
    if (isKept() || body.sinceMs > slowSinceMs) break
    body.giveUp(noRoom())
  }
  return isKept()
}

/** More pieces than this are small ones: a client that sends byte by byte. */
const PIECES_MAX = 64

/** A body in the pieces in which it came. Each piece costs some hundred bytes beside its own, so many small ones are put together. */
class Pieces {
  length = 0
  #pieces: Buffer[] = []
  /** Holds the first `#filled` bytes, once there were too many pieces. */
  #store: Buffer | undefined
  #filled = 0

  add(piece: Buffer): void {
    this.length += piece.byteLength
    this.#pieces.push(piece)
    if (this.#pieces.length === PIECES_MAX) this.#gather()
  }

  whole(): Buffer {
    if (this.#store === undefined) {
      return this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.length)
    }
    this.#gather()
    return this.#store.subarray(0, this.length)
  }

  clear(): void {
    this.#pieces = []
    this.#store = undefined
  }

  #gather(): void {
    if (this.#store === undefined || this.#store.byteLength < this.length) {
      // Twice as long each time, so that each byte is copied about twice.
      const grown = Buffer.allocUnsafeSlow(this.length * 2)
      this.#store?.copy(grown, 0, 0, this.#filled)
      this.#store = grown
    }
    for (const piece of this.#pieces) this.#filled += piece.copy(this.#store, this.#filled)
    this.#pieces = []
  }
}

function bodyTooLarge(): AppError {
  return new AppError('body_too_large', 400, 'Exceed payload limit', {
    hint: 'Send smaller batches: at most 500 KB a request.',
  })
}

function brokeOff(): AppError {
  return new AppError('bad_request', 400, 'The body broke off.')
}

/** What is answered when too many bodies are in memory. */
export function noRoom(): AppError {
  return new AppError('unavailable', 503, 'Too many requests are being processed.')
}
