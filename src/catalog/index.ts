/** The door of the catalogue: connector folders by their type. */
export { createCatalog } from './catalog.ts'
export type { Catalog, CatalogParts } from './catalog.ts'
