/** One golden case of a destination: messages, settings and a mapping in; the exact requests and their outcome out. */
import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { systemClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/logger.ts'
import { createEgress } from '../../egress/index.ts'
import { compileMapping, isWholeMessage } from '../../language/index.ts'
import type { JsonObject } from '../../protocol/index.ts'
import type { ActionDefinition, BatchItemResult, DestinationDefinition, SendRequest } from '../destination.ts'
import { ResponseError } from '../errors.ts'
import { fitValues } from '../fit-values.ts'

export interface GoldenCase {
  /** A sentence: what the case shows. */
  title: string
  settings: JsonObject
  /** A preset by its name, or a mapping of one's own. */
  preset?: string
  mapping?: { action: string; fields: JsonObject }
  /** Several messages go out as one batch where the action batches them, else one after another. */
  messages: JsonObject[]
  /** What the vendor answers, in turn, the last one for ever; 200 by default. `echo` repeats the request in the body. */
  answers?: { status: number; body?: string; headers?: Record<string, string>; echo?: boolean }[]
  requests: GoldenRequest[]
  /** `delivered`, the name of the error (`ResponseError 400`, `BadPayload`), `MESSAGE_REJECTED` when the payload does not fit
   *  the fields of the action, or `failed: ` with the statuses of a batch's items. */
  outcome: string
}

export interface GoldenRequest {
  method: string
  /** Where the connector meant to send it. */
  url: string
  /** Without those that belong to the connection. */
  headers: Record<string, string>
  /** As text, because a signature covers its bytes. */
  body: string
}

export interface CaseResult {
  requests: GoldenRequest[]
  outcome: string
}

/** Plays a case against a server on this machine. What the connector prints and throws is added to `printed`. */
export async function runCase(
  definition: DestinationDefinition,
  golden: GoldenCase,
  printed: string[] = [],
): Promise<CaseResult> {
  const vendor = await startVendor(golden.answers ?? [{ status: 200 }])
  const settings = { allow: [], sink: vendor.url }
  const egress = createEgress({ policy: () => settings, clock: systemClock, log: silentLogger, version: 'test' })
  const restoreConsole = captureConsole(printed)
  try {
    const request: SendRequest = (url, options) => egress.send(url, { ...options, timeoutMs: 5000 })
    const outcome = await attempt(definition, golden, request, printed)
    return { requests: vendor.requests, outcome }
  } finally {
    restoreConsole()
    await egress.close()
    await vendor.close()
  }
}

async function attempt(
  definition: DestinationDefinition,
  golden: GoldenCase,
  request: SendRequest,
  printed: string[],
): Promise<string> {
  const { action, fields } = mappingOf(definition, golden)
  const payloads = golden.messages.map((message) => payloadOf(action, fields, message))
  if (payloads.includes(undefined)) return 'MESSAGE_REJECTED'
  try {
    // Checked in the line above.
    return await perform(action, payloads as JsonObject[], golden, request)
  } catch (error) {
    assert.ok(error instanceof Error)
    printed.push(String(error.stack), JSON.stringify(error), error.message)
    return error instanceof ResponseError ? `ResponseError ${error.status}` : error.name
  }
}

async function perform(
  action: ActionDefinition,
  payloads: JsonObject[],
  { settings, messages }: GoldenCase,
  request: SendRequest,
): Promise<string> {
  const messagesJson = messages.map((message) => JSON.stringify(message))
  const [first] = payloads
  if (first && payloads.length > 1 && action.performBatch && (action.batchSizeMax?.(first) ?? 1) >= payloads.length) {
    const results = await action.performBatch(request, { payload: payloads, settings, messagesJson })
    if (results) assert.equal(results.length, payloads.length, 'one result for each payload of the batch')
    return summary(results ?? [])
  }
  for (const [index, payload] of payloads.entries()) {
    await action.perform(request, { payload, settings, messagesJson: messagesJson.slice(index, index + 1) })
  }
  return 'delivered'
}

function summary(results: BatchItemResult[]): string {
  const isDelivered = results.every(({ status }) => status === 'delivered')
  if (isDelivered) return 'delivered'
  return `failed: ${results.map((item) => (item.status === 'failed' ? item.httpStatus : 200)).join(', ')}`
}

function mappingOf(definition: DestinationDefinition, { preset: name, mapping }: GoldenCase) {
  const preset = definition.presets.find((each) => each.name === name)
  const { action: slug, fields } = mapping ?? preset ?? { action: '', fields: {} }
  const action = definition.actions[slug]
  assert.ok(action, `there is no preset "${name}" and no action "${slug}"`)
  if (mapping) return { action, fields }
  const defaults = Object.entries(action.fields).filter(([, field]) => field.default !== undefined)
  return { action, fields: { ...Object.fromEntries(defaults.map(([key, field]) => [key, field.default])), ...fields } }
}

/** What delivery hands to an action: fields that take the whole message are left to `messagesJson`. */
function payloadOf(action: ActionDefinition, mapping: JsonObject, message: JsonObject): JsonObject | undefined {
  const isOwn = ([key]: [string, unknown]) => !isWholeMessage(mapping[key])
  const resolved = compileMapping(Object.fromEntries(Object.entries(mapping).filter(isOwn))).resolve(message)
  const { values, problems } = fitValues(Object.fromEntries(Object.entries(action.fields).filter(isOwn)), resolved)
  return problems.length === 0 ? values : undefined
}

interface Vendor {
  url: string
  requests: GoldenRequest[]
  close(): Promise<void>
}

async function startVendor(answers: NonNullable<GoldenCase['answers']>): Promise<Vendor> {
  const requests: GoldenRequest[] = []
  const server = createServer(async (incoming, response) => {
    const text = await bodyOf(incoming)
    const headers = withoutTransport(incoming.headers)
    const url = String(incoming.headers['x-tributary-original-url'])
    requests.push({ method: incoming.method ?? '', url, headers, body: text })
    const { status, headers: given = {}, body = '', echo } = answers[Math.min(requests.length, answers.length) - 1]!
    response.writeHead(status, given)
    response.end(echo ? JSON.stringify({ url, headers, body: text }) : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

const transportHeaders = new Set([
  'host',
  'connection',
  'content-length',
  'accept-encoding',
  'user-agent',
  'x-tributary-original-url',
])

function withoutTransport(headers: IncomingHttpHeaders): Record<string, string> {
  const entries = Object.entries(headers).filter(([name]) => !transportHeaders.has(name))
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}

function captureConsole(printed: string[]): () => void {
  const names = ['log', 'info', 'warn', 'error', 'debug'] as const
  const originals = names.map((name) => console[name])
  for (const name of names) console[name] = (...values: unknown[]) => void printed.push(values.map(String).join(' '))
  return () => names.forEach((name, index) => void (console[name] = originals[index]!))
}
