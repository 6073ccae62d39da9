/** What the config file is checked against beyond its shape: the language, the connectors, addresses. */
import type { Catalog } from '../catalog/index.ts'
import { isAddressRange } from '../egress/index.ts'
import type { ConfigChecks } from '../store/index.ts'

export async function configChecks(catalog: Catalog): Promise<ConfigChecks> {
  return {
    destination: (type, settings) => catalog.checkDestinationSettings(type, settings),
    warehouse: (type, settings) => catalog.checkWarehouseSettings(type, settings),
    isAddressRange,
  }
}
