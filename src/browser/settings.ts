import type { PublicAddress } from './public-address.ts'

/**
 * What browser and mobile libraries ask for before they send anything (contract: ingest.md §11, sdk-wire.md §5). The types of
 * all values matter: the Kotlin library gives up all settings over one string where it expects an object.
 *
 * - Without `apiKey` the library sends no key at all; without `apiHost` it sends to its maker, as the mobile libraries do.
 * - A second entry in `integrations` makes every page load the chunk for destinations that run in the page, so destinations
 *   that run here are not listed. That also keeps the list of a workspace's destinations from being public.
 * - `metrics` keeps the library's telemetry off, and away from its maker.
 */
export function settingsFor(writeKey: string, { protocol, host }: PublicAddress): object {
  const apiHost = `${host}/v1`
  const isAllowed = { enabled: true, integrations: {} }
  return {
    integrations: {
      'Segment.io': {
        apiKey: writeKey,
        apiHost,
        protocol,
        unbundledIntegrations: [],
        addBundledMetadata: true,
        maybeBundledConfigIds: {},
        versionSettings: { version: '4.4.7', componentTypes: ['browser'] },
      },
    },
    plan: { track: { __default: isAllowed }, identify: { __default: isAllowed }, group: { __default: isAllowed } },
    remotePlugins: [],
    middlewareSettings: { routingRules: [] },
    enabledMiddleware: {},
    metrics: { sampleRate: 0, host: apiHost },
    legacyVideoPluginsEnabled: false,
    // No category is mapped to a destination yet, so consent tools must not conclude that nothing needs the library.
    consentSettings: { allCategories: [], hasUnmappedDestinations: true },
    edgeFunction: {},
    autoInstrumentationSettings: { sampleRate: 0 },
  }
}
