/** Answers with the settings of a source, kept as bytes: every page view of every site asks for them. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { settingsFor, urlOf, type PathNames, type PublicAddress } from '../browser/index.ts'
import type { DestinationSnapshot, Snapshot, SnapshotSource } from '../snapshot/index.ts'
import { isUnchanged } from './conditional-request.ts'
import type { KnownSource } from './source-directory.ts'

export interface SettingsAsked {
  writeKey: string
  known: KnownSource
  address: PublicAddress
  names: PathNames
}

export interface SettingsAnswers {
  answer(asked: SettingsAsked, request: IncomingMessage, response: ServerResponse): void
  close(): void
}

interface Kept {
  etag: string
  unchangedHeaders: string[]
  headers: string[]
  body: Buffer
}

/** An entry is about 2 KB, and some 10 KB with destinations in the page; a full store is emptied rather than tended. */
const KEPT_MAX = 1_000

export function createSettingsAnswers(snapshots: SnapshotSource): SettingsAnswers {
  const kept = new Map<string, Kept>()
  let bySource = destinationsBySource(snapshots.current)
  const stop = snapshots.onChange((snapshot) => {
    kept.clear()
    bySource = destinationsBySource(snapshot)
  })

  function find(asked: SettingsAsked): Kept {
    const { writeKey, known, address, names } = asked
    const name = `${urlOf(address)} ${names} ${writeKey}`
    let found = kept.get(name)
    if (found === undefined) {
      const { source } = known
      const destinations = bySource.get(source.number) ?? []
      found = prepare(settingsFor({ writeKey, source, destinations, address, names }))
      if (kept.size >= KEPT_MAX) kept.clear()
      kept.set(name, found)
    }
    return found
  }

  return {
    answer(asked, request, response) {
      const { etag, unchangedHeaders, headers, body } = find(asked)
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

function destinationsBySource({ destinations }: Snapshot): Map<number, DestinationSnapshot[]> {
  return Map.groupBy(destinations, ({ source }) => source)
}

function prepare(settings: object): Kept {
  const body = Buffer.from(JSON.stringify(settings))
  const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 20)}"`
  // The protocol in the answer follows that of the page, so a cache keeps one answer for each origin.
  const unchangedHeaders = [
    ...['ETag', etag, 'Cache-Control', 'public, max-age=60'],
    ...['Access-Control-Allow-Origin', '*', 'Vary', 'Origin'],
  ]
  const entity = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(body.byteLength)]
  return { etag, unchangedHeaders, headers: [...entity, ...unchangedHeaders], body }
}
