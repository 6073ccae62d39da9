/** The connectors of this installation: the folders under `connectors/`, each loaded when it is first used. */
import { glob } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AppError, messageOf } from '../base/errors.ts'
import { browserCatalogue, browserDestination, type BrowserDestination } from '../browser/index.ts'
import {
  checkDestination,
  checkSettings,
  checkWarehouse,
  type DestinationDefinition,
  type Fields,
  type WarehouseDefinition,
} from '../kit/index.ts'

export interface Catalog {
  /** Types that a configuration may name, sorted. */
  listTypes(): Promise<{ destinations: string[]; warehouses: string[] }>
  /** Throws `unknown_destination_type` with the known ones as a hint, and `broken_connector` when the folder holds no sound definition. */
  destination(type: string): Promise<DestinationDefinition>
  /** A destination as it runs in web pages. Throws `unknown_destination_type` with those that do. */
  inPage(type: string): BrowserDestination
  /** How a destination of this type works when nobody says: in the page where it can work nowhere else. */
  defaultMode(type: string): Promise<'cloud' | 'device'>
  /** Throws `unknown_warehouse_type` and `broken_connector` likewise. */
  warehouse(type: string): Promise<WarehouseDefinition>
  /** What is wrong with the settings, as sentences for the person who wrote them; empty when they can work. */
  checkDestinationSettings(
    type: string,
    settings: Record<string, unknown>,
    mode?: 'cloud' | 'device',
  ): Promise<string[]>
  checkWarehouseSettings(type: string, settings: Record<string, unknown>): Promise<string[]>
}

export interface CatalogParts {
  /** Absolute path of the folder `connectors`. */
  directory: string
}

export function createCatalog({ directory }: CatalogParts): Catalog {
  const destinations = createShelf<DestinationDefinition>(
    'destination',
    join(directory, 'destinations'),
    checkDestination,
  )
  const warehouses = createShelf<WarehouseDefinition>('warehouse', join(directory, 'warehouses'), checkWarehouse)
  return {
    async listTypes() {
      return { destinations: await destinations.list(), warehouses: await warehouses.list() }
    },
    destination: destinations.get,
    inPage(type) {
      const found = browserDestination(type)
      if (found === undefined) throw notInPage(type)
      return found
    },
    async defaultMode(type) {
      const types = await destinations.list()
      return !types.includes(type) && browserDestination(type) !== undefined ? 'device' : 'cloud'
    },
    warehouse: warehouses.get,
    async checkDestinationSettings(type, settings, mode = 'cloud') {
      if (mode === 'device') return checkAll(this.inPage(type), settings)
      return checkAll(await destinations.get(type), settings)
    },
    async checkWarehouseSettings(type, settings) {
      return checkAll(await warehouses.get(type), settings)
    },
  }
}

/** The connector's own check comes last, when every setting has its type. */
function checkAll(
  definition: Pick<DestinationDefinition, 'checkSettings'> & { settings?: Fields },
  settings: Record<string, unknown>,
): string[] {
  const problems = definition.settings ? checkSettings(definition.settings, settings) : []
  const problem = problems.length === 0 ? definition.checkSettings?.(settings) : undefined
  return problem === undefined ? problems : [problem]
}

interface Shelf<Definition> {
  list(): Promise<string[]>
  get(type: string): Promise<Definition>
}

/** The folders of one kind of connector. */
function createShelf<Definition extends object>(
  kind: 'destination' | 'warehouse',
  directory: string,
  check: (definition: Definition) => string[],
): Shelf<Definition> {
  const loaded = new Map<string, Promise<Definition>>()

  async function list(): Promise<string[]> {
    const types: string[] = []
    // Folders without one are leftovers, not connectors.
    for await (const path of glob('*/index.ts', { cwd: directory })) types.push(dirname(path))
    return types.sort()
  }

  async function load(type: string): Promise<Definition> {
    // Looking the type up in the listing, rather than in the file system, also keeps `../` out.
    const types = await list()
    if (!types.includes(type)) throw unknownType(kind, type, types)
    const definition = await importDefault<Definition>(kind, type, join(directory, type, 'index.ts'))
    const problems = check(definition)
    if (problems.length > 0) throw brokenConnector(kind, type, problems.join(' '))
    return definition
  }

  return {
    list,
    get(type) {
      const known = loaded.get(type)
      if (known) return known
      const loading = load(type)
      loaded.set(type, loading)
      // A folder may be added or mended while we run.
      loading.catch(() => loaded.delete(type))
      return loading
    },
  }
}

async function importDefault<Definition extends object>(kind: string, type: string, path: string): Promise<Definition> {
  let module: { default?: unknown }
  try {
    module = (await import(pathToFileURL(path).href)) as { default?: unknown }
  } catch (error) {
    throw brokenConnector(kind, type, messageOf(error), error)
  }
  if (typeof module.default !== 'object' || module.default === null) {
    throw brokenConnector(kind, type, 'Its index.ts has no default export made by the kit.')
  }
  // TypeScript checks what the folder exports; `check` then looks at what types cannot say.
  return module.default as Definition
}

function notInPage(type: string): AppError {
  return new AppError('unknown_destination_type', 400, `No destination of type "${type}" runs in web pages.`, {
    hint: `Types that do: ${Object.keys(browserCatalogue().destinations).join(', ')}.`,
  })
}

function unknownType(kind: string, type: string, types: string[]): AppError {
  return new AppError(`unknown_${kind}_type`, 400, `There is no ${kind} type "${type}".`, {
    hint: types.length === 0 ? `No ${kind} connectors are installed.` : `Known types: ${types.join(', ')}.`,
  })
}

function brokenConnector(kind: string, type: string, reason: string, cause?: unknown): AppError {
  return new AppError('broken_connector', 500, `The ${kind} connector "${type}" cannot be used. ${reason}`, {
    hint: `Look at connectors/${kind}s/${type}/index.ts.`,
    cause,
  })
}
