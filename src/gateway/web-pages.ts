/** What web pages and apps fetch before they send: the library, its chunks, the settings, and the demo page. All of it is public
 *  and read with GET. (contract: ingest.md §11, sdk-wire.md §5 and §6) */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../base/errors.ts'
import {
  createBrowserLibrary,
  neutralFolderOf,
  renderDemoPage,
  type LibraryFile,
  type PathNames,
  type PublicAddress,
} from '../browser/index.ts'
import type { Snapshot, SnapshotSource } from '../snapshot/index.ts'
import { answerError, answerPreflight } from './answers.ts'
import { acceptsGzip, isUnchanged } from './conditional-request.ts'
import { publicAddressFor, type AddressOptions } from './public-address.ts'
import { createSettingsAnswers } from './settings-answers.ts'
import type { KnownSource, SourceDirectory } from './source-directory.ts'
import { neutralRouteOf, type NeutralRoute, type WebRoute } from './web-routes.ts'

export interface WebPages {
  /** Answers a request for `route`. Rejects only when our own files cannot be read. */
  answer(route: WebRoute, request: IncomingMessage, response: ServerResponse): Promise<void>
  /** What a path below a neutral folder means; undefined when it is none of those of the sources. */
  neutralRouteOf(path: string): NeutralRoute | undefined
  close(): void
}

const SCRIPT_MAX_AGE = 'public, max-age=300'
// A chunk's name changes with its content.
const CHUNK_MAX_AGE = 'public, max-age=31536000, immutable'

export function createWebPages(sources: SourceDirectory, snapshots: SnapshotSource, options: AddressOptions): WebPages {
  const library = createBrowserLibrary()
  const settings = createSettingsAnswers(snapshots)
  const neutralFolders = createNeutralFolders(snapshots)

  async function answerScript(
    writeKey: string,
    address: PublicAddress,
    names: PathNames,
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    const file = await library.script({ writeKey, address, names, isGzipped: acceptsGzip(request) })
    await answerFile(file, 'text/javascript; charset=utf-8', SCRIPT_MAX_AGE, request, response)
  }

  async function answerChunk(name: string, request: IncomingMessage, response: ServerResponse) {
    const file = await library.chunk(name, acceptsGzip(request))
    if (file === undefined) throw new AppError('not_found', 404, 'There is no such file of the browser library.')
    const type = name.endsWith('.map') ? 'application/json; charset=utf-8' : 'text/javascript; charset=utf-8'
    await answerFile(file, type, CHUNK_MAX_AGE, request, response)
  }

  async function answerBundle(folder: string, name: string, request: IncomingMessage, response: ServerResponse) {
    const file = library.bundle(folder, name, acceptsGzip(request))
    if (file === undefined) throw new AppError('not_found', 404, 'There is no such destination that runs in pages.')
    // Without the charset some bundles are no valid script in a page that names none.
    await answerFile(file, 'text/javascript; charset=utf-8', CHUNK_MAX_AGE, request, response)
  }

  async function answerDemo(
    { source }: KnownSource,
    writeKey: string,
    address: PublicAddress,
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    const names = /[?&]paths=neutral(?:&|$)/.test(request.url ?? '') ? 'neutral' : 'usual'
    const hasDeviceMode = snapshots.current.destinations.some(
      (each) => each.source === source.number && each.mode === 'device' && each.isEnabled,
    )
    const { html, policy } = await renderDemoPage({ name: source.name, writeKey, address, names, hasDeviceMode })
    response.writeHead(200, [
      ...['Content-Type', 'text/html; charset=utf-8', 'Content-Length', String(Buffer.byteLength(html))],
      ...['Cache-Control', 'no-store', 'Content-Security-Policy', policy, 'X-Content-Type-Options', 'nosniff'],
    ])
    response.end(html)
  }

  function answerGet(route: WebRoute, request: IncomingMessage, response: ServerResponse): Promise<void> | void {
    if (route.kind === 'chunk') return answerChunk(route.name, request, response)
    if (route.kind === 'bundle') return answerBundle(route.folder, route.name, request, response)
    const { writeKey } = route
    const known = sources.byWriteKey(writeKey)
    if (known === undefined) throw unknownWriteKey()
    const address = publicAddressFor(request, options)
    if (address === undefined) throw new AppError('bad_request', 400, 'The request names no usable host.')
    if (route.kind === 'demo') return answerDemo(known, writeKey, address, request, response)
    const { names } = route
    if (route.kind === 'script') return answerScript(writeKey, address, names, request, response)
    return settings.answer({ writeKey, known, address, names }, request, response)
  }

  return {
    async answer(route, request, response) {
      try {
        if (request.method === 'OPTIONS') return answerPreflight(request, response)
        if (request.method !== 'GET' && request.method !== 'HEAD') throw notGet()
        const underWay = answerGet(route, request, response)
        // Settings are answered at once, and most requests are for them.
        if (underWay !== undefined) await underWay
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        answerError(request, response, error)
      }
    },
    neutralRouteOf: (path) => neutralRouteOf(path, neutralFolders.writeKeyOf),
    close() {
      settings.close()
      neutralFolders.close()
    },
  }
}

/** Write keys by the names of their neutral folders. */
function createNeutralFolders(snapshots: SnapshotSource): {
  writeKeyOf(folder: string): string | undefined
  close(): void
} {
  const index = ({ sources }: Snapshot) =>
    new Map(sources.flatMap(({ writeKeys }) => writeKeys.map((writeKey) => [neutralFolderOf(writeKey), writeKey])))
  let byFolder = index(snapshots.current)
  const stop = snapshots.onChange((snapshot) => {
    byFolder = index(snapshot)
  })
  return { writeKeyOf: (folder) => byFolder.get(folder), close: stop }
}

async function answerFile(
  file: LibraryFile,
  type: string,
  cacheControl: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Without a resource policy of `cross-origin`, pages that isolate themselves (COEP) could not load the file.
  const headers = [
    ...['ETag', file.etag, 'Cache-Control', cacheControl, 'Vary', 'Accept-Encoding'],
    ...['Access-Control-Allow-Origin', '*', 'Cross-Origin-Resource-Policy', 'cross-origin'],
  ]
  if (isUnchanged(request, file.etag)) {
    response.writeHead(304, headers)
    response.end()
    return
  }
  const body = await file.read()
  if (file.isGzipped) headers.push('Content-Encoding', 'gzip')
  headers.push('Content-Type', type, 'Content-Length', String(body.byteLength), 'X-Content-Type-Options', 'nosniff')
  response.writeHead(200, headers)
  response.end(body)
}

function unknownWriteKey(): AppError {
  const hint = 'Look at the write keys of the source: `tributary export` prints them.'
  return new AppError('unknown_write_key', 404, 'There is no source with this write key.', { hint })
}

function notGet(): AppError {
  return new AppError('method_not_allowed', 405, 'This path takes GET.')
}
