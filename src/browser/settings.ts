import type { JsonObject } from '../protocol/index.ts'
import type { BrowserSettings, DestinationSnapshot, SchemaControls, SourceSnapshot } from '../snapshot/index.ts'
import { hasCategories, inPageOf } from './device-mode.ts'
import { apiHostOf, type PathNames, type PublicAddress } from './public-address.ts'

export interface SettingsParts {
  writeKey: string
  source: Pick<SourceSnapshot, 'browser' | 'schema'>
  /** Those of the source. */
  destinations: readonly DestinationSnapshot[]
  address: PublicAddress
  names: PathNames
}

/**
 * What browser and mobile libraries ask for before they send anything (contract: ingest.md §11, sdk-wire.md §5). The types of
 * all values matter: the Kotlin library gives up all settings over one string where it expects an object.
 *
 * - Without `apiKey` the library sends no key at all; without `apiHost` it sends to its maker, as the mobile libraries do.
 * - A second entry in `integrations` makes every page load the chunk for destinations that run in the page, so destinations
 *   that run here are not listed. That also keeps the list of a workspace's destinations from being public.
 * - `metrics` keeps the library's telemetry off, and away from its maker.
 */
export function settingsFor({ writeKey, source, destinations, address, names }: SettingsParts): object {
  const apiHost = apiHostOf(address, writeKey, names)
  const { deliveryStrategy, hasDeviceModeFilters = true } = source.browser ?? {}
  const inPage = destinations
    .filter(({ mode, isEnabled }) => mode === 'device' && isEnabled)
    .flatMap((destination) => inPageOf(destination, names) ?? [])
  return {
    integrations: {
      'Segment.io': {
        apiKey: writeKey,
        apiHost,
        protocol: address.protocol,
        unbundledIntegrations: [],
        addBundledMetadata: true,
        maybeBundledConfigIds: {},
        versionSettings: { version: '4.4.7', componentTypes: ['browser'] },
        ...(deliveryStrategy === undefined ? {} : { deliveryStrategy }),
      },
      ...Object.fromEntries(inPage.map(({ plugin, integration }) => [plugin.name, integration])),
    },
    plan: planOf(source.browser?.plan, source.schema),
    remotePlugins: inPage.map(({ plugin }) => plugin),
    middlewareSettings: { routingRules: hasDeviceModeFilters ? inPage.flatMap(({ rule }) => rule ?? []) : [] },
    enabledMiddleware: {},
    metrics: { sampleRate: 0, host: apiHost },
    legacyVideoPluginsEnabled: false,
    consentSettings: consentSettingsOf(destinations.filter(({ isEnabled }) => isEnabled)),
    edgeFunction: {},
    autoInstrumentationSettings: { sampleRate: 0 },
  }
}

/** The rules for calls by what they are called; `__default` holds for those not named. */
function planOf(given: BrowserSettings['plan'] = {}, schema: SchemaControls | undefined): JsonObject {
  const { blockedEvents = [], blockedTraits = [], blockedGroupTraits = [] } = schema ?? {}
  const section = (name: string, blocked: readonly string[]) => {
    const rules = given[name]
    return {
      __default: { enabled: true, integrations: {} },
      ...(typeof rules === 'object' ? rules : {}),
      ...Object.fromEntries(blocked.map((each) => [each, { enabled: false, integrations: {} }])),
    }
  }
  return {
    ...given,
    track: section('track', blockedEvents),
    identify: section('identify', blockedTraits),
    group: section('group', blockedGroupTraits),
  }
}

/**
 * What consent tools decide by. Where every destination is mapped and a visitor agrees to none of the categories, they do not let
 * the library run at all; with a destination that is not mapped, or with none, nothing may be concluded.
 */
function consentSettingsOf(destinations: readonly DestinationSnapshot[]): JsonObject {
  const categories = new Set(destinations.flatMap(({ consentCategories = [] }) => consentCategories))
  return {
    allCategories: [...categories].sort(),
    hasUnmappedDestinations: categories.size === 0 || !destinations.every(hasCategories),
  }
}
