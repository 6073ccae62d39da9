/**
 * The destinations that run in web pages: those of the npm package `@segment/browser-destinations`, whose bundles we serve as they
 * are. What they are called, take and do is in `destinations.json`, which `scripts/browser-destinations.ts` writes.
 */
import { readFileSync } from 'node:fs'
import type { Fields, Preset } from '../kit/index.ts'

export interface BrowserCatalogue {
  /** Of the npm package. */
  version: string
  /** Files that several bundles load, as `<folder>/<file>`. */
  sharedFiles: string[]
  /** By slug, which is the folder of the bundle and the `type` of a destination. */
  destinations: Record<string, BrowserDestination>
}

export interface BrowserDestination {
  /** Display name; also its name in the `integrations` object. */
  name: string
  description: string
  /** Name of the bundle's file: it changes with the content. */
  file: string
  settings: Fields
  actions: Record<string, BrowserAction>
  /** What a destination without mappings of its own does. */
  presets: Preset[]
}

export interface BrowserAction {
  title: string
  description: string
  fields: Fields
  /** False for an action that changes or holds back events for others, and sends none. */
  sends: boolean
}

let catalogue: BrowserCatalogue | undefined

/** Read at the first call, once: most installations have no destination of this kind, and to the gateway it is a third of a megabyte. */
export function browserCatalogue(): BrowserCatalogue {
  // Our own file, which a test keeps in step with its type.
  catalogue ??= JSON.parse(readFileSync(new URL('./destinations.json', import.meta.url), 'utf8')) as BrowserCatalogue
  return catalogue
}

/** Undefined when no destination of this type can run in a page. */
export function browserDestination(type: string): BrowserDestination | undefined {
  const { destinations } = browserCatalogue()
  return Object.hasOwn(destinations, type) ? destinations[type] : undefined
}

/** False for a destination that only changes events on their way to others: such a one never stands for a copy of the server's. */
export function sendsItself({ actions }: BrowserDestination): boolean {
  return Object.values(actions).some(({ sends }) => sends)
}
