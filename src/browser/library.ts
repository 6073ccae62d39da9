/**
 * The browser library: the files of the npm package `@segment/analytics-next`, as they are, but for the write key, one line
 * before the script, two timers and, where asked for, the names of its paths; and the bundles of the destinations that run in
 * pages. Nothing is read before the first page asks, and what is kept is bounded.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { browserCatalogue } from './browser-destinations.ts'
import { obfuscated } from './device-mode.ts'
import { cdnOf, type PathNames, type PublicAddress } from './public-address.ts'
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
  script(asked: ScriptAsked): Promise<LibraryFile>
  /** A chunk or a source map that the script asks for by its hashed name, or by the hash and `.js`; undefined when there is none. */
  chunk(name: string, isGzipped: boolean): Promise<LibraryFile | undefined>
  /** A bundle of a destination, or what several of them load; undefined when there is none of these names. */
  bundle(folder: string, name: string, isGzipped: boolean): LibraryFile | undefined
}

export interface ScriptAsked {
  writeKey: string
  address: PublicAddress
  names: PathNames
  isGzipped: boolean
}

/** Gzipped, a script is about 31 KB and a bundle 52 KB, so the ones of some 50 sources and destinations are kept beside all chunks. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024

const packageFolder = new URL('./', import.meta.resolve('@segment/analytics-next/package.json'))
const filesFolder = new URL('dist/umd/', packageFolder)
const bundlesFolder = new URL('../dist/web/', import.meta.resolve('@segment/browser-destinations'))
const placeholder = '__WRITE_KEY__'
const compress = promisify(gzip)

export function createBrowserLibrary(): BrowserLibrary {
  const kept = createRecentBytes(KEPT_BYTES_MAX)
  const readIn = (folder: URL, name: string) => kept.take(name, () => readFile(new URL(name, folder)))
  const read = (name: string) => readIn(filesFolder, name)
  let index: Promise<PackageIndex> | undefined
  // A failure is not kept: the next page asks again.
  const packageIndex = () =>
    (index ??= readPackage().catch((error: unknown) => {
      index = undefined
      throw error
    }))

  async function composeScript(firstLine: string, { writeKey, names }: ScriptAsked): Promise<Buffer> {
    const text = (await read('standalone.js')).toString()
    const [before = '', after] = text.split(`"${placeholder}"`)
    if (after === undefined) throw new Error('standalone.js of @segment/analytics-next has no place for the write key')
    const script = withSoonTimers(`${before}${literal(writeKey)}${after}`)
    return Buffer.from(`${firstLine}\n${names === 'neutral' ? withNeutralPaths(script) : script}`)
  }

  return {
    async script(asked) {
      const { writeKey, names, isGzipped } = asked
      const { version } = await packageIndex()
      const firstLine = setUp(asked)
      const hash = hashOf([version, names, firstLine, writeKey].join('\n'))
      const make = () => composeScript(firstLine, asked)
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
      const { chunks, nameByHash } = await packageIndex()
      const fullName = nameByHash.get(name.replace(/\.js$/, '')) ?? name
      const hash = chunks.get(fullName)
      if (hash === undefined) return undefined
      return isGzipped
        ? { etag: `"${hash}-gz"`, isGzipped, read: () => read(`${fullName}.gz`) }
        : { etag: `"${hash}"`, isGzipped, read: () => read(fullName) }
    },
    bundle(folder, name, isGzipped) {
      // Only what the catalogue names is ever read.
      const { destinations, sharedFiles } = browserCatalogue()
      const path = `${folder}/${name}`
      const isKnown =
        sharedFiles.includes(path) ||
        Object.entries(destinations).some(
          ([slug, { file }]) => file === name && (folder === slug || folder === obfuscated(slug)),
        )
      if (!isKnown) return undefined
      const hash = name.replace(/\.js$/, '')
      return isGzipped
        ? { etag: `"${hash}-gz"`, isGzipped, read: () => readIn(bundlesFolder, `${path}.gz`) }
        : { etag: `"${hash}"`, isGzipped, read: () => readIn(bundlesFolder, path) }
    },
  }
}

interface PackageIndex {
  version: string
  /** Hash by file name. */
  chunks: Map<string, string>
  nameByHash: Map<string, string>
}

async function readPackage(): Promise<PackageIndex> {
  const [manifest, names] = await Promise.all([
    readFile(new URL('package.json', packageFolder), 'utf8'),
    readdir(fileURLToPath(filesFolder)),
  ])
  // Every package.json of the registry has a version.
  const { version } = JSON.parse(manifest) as { version: string }
  const chunks = new Map<string, string>()
  const nameByHash = new Map<string, string>()
  for (const name of names) {
    const [, hash] = /\.bundle\.([0-9a-f]{20})\.js(\.map)?$/.exec(name) ?? []
    if (hash === undefined) continue
    chunks.set(name, name.endsWith('.map') ? `${hash}-map` : hash)
    if (name.endsWith('.js')) nameByHash.set(hash, name)
  }
  return { version, chunks, nameByHash }
}

/**
 * The line before the script.
 *
 * It says where settings and chunks are. The library looks where `_cdn` says, else where an https script tag says, else at its
 * maker's: a page over plain http, and one whose tag is gone, would never start. The address the script came from is best, since a
 * proxy of the page's own host has passed it already; `address` is for when the browser does not tell.
 *
 * And it hands the library the `plan` of the settings, which it only obeys as an option of its start: else destinations in the page
 * would get the events that are blocked here. Where none runs in the page or nothing is blocked, pages are spared the chunk for it.
 *
 * And it gives the library a timer of no delay that runs out at the latest when the page goes away. The library has them between each
 * call and its sending, and of the browser's own none runs any more from `pagehide` on: what is called there would be lost.
 */
function setUp({ writeKey, address, names }: ScriptAsked): string {
  const path = names === 'usual' ? '\\/analytics\\.js\\/v1\\/' : '\\/m\\.js$'
  const cdn =
    `var s=document.currentScript,m=s&&/^(https?:.*)${path}/.exec(s.src),` +
    't=document.querySelector("script[data-global-segment-analytics-key]"),' +
    'n=t&&t.dataset.globalSegmentAnalyticsKey||"analytics",a=window[n]=window[n]||[];' +
    `a._cdn=a._cdn||(m?m[1]:${literal(cdnOf(address, writeKey, names))});`
  const plan =
    'var o=a._loadOptions=a._loadOptions||{},u=o.updateCDNSettings;o.updateCDNSettings=function(c){if(u)c=u(c);' +
    'var p=c.plan&&c.plan.track||{};if(!o.plan&&c.remotePlugins&&c.remotePlugins.length&&' +
    'Object.keys(p).some(function(e){return!p[e].enabled}))o.plan=c.plan;return c};'
  const soon =
    `var w=window,q=new Set,h=0;w.${SOON}=function(f){function g(){q.delete(g)&&f()}q.add(g);` +
    'h?Promise.resolve().then(g):setTimeout(g,0)};' +
    'w.addEventListener&&(w.addEventListener("pagehide",function(){h=1;q.forEach(function(g){g()})}),' +
    'w.addEventListener("pageshow",function(){h=0}));'
  return `!function(){${cdn}${plan}${soon}}();`
}

/** Name of a function of the page, between our line and the library. */
const SOON = '__soon'

/** The timers between a call and its sending: the one before calls of the snippet's queue, and the one before each event goes to
 *  the destinations. */
const sendingTimers = [
  /setTimeout(\(\(function\(\)\{\w+\(\w,\w\)\.catch\(console\.error\)\}\),0\))/,
  /setTimeout(\(\(function\(\)\{var (\w)=\w\.map\(\(function\((\w)\)\{return\(0,[\w.]+\)\(\w,\3\)\}\)\);Promise\.all\(\2\))/,
]

function withSoonTimers(script: string): string {
  return sendingTimers.reduce(
    (text, timer) => replaceIn(text, timer, (_, rest: string) => `window.${SOON}${rest}`),
    script,
  )
}

/** Throws when there is nothing to replace: then another version of the library is installed. */
function replaceIn(text: string, find: RegExp | string, put: (...found: string[]) => string): string {
  const changed = text.replace(find, put)
  if (changed === text) throw new Error(`standalone.js of @segment/analytics-next has no ${find} any more`)
  return changed
}

/** The names that the library has for paths below its CDN, and ours for them. */
const neutralPaths: [find: RegExp | string, put: string][] = [
  ['"/v1/projects/")', '"/s/")'],
  ['"/settings")', '"")'],
  [/\/analytics-next\/bundles\//g, '/c/'],
  [/\(\{(?:\d+:"[\w-]+",?)+\}\[(\w)\]\|\|\1\)\+"\.bundle\."\+/, ''],
]

function withNeutralPaths(script: string): string {
  return neutralPaths.reduce((text, [find, put]) => replaceIn(text, find, () => put), script)
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 20)
}
