/** Webhooks in: any JSON or form that another service posts becomes a track call (contract: sources.md, functions.md §2.2). What the
 *  message is made of stands in the settings of the source. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../base/errors.ts'
import { encodeReceived } from '../journal/index.ts'
import { createMessageId, parseBody } from '../protocol/index.ts'
import { answerRefusal, headOf, limitRate, outcomesFor, readLimits, refuseWhenFull, type Door } from './accept.ts'
import { answerJson, answerSuccess } from './answers.ts'
import { readBody } from './read-body.ts'
import type { KnownWebhook } from './source-directory.ts'
import { messageOfWebhook } from './webhook-message.ts'

/** Takes one request for the source with this slug or id to its answer. Rejects on what nobody foresaw only. */
export async function acceptWebhook(
  door: Door,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // This door is closed to pages (contract: README.md §3), so no answer names its origin.
  delete request.headers.origin
  let bodyBytes = 0
  try {
    refuseWhenFull(door, request)
    const receivedAtMs = door.clock.now()
    const query = queryOf(request)
    const known = findSource(door, name)
    checkToken(known, request, query)
    const body = await readBody(request, readLimits(door), door.inFlight, door.clock).catch(asRequestTooLarge)
    bodyBytes = body.byteLength
    const posted = { body: readPosted(body, request), headers: headersOf(request), query: Object.fromEntries(query) }
    limitRate(door, known, 1)
    const message = messageOfWebhook(known.fields, posted, () => createMessageId(receivedAtMs, door.random))
    const head = headOf(door, 'track', request, known)
    const stored = Buffer.from(JSON.stringify(message))
    const outcomes = outcomesFor(request, known, { body: stored, head, receivedAtMs })
    await door.received.append(known.source.number, 1, receivedAtMs, encodeReceived(head, stored))
    door.counters.accepted(1, bodyBytes)
    if (outcomes === undefined) answerSuccess(request, response)
    else answerJson(request, response, 200, outcomes)
  } catch (error) {
    answerRefusal(door, request, response, error)
  } finally {
    door.inFlight.bytes -= bodyBytes
  }
}

function findSource(door: Door, name: string): KnownWebhook {
  const found = door.sources.byWebhookName(name)
  if (found === 'ambiguous') {
    throw new AppError('not_found', 404, 'Several workspaces have a source with this slug.', {
      hint: 'Use the id of the source in the place of its slug.',
    })
  }
  if (found !== undefined) return found
  throw new AppError('not_found', 404, 'There is no webhook source with this slug or id.', {
    hint: 'The path is /v1/webhooks/SLUG, and the source is of type webhook.',
  })
}

function queryOf(request: IncomingMessage): URLSearchParams {
  const target = request.url ?? ''
  const start = target.indexOf('?')
  return new URLSearchParams(start < 0 ? '' : target.slice(start + 1))
}

/** The token comes as `?b=` or as a Bearer token. It is taken out of the query, so that it is stored nowhere. */
function checkToken({ source }: KnownWebhook, request: IncomingMessage, query: URLSearchParams): void {
  const expected = source.webhook?.tokenHash
  if (expected === undefined) return
  const bearer = /^bearer\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
  const given = bearer ?? query.get('b') ?? ''
  query.delete('b')
  const hash = createHash('sha256').update(given).digest()
  if (timingSafeEqual(hash, Buffer.from(expected, 'hex'))) return
  throw new AppError('unauthorized', 401, 'The token of the webhook is missing or wrong.', {
    hint: 'Send it as ?b=TOKEN or as Authorization: Bearer TOKEN.',
  })
}

function asRequestTooLarge(error: unknown): never {
  if (error instanceof AppError && error.code === 'body_too_large') {
    throw new AppError('request_too_large', 413, 'Exceed payload limit', { cause: error })
  }
  throw error
}

// What identifies the caller to this server is not for the message.
const privateHeaders = new Set(['authorization', 'cookie', 'proxy-authorization', 'x-write-key'])

function headersOf(request: IncomingMessage): Record<string, unknown> {
  return Object.fromEntries(Object.entries(request.headers).filter(([name]) => !privateHeaders.has(name)))
}

/** A form when its type says so and it does not begin as JSON does (what curl sends without a type), else JSON. */
function readPosted(body: Buffer, request: IncomingMessage): unknown {
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')
  if (!isForm || /^\s*[[{]/.test(body.toString('latin1', 0, 64))) return parseBody(body).value
  const form = new URLSearchParams(body.toString('utf8'))
  const names = [...new Set(form.keys())]
  return Object.fromEntries(
    names.map((name) => {
      const values = form.getAll(name)
      return [name, values.length === 1 ? values[0] : values]
    }),
  )
}
