/** Answers with the settings of a source, kept as bytes: every page view of every site asks for them. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { settingsFor, urlOf, type PublicAddress } from '../browser/index.ts'
import type { SnapshotSource } from '../snapshot/index.ts'
import { isUnchanged } from './conditional-request.ts'

export interface SettingsAnswers {
  answer(writeKey: string, address: PublicAddress, request: IncomingMessage, response: ServerResponse): void
  close(): void
}

interface Kept {
  etag: string
  unchangedHeaders: string[]
  headers: string[]
  body: Buffer
}

/** An entry is about 2 KB; making one again costs some 10 µs, so a full store is emptied rather than tended. */
const KEPT_MAX = 1_000

export function createSettingsAnswers(snapshots: SnapshotSource): SettingsAnswers {
  const kept = new Map<string, Kept>()
  const stop = snapshots.onChange(() => kept.clear())

  function find(writeKey: string, address: PublicAddress): Kept {
    const name = `${urlOf(address)} ${writeKey}`
    let found = kept.get(name)
    if (found === undefined) {
      found = prepare(writeKey, address)
      if (kept.size >= KEPT_MAX) kept.clear()
      kept.set(name, found)
    }
    return found
  }

  return {
    answer(writeKey, address, request, response) {
      const { etag, unchangedHeaders, headers, body } = find(writeKey, address)
      if (isUnchanged(request, etag)) {
        response.writeHead(304, unchangedHeaders)
        response.end()
      } else {
        response.writeHead(200, headers)
        response.end(body)
      }
    },
    close: stop,
  }
}

function prepare(writeKey: string, address: PublicAddress): Kept {
  const body = Buffer.from(JSON.stringify(settingsFor(writeKey, address)))
  const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 20)}"`
  // The protocol in the answer follows that of the page, so a cache keeps one answer for each origin.
  const unchangedHeaders = [
    ...['ETag', etag, 'Cache-Control', 'public, max-age=60'],
    ...['Access-Control-Allow-Origin', '*', 'Vary', 'Origin'],
  ]
  const entity = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(body.byteLength)]
  return { etag, unchangedHeaders, headers: [...entity, ...unchangedHeaders], body }
}
