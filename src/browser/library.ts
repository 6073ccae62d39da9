/**
 * The browser library: the files of the npm package `@segment/analytics-next`, as they are, but for the write key and one line
 * before the script. Nothing is read before the first page asks, and what is kept is bounded.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { urlOf, type PublicAddress } from './public-address.ts'
import { createRecentBytes } from './recent-bytes.ts'
import { literal } from './script-text.ts'

export interface LibraryFile {
  /** Strong, for these very bytes. */
  etag: string
  isGzipped: boolean
  read(): Promise<Buffer>
}

export interface BrowserLibrary {
  /** The script that the snippet loads. */
  script(writeKey: string, address: PublicAddress, isGzipped: boolean): Promise<LibraryFile>
  /** A chunk or a source map that the script asks for by its hashed name; undefined when there is none of this name. */
  chunk(name: string, isGzipped: boolean): Promise<LibraryFile | undefined>
}

/** A script is about 31 KB gzipped, so the ones of some 50 sources are kept beside all chunks. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024

const packageFolder = new URL('./', import.meta.resolve('@segment/analytics-next/package.json'))
const filesFolder = new URL('dist/umd/', packageFolder)
const placeholder = '__WRITE_KEY__'
const compress = promisify(gzip)

export function createBrowserLibrary(): BrowserLibrary {
  const kept = createRecentBytes(KEPT_BYTES_MAX)
  const read = (name: string) => kept.take(name, () => readFile(new URL(name, filesFolder)))
  let index: Promise<PackageIndex> | undefined
  // A failure is not kept: the next page asks again.
  const packageIndex = () =>
    (index ??= readPackage().catch((error: unknown) => {
      index = undefined
      throw error
    }))

  async function composeScript(firstLine: string, writeKey: string): Promise<Buffer> {
    const text = (await read('standalone.js')).toString()
    const [before = '', after] = text.split(`"${placeholder}"`)
    if (after === undefined) throw new Error('standalone.js of @segment/analytics-next has no place for the write key')
    return Buffer.from(`${firstLine}\n${before}${literal(writeKey)}${after}`)
  }

  return {
    async script(writeKey, address, isGzipped) {
      const { version } = await packageIndex()
      const firstLine = setCdn(address)
      const hash = hashOf(`${version}\n${firstLine}\n${writeKey}`)
      const make = () => composeScript(firstLine, writeKey)
      if (!isGzipped) return { etag: `"${hash}"`, isGzipped, read: make }
      return {
        etag: `"${hash}-gz"`,
        isGzipped,
        read: () =>
          kept.take(`script ${hash}`, async () => compress(await make(), { level: constants.Z_BEST_COMPRESSION })),
      }
    },
    async chunk(name, isGzipped) {
      // Only names that were listed are ever read, so a request cannot lead out of the folder.
      const { chunks } = await packageIndex()
      const hash = chunks.get(name)
      if (hash === undefined) return undefined
      return isGzipped
        ? { etag: `"${hash}-gz"`, isGzipped, read: () => read(`${name}.gz`) }
        : { etag: `"${hash}"`, isGzipped, read: () => read(name) }
    },
  }
}

interface PackageIndex {
  version: string
  /** Hash by file name. */
  chunks: Map<string, string>
}

async function readPackage(): Promise<PackageIndex> {
  const [manifest, names] = await Promise.all([
    readFile(new URL('package.json', packageFolder), 'utf8'),
    readdir(fileURLToPath(filesFolder)),
  ])
  // Every package.json of the registry has a version.
  const { version } = JSON.parse(manifest) as { version: string }
  const chunks = new Map<string, string>()
  for (const name of names) {
    const [, hash] = /\.bundle\.([0-9a-f]{20})\.js(\.map)?$/.exec(name) ?? []
    if (hash !== undefined) chunks.set(name, name.endsWith('.map') ? `${hash}-map` : hash)
  }
  return { version, chunks }
}

/**
 * The line before the script. The library looks for settings and chunks where `_cdn` says, else where an https script tag
 * says, else at its maker's: a page over plain http, and one whose tag is gone, would never start. The address the script came
 * from is best, since a proxy of the page's own host has passed it already; `address` is for when the browser does not tell.
 */
function setCdn(address: PublicAddress): string {
  const script =
    'var s=document.currentScript,m=s&&/^(https?:.*)\\/analytics\\.js\\/v1\\//.exec(s.src),' +
    't=document.querySelector("script[data-global-segment-analytics-key]"),' +
    'n=t&&t.dataset.globalSegmentAnalyticsKey||"analytics",a=window[n]=window[n]||[];'
  return `!function(){${script}a._cdn=a._cdn||(m?m[1]:${literal(urlOf(address))})}();`
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 20)
}
