/**
 * Writes src/browser/destinations.json: what the npm package `@segment/browser-destinations` says of its destinations, so that
 * nothing of its code runs in our processes. Run `node scripts/browser-destinations.ts` after another version was installed;
 * `src/browser/browser-destinations.test.ts` fails while the file is stale.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { format } from 'prettier'
import type { BrowserAction, BrowserCatalogue, BrowserDestination } from '../src/browser/browser-destinations.ts'
import type { Field, Preset } from '../src/kit/index.ts'

const packageFolder = new URL('../', import.meta.resolve('@segment/browser-destinations'))
const target = new URL('../src/browser/destinations.json', import.meta.url)

/** What we read of a definition of the package. */
interface Definition {
  name: string
  description?: string
  settings?: Record<string, RawField>
  actions: Record<string, RawAction>
  presets?: { name: string; partnerAction: string; subscribe: string; mapping?: Record<string, unknown> }[]
}

interface RawAction {
  title: string
  description: string
  defaultSubscription?: string
  lifecycleHook?: string
  fields: Record<string, RawField>
}

interface RawField {
  type: Field['type']
  label?: string
  description?: string
  required?: boolean
  multiple?: boolean
  default?: unknown
  choices?: (string | { label: string; value: string })[]
  format?: string
}

/** The text of the file, as it should be with the package that is installed. */
export async function browserCatalogueText(): Promise<string> {
  return await format(JSON.stringify(readCatalogue()), { parser: 'json', printWidth: 120 })
}

function readCatalogue(): BrowserCatalogue {
  const files = readJson<Record<string, string>>('dist/web/manifest-latest.json')
  const { version } = readJson<{ version: string }>('package.json')
  const shared = readdirSync(new URL('dist/web/688/', packageFolder)).filter((name) => name.endsWith('.js'))
  return {
    version,
    sharedFiles: shared.map((name) => `688/${name}`),
    destinations: withBrowserGlobals(() =>
      Object.fromEntries(Object.entries(files).map(([slug, file]) => [slug, describe(slug, file)])),
    ),
  }
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, packageFolder), 'utf8')) as T
}

/** Some definitions look for a page while they are loaded. */
function withBrowserGlobals<T>(run: () => T): T {
  const scope = globalThis as Record<string, unknown>
  const before = { window: scope['window'], document: scope['document'] }
  Object.assign(scope, { window: scope, document: { createElement: () => ({}), getElementsByTagName: () => [] } })
  try {
    return run()
  } finally {
    Object.assign(scope, before)
  }
}

function describe(slug: string, file: string): BrowserDestination {
  const require = createRequire(import.meta.url)
  // The package's exports hide the single definitions, so they are read by their files.
  const path = fileURLToPath(new URL(`dist/cjs/destinations/${slug}/index.js`, packageFolder))
  const { destination } = require(path) as { destination: Definition }
  const { name, description = '', settings = {}, actions } = destination
  return {
    name,
    description,
    file,
    settings: mapValues(settings, fieldOf),
    actions: mapValues(actions, actionOf),
    presets: presetsOf(slug, destination),
  }
}

function actionOf(action: RawAction): BrowserAction {
  const { title, description, lifecycleHook = 'destination' } = action
  return { title, description, sends: lifecycleHook === 'destination', fields: mapValues(action.fields, fieldOf) }
}

function fieldOf(raw: RawField, key: string): Field {
  const { type, label = key, description = '', required = false, multiple = false, choices } = raw
  return {
    type,
    label,
    description,
    required,
    multiple,
    ...(raw.default === undefined ? {} : { default: raw.default }),
    ...(choices === undefined
      ? {}
      : {
          choices: choices.map((choice) => (typeof choice === 'string' ? { label: choice, value: choice } : choice)),
        }),
  }
}

/**
 * The package's own presets; an action that none of them uses, where there are none at all, gets the trigger that it suggests.
 * Of Google Analytics the package sets up the configuration only, twice for each page, so its presets are ours.
 */
function presetsOf(slug: string, { actions, presets = [] }: Definition): Preset[] {
  if (slug === 'google-analytics-4-web') return googleAnalyticsPresets(actions)
  if (presets.length > 0) {
    return presets.map(({ name, partnerAction: action, subscribe: trigger, mapping: fields = {} }) => {
      return { name, action, trigger, fields }
    })
  }
  return Object.entries(actions).flatMap(([action, { title, defaultSubscription: trigger, fields }]) =>
    trigger === undefined ? [] : [{ name: title, action, trigger, fields: defaultsOf(fields) }],
  )
}

/** Names of Segment's events by the action that takes them. */
const googleAnalyticsEvents: Record<string, string> = {
  addPaymentInfo: 'Payment Info Entered',
  login: 'Signed In',
  signUp: 'Signed Up',
  search: 'Products Searched',
  addToCart: 'Product Added',
  addToWishlist: 'Product Added to Wishlist',
  removeFromCart: 'Product Removed',
  selectItem: 'Product Clicked',
  selectPromotion: 'Promotion Clicked',
  viewItem: 'Product Viewed',
  viewPromotion: 'Promotion Viewed',
  beginCheckout: 'Checkout Started',
  purchase: 'Order Completed',
  refund: 'Order Refunded',
  viewCart: 'Cart Viewed',
  viewItemList: 'Product List Viewed',
}

function googleAnalyticsPresets(actions: Record<string, RawAction>): Preset[] {
  const preset = (action: string, trigger: string): Preset => {
    const found = actions[action]
    if (found === undefined) throw new Error(`google-analytics-4-web has no action ${action} any more`)
    return { name: found.title, action, trigger, fields: defaultsOf(found.fields) }
  }
  const events = Object.entries(googleAnalyticsEvents)
  const others = events.map(([, event]) => `event != "${event}"`).join(' and ')
  return [
    { ...preset('setConfigurationFields', 'type = "page"'), fields: {} },
    ...events.map(([action, event]) => preset(action, `type = "track" and event = "${event}"`)),
    preset('customEvent', `type = "track" and ${others}`),
  ]
}

function defaultsOf(fields: Record<string, RawField>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, field]) => (field.default === undefined ? [] : [[key, field.default]])),
  )
}

function mapValues<In, Out>(values: Record<string, In>, change: (value: In, key: string) => Out): Record<string, Out> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value, key)]))
}

if (import.meta.main) writeFileSync(target, await browserCatalogueText())
