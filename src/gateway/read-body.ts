/** Reads a request body into memory, decompressed, up to a limit. */
import type { IncomingMessage } from 'node:http'
import { createGunzip } from 'node:zlib'
import { AppError } from '../base/errors.ts'

/** Counts the bytes of all bodies in memory, so that many slow or large requests cannot exhaust it. */
export interface InFlight {
  bytes: number
}

/** The body of `request`, after undoing gzip. Throws `body_too_large` (400) at the limit, without reading further, and
 *  `bad_request` for another encoding or broken gzip. The bytes stay counted in `inFlight` until the caller takes them off. */
export function readBody(request: IncomingMessage, bytesMax: number, inFlight: InFlight): Promise<Buffer> {
  const encoding = request.headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return collect(request, request, bytesMax, inFlight)
  if (encoding.toLowerCase() !== 'gzip') {
    return Promise.reject(
      new AppError('bad_request', 400, `Content-Encoding "${encoding}" is not supported; send gzip or nothing.`),
    )
  }
  // One chunk of output at a time: a bomb is stopped at the limit, never inflated whole.
  const gunzip = createGunzip({ chunkSize: 64 * 1024 })
  request.pipe(gunzip)
  return collect(gunzip, request, bytesMax, inFlight)
}

function collect(
  stream: NodeJS.ReadableStream,
  request: IncomingMessage,
  bytesMax: number,
  inFlight: InFlight,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    let isSettled = false
    const fail = (error: AppError) => {
      if (isSettled) return
      isSettled = true
      inFlight.bytes -= length
      request.unpipe()
      stream.removeAllListeners('data')
      // What still comes is read and thrown away by Node up to the answer; the connection is closed after it (server.ts).
      request.resume()
      reject(error)
    }
    stream.on('data', (chunk: Buffer) => {
      if (isSettled) return
      length += chunk.byteLength
      inFlight.bytes += chunk.byteLength
      if (length > bytesMax) return fail(bodyTooLarge())
      chunks.push(chunk)
    })
    stream.on('end', () => {
      if (isSettled) return
      isSettled = true
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length))
    })
    stream.on('error', () =>
      fail(new AppError('bad_request', 400, 'The body could not be read: it is not valid gzip, or it broke off.')),
    )
    request.on('close', () => {
      if (!request.complete) fail(new AppError('bad_request', 400, 'The body broke off.'))
    })
  })
}

function bodyTooLarge(): AppError {
  return new AppError('body_too_large', 400, 'Exceed payload limit', {
    hint: 'Send smaller batches: at most 500 KB a request.',
  })
}
