/** Requests that unchanged SDKs sent (`test/fixtures/sdk-captures`): every message is taken, and says what the client said. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Call, JsonObject } from './message.ts'
import { normaliseMessage } from './normalise.ts'
import { parseBody } from './parse-body.ts'
import { splitBody, type Route } from './split.ts'

interface Capture {
  at: string
  method: string
  url: string
  json?: JsonObject & { batch?: JsonObject[]; sentAt: string }
}

const folder = new URL('../../test/fixtures/sdk-captures/', import.meta.url)
const routes: Record<string, Route> = {
  i: 'identify',
  t: 'track',
  p: 'page',
  s: 'screen',
  g: 'group',
  a: 'alias',
  b: 'batch',
  batch: 'batch',
}

for (const name of readdirSync(folder).filter((name) => name.endsWith('.jsonl'))) {
  test(`every message that ${name} holds is taken and says what the client said`, () => {
    const lines = readFileSync(new URL(name, folder), 'utf8').trim().split('\n')
    // The recorder shortened some long batches to nothing, and a preflight has no body.
    const captures = lines
      .map((line) => JSON.parse(line) as Capture)
      .filter(({ json }) => json !== undefined && json.batch?.length !== 0)
    assert.ok(captures.length > 0)
    for (const capture of captures) checkCapture(capture, routes[capture.url.split('/')[2]!]!)
  })
}

function checkCapture({ at, json }: Capture, route: Route): void {
  const body = json!
  const items = splitBody(parseBody(Buffer.from(JSON.stringify(body))), { route, messageBytesMax: 32_768 })
  const sent = body.batch ?? [body]
  assert.equal(items.length, sent.length)
  items.forEach((item, index) => {
    const result = normaliseMessage(item, {
      receivedAtMs: Date.parse(at),
      newMessageId: () => assert.fail('every client makes its own ids'),
    })
    assert.equal(result.kind, 'call', JSON.stringify(result).slice(0, 300))
    if (result.kind === 'call')
      checkMessage(sent[index]!, JSON.parse(result.json) as JsonObject, result.call, body.sentAt, at)
  })
}

const changed = new Set(['timestamp', 'sentAt', 'writeKey', 'userId', 'anonymousId', 'name', 'category'])

function checkMessage(sent: JsonObject, stored: JsonObject, call: Call, batchSentAt: string, at: string): void {
  assert.equal(call, sent['type'])
  for (const key of Object.keys(sent)) if (!changed.has(key)) assert.deepEqual(stored[key], sent[key], key)
  for (const key of ['userId', 'anonymousId'])
    assert.equal(stored[key], sent[key] === undefined || sent[key] === null ? null : String(sent[key]))
  for (const key of ['name', 'category']) assert.equal(stored[key] ?? null, sent[key] ?? null)
  assert.equal('writeKey' in stored, false)
  // Dates of SDKs are in the format that `Date` reads exactly; it keeps milliseconds as well.
  const clientMs = Date.parse(String(sent['timestamp']))
  const sentAtMs = Date.parse(String(sent['sentAt'] ?? batchSentAt))
  assert.equal(stored['originalTimestamp'], new Date(clientMs).toISOString())
  assert.equal(stored['timestamp'], new Date(Date.parse(at) - (sentAtMs - clientMs)).toISOString())
}
