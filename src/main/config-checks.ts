/** What the config file is checked against beyond its shape: the language, the connectors, addresses. */
import type { Catalog } from '../catalog/index.ts'
import { isAddressRange } from '../egress/index.ts'
import type { ConfigChecks } from '../store/index.ts'

export async function configChecks(catalog: Catalog): Promise<ConfigChecks> {
  return {
    async destination(type, settings, actions) {
      const known = Object.keys((await catalog.destination(type)).actions)
      const problems = actions.flatMap((action, i) =>
        known.includes(action)
          ? []
          : [
              {
                path: `mappings[${i}].action`,
                problem: `The type "${type}" has no action "${action}"; it has ${known.join(', ')}.`,
              },
            ],
      )
      return [...(await catalog.checkDestinationSettings(type, settings)), ...problems]
    },
    warehouse: (type, settings) => catalog.checkWarehouseSettings(type, settings),
    isAddressRange,
    async secretSettings(kind, type) {
      const { settings = {} } = kind === 'destination' ? await catalog.destination(type) : await catalog.warehouse(type)
      return Object.keys(settings).filter((name) => settings[name]?.type === 'password')
    },
  }
}
