/** Pages of a site that uses the product. */
import type { BrowserContext } from 'playwright-core'
import { snippetFor, type PathNames, type PublicAddress } from '../../src/browser/index.ts'

export interface SnippetPage {
  writeKey?: string
  address: PublicAddress
  names?: PathNames
  /** An expression of JavaScript. */
  loadOptions?: string
  /** Runs after the snippet. */
  script?: string
}

/** A page with the snippet, as it is pasted. */
export function pageWithSnippet({
  writeKey = 'WEB_KEY',
  address,
  names,
  loadOptions,
  script = '',
}: SnippetPage): string {
  const load = `analytics.load(${JSON.stringify(writeKey)}`
  const snippet = snippetFor(writeKey, address, names)
  const withOptions =
    loadOptions === undefined ? snippet : snippet.replace(`${load})`, () => `${load}, ${loadOptions})`)
  return `<!doctype html><html><head><title>Shop</title>${withOptions}</head><body><script>${script}</script></body></html>`
}

/** What pages of a browser context asked for, and what they complained about. */
export interface Watched {
  urls: URL[]
  hosts: Set<string>
  complaints: string[]
}

export function watch(context: BrowserContext): Watched {
  const watched: Watched = { urls: [], hosts: new Set(), complaints: [] }
  context.on('request', (request) => {
    const url = new URL(request.url())
    watched.urls.push(url)
    watched.hosts.add(url.host)
  })
  context.on('console', (message) => {
    if (message.type() === 'error') watched.complaints.push(message.text())
  })
  context.on('weberror', (error) => watched.complaints.push(String(error.error())))
  return watched
}
