/**
 * Destinations that run in the page: what the browser library must be told of them (contract: destinations.md §2, ingest.md §11),
 * and what of their configuration a page could not do as it is meant.
 */
import { checkFilter, checkTrigger } from '../language/index.ts'
import type { JsonObject } from '../protocol/index.ts'
import type { DestinationSnapshot, FilterSnapshot, MappingSnapshot } from '../snapshot/index.ts'
import { browserDestination, sendsItself, type BrowserDestination } from './browser-destinations.ts'
import type { PathNames } from './public-address.ts'
import { routingRuleFor, type RoutingRule } from './page-filters.ts'
import { triggerForPage } from './page-trigger.ts'

export interface RemotePlugin {
  name: string
  creationName: string
  libraryName: string
  url: string
  settings: JsonObject & { subscriptions: Subscription[] }
}

export interface Subscription {
  id: string
  name: string
  enabled: true
  partnerAction: string
  subscribe: string
  mapping: JsonObject
}

/** One destination, in the places where the settings of a source name it. */
export interface InPage {
  plugin: RemotePlugin
  integration: JsonObject
  rule: RoutingRule | undefined
}

export interface PageProblem {
  /** `mappings.0.trigger`, `filters.1`. */
  path: string
  problem: string
}

/** The library puts its own CDN in place of this host. */
const CDN_OF_THE_LIBRARY = 'https://cdn.segment.com'
const actionsPath: Record<PathNames, string> = { usual: '/next-integrations/actions', neutral: '/d' }

/** Directives that the bundles' mapping knows; the others would go out as they are written. */
const knownDirectives = new Set(['@path', '@template', '@if', '@case', '@replace', '@arrayPath', '@literal'])

/** What a page would do otherwise than it is meant; empty when it can run there. */
export function checkForPage({
  mappings = [],
  filters,
}: {
  mappings?: readonly { trigger: string; fields: unknown }[]
  filters: readonly FilterSnapshot[]
}): PageProblem[] {
  const problems: PageProblem[] = []
  for (const [i, { trigger, fields }] of mappings.entries()) {
    const forPage = triggerForPage(trigger)
    // That it does not parse is told elsewhere, as of every trigger.
    if (!forPage.ok && checkTrigger(trigger) === undefined)
      problems.push({ path: `mappings.${i}.trigger`, problem: forPage.problem })
    for (const name of directivesIn(fields)) {
      if (knownDirectives.has(name)) continue
      problems.push({ path: `mappings.${i}.fields`, problem: `Web pages do not know the directive ${name}.` })
    }
  }
  const one = filters.map((filter) => routingRuleFor('', [filter]))
  for (const [i, forPage] of one.entries())
    if (!forPage.ok && checkFilter(filters[i]!.if) === undefined)
      problems.push({ path: `filters.${i}`, problem: forPage.problem })
  const all = routingRuleFor('', filters)
  if (!all.ok && one.every(({ ok }) => ok)) problems.push({ path: 'filters', problem: all.problem })
  return problems
}

function directivesIn(value: unknown): Set<string> {
  if (typeof value !== 'object' || value === null) return new Set()
  return new Set(
    Object.entries(value).flatMap(([key, inner]) => {
      const found = key.startsWith('@') ? [key] : []
      // What stands below @literal is no mapping.
      return key === '@literal' ? found : [...found, ...directivesIn(inner)]
    }),
  )
}

/** Undefined for a destination that has nothing to do in a page, or cannot do there what it is meant to. */
export function inPageOf(destination: DestinationSnapshot, names: PathNames): InPage | undefined {
  const definition = browserDestination(destination.type)
  if (definition === undefined) return undefined
  const { name } = definition
  const forPage = routingRuleFor(name, destination.filters)
  const subscriptions = subscriptionsOf(destination, definition)
  // Without the filter that was asked for nothing may go out.
  if (!forPage.ok || subscriptions.length === 0) return undefined
  const settings = { ...defaultsOf(definition), ...destination.settings }
  const folder = names === 'usual' ? destination.type : obfuscated(destination.type)
  return {
    plugin: {
      name,
      creationName: name,
      libraryName: `${destination.type}Destination`,
      url: `${CDN_OF_THE_LIBRARY}${actionsPath[names]}/${folder}/${definition.file}`,
      settings: { ...settings, subscriptions },
    },
    integration: {
      ...settings,
      // The library reports it in `_metadata`, by which the server knows that its own copy must not go out.
      ...(sendsItself(definition) ? { bundlingStatus: 'bundled' } : {}),
      // Of a destination with the component `browser` the library would load a bundle of the older kind.
      versionSettings: { componentTypes: [] },
      ...(hasCategories(destination) ? { consentSettings: { categories: destination.consentCategories } } : {}),
    },
    rule: forPage.value,
  }
}

export function hasCategories({ consentCategories = [] }: DestinationSnapshot): boolean {
  return consentCategories.length > 0
}

/** The name of a bundle's other folder. */
export function obfuscated(slug: string): string {
  return Buffer.from(slug).toString('base64').replaceAll('=', '')
}

function subscriptionsOf({ mappings }: DestinationSnapshot, { presets }: BrowserDestination): Subscription[] {
  if (mappings !== undefined) return mappings.filter(({ isEnabled }) => isEnabled).flatMap(subscriptionOf)
  return presets.flatMap(({ name, action, trigger, fields }) =>
    subscriptionOf({ id: `preset:${name}`, name, action, trigger, fields, isEnabled: true }),
  )
}

function subscriptionOf({ id, name, action, trigger, fields }: MappingSnapshot): Subscription[] {
  const forPage = triggerForPage(trigger)
  if (!forPage.ok) return []
  return [{ id, name, enabled: true, partnerAction: action, subscribe: forPage.value, mapping: fields }]
}

/** What a form would have filled in. */
function defaultsOf({ settings }: BrowserDestination): JsonObject {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([key, field]) => (field.default === undefined ? [] : [[key, field.default]])),
  )
}
