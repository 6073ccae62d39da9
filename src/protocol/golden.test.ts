/**
 * Golden cases of `test/fixtures/messages`: a request and what becomes of each of its messages, to the last character and in
 * the order of fields. Run with UPDATE_GOLDEN=1 to rewrite the results, then review the diff.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { normaliseMessage, type Arrival } from './normalise.ts'
import { parseBody } from './parse-body.ts'
import { splitBody, type Route } from './split.ts'

interface GoldenCase {
  about: string
  /** The body as a value, or as text where the text matters. */
  request: { route: Route; body?: unknown; text?: string }
  arrival: { receivedAt: string } & Partial<Arrival>
  /** Stored messages as JSON (as text in `json` where numbers matter), or rejections. */
  results: unknown[]
}

const folder = new URL('../../test/fixtures/messages/', import.meta.url)

for (const name of readdirSync(folder)) {
  const file = new URL(name, folder)
  const golden = JSON.parse(readFileSync(file, 'utf8')) as GoldenCase
  test(`${name}: ${golden.about}`, () => {
    const results = run(golden)
    if (process.env['UPDATE_GOLDEN'] === '1')
      writeFileSync(file, JSON.stringify({ ...golden, results }, null, 2) + '\n')
    else assert.equal(JSON.stringify(results, null, 2), JSON.stringify(golden.results, null, 2))
  })
}

function run({ request, arrival }: GoldenCase): unknown[] {
  const { receivedAt, ...door } = arrival
  const text = request.text ?? JSON.stringify(request.body)
  const items = splitBody(parseBody(Buffer.from(text)), { route: request.route, messageBytesMax: 32_768 })
  return items.map((item) => {
    const result = normaliseMessage(item, {
      ...door,
      receivedAtMs: Date.parse(receivedAt),
      newMessageId: () => 'api-made',
    })
    if (result.kind === 'rejected') return result
    return request.text === undefined ? (JSON.parse(result.json) as unknown) : { json: result.json }
  })
}
