/** The pixel: a message in the address of an image, for e-mails and pages without scripts (contract: ingest.md §6). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../base/errors.ts'
import { encodeReceived } from '../journal/index.ts'
import { checkShape, parseJson, type Call } from '../protocol/index.ts'
import { authenticate, headOf, limitRate, refusalOf, refuseWhenFull, unavailable, type Door } from './accept.ts'

/** One transparent pixel. */
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

/** Takes the message and answers 200 with an image, whatever becomes of it: nobody could read another answer. What was refused is
 *  counted. `call` is undefined for a path that names none. Rejects on what nobody foresaw only. */
export async function acceptPixel(
  door: Door,
  call: Call | undefined,
  isStopping: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    if (isStopping) throw unavailable('The server is stopping.')
    // Who only asks whether the image is there, as link checkers do, has not seen it.
    if (request.method === 'GET') await take(door, call, request)
  } catch (error) {
    door.counters.refused(refusalOf(error).code)
  } finally {
    answerGif(request, response)
  }
}

async function take(door: Door, call: Call | undefined, request: IncomingMessage): Promise<void> {
  if (call === undefined) throw new AppError('not_found', 404, 'There is no such pixel.')
  refuseWhenFull(door, request)
  const receivedAtMs = door.clock.now()
  const body = readPixelQuery(request.url ?? '')
  const parsed: unknown = parseJson(body)
  const { messageBytesMax } = door.sources.snapshot.settings.limits
  checkShape(parsed, call, { bodyBytes: body.byteLength, messageBytesMax })
  const known = authenticate(door, request, parsed)
  if (known === undefined) throw new AppError('unknown_source', 401, 'The write key is missing or unknown.')
  limitRate(door, known, 1)
  const head = headOf(door, call, request, known)
  await door.received.append(known.source.number, 1, receivedAtMs, encodeReceived(head, body))
  door.counters.accepted(1, body.byteLength)
}

/** The JSON text of the message in the query of `target`: the base64 in `data`, else the other parameters, whose dots make nested
 *  objects. Throws `bad_request` for what is nested too deep. */
export function readPixelQuery(target: string): Buffer {
  const start = target.indexOf('?')
  const query = new URLSearchParams(start < 0 ? '' : target.slice(start + 1))
  const data = query.get('data')
  // A plus of the standard alphabet that was not escaped is read as a space. Node reads both alphabets, with and without padding.
  if (data !== null) return Buffer.from(data.replaceAll(' ', '+'), 'base64')
  return Buffer.from(JSON.stringify(nested(query)))
}

type Nested = { [name: string]: Nested | string }

const LEVELS_MAX = 100

function nested(query: URLSearchParams): Nested {
  const message = emptyObject()
  for (const [key, value] of query) {
    const names = key.split('.')
    if (names.length > LEVELS_MAX) throw new AppError('bad_request', 400, 'A parameter is nested too deep.')
    // `split` gives at least one part.
    const last = names.pop()!
    let object = message
    for (const name of names) {
      const inner = object[name]
      // A text where others need an object gives way: the last one counts, as in JSON.
      object = typeof inner === 'object' ? inner : (object[name] = emptyObject())
    }
    object[last] = value
  }
  return message
}

/** Without a prototype, so that `__proto__` is a name like others. */
function emptyObject(): Nested {
  return Object.create(null) as Nested
}

function answerGif(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  const headers = ['Content-Type', 'image/gif', 'Content-Length', String(GIF.byteLength), 'Cache-Control', 'no-store']
  if (request.headers.origin !== undefined) headers.push('Access-Control-Allow-Origin', '*')
  response.writeHead(200, headers)
  response.end(request.method === 'HEAD' ? undefined : GIF)
}
