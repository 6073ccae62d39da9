/** What the config file is checked against beyond its shape: the language, the connectors, addresses. */
import type { Catalog } from '../catalog/index.ts'
import { isAddressRange } from '../egress/index.ts'
import { checkForPage } from '../browser/index.ts'
import { fitValues, type Fields } from '../kit/index.ts'
import { parseFieldName } from '../language/index.ts'
import type { ConfigChecks, ConfigProblem, MappingToCheck, Placement } from '../store/index.ts'

export async function configChecks(catalog: Catalog): Promise<ConfigChecks> {
  return {
    async destination(type, settings, mappings, { mode, filters } = inCloud) {
      const definition = mode === 'device' ? catalog.inPage(type) : await catalog.destination(type)
      const problems = mappings.flatMap((mapping, i) => checkMapping(type, definition, mapping, `mappings[${i}]`))
      return [
        ...(await catalog.checkDestinationSettings(type, settings, mode)),
        ...problems,
        ...(mode === 'device' ? checkForPage({ mappings, filters }) : []),
      ]
    },
    defaultMode: (type) => catalog.defaultMode(type),
    warehouse: (type, settings) => catalog.checkWarehouseSettings(type, settings),
    isAddressRange,
    async secretSettings(kind, type, mode) {
      // What goes into a page is no secret.
      if (mode === 'device') return []
      const { settings = {} } = kind === 'destination' ? await catalog.destination(type) : await catalog.warehouse(type)
      return Object.keys(settings).filter((name) => settings[name]?.type === 'password')
    },
  }
}

const inCloud: Placement = { mode: 'cloud', filters: [] }

function checkMapping(
  type: string,
  { actions }: { actions: Record<string, { fields: Fields }> },
  { action, fields }: MappingToCheck,
  path: string,
): ConfigProblem[] {
  if (!Object.hasOwn(actions, action)) {
    const known = Object.keys(actions).join(', ')
    return [{ path: `${path}.action`, problem: `The type "${type}" has no action "${action}"; it has ${known}.` }]
  }
  return Object.entries(fields).flatMap(([name, value]) => {
    // hasOwn has just found it.
    const problem = checkField(actions[action]!.fields, name, value)
    return problem === undefined ? [] : [{ path: `${path}.fields.${name}`, problem }]
  })
}

/** What is wrong with one field of a mapping, as far as it can be told before there is a message. */
function checkField(known: Fields, name: string, value: unknown): string | undefined {
  const [key = name, ...rest] = parseFieldName(name)
  const field = Object.hasOwn(known, key) ? known[key] : undefined
  if (field === undefined) return `There is no such field; the action has ${Object.keys(known).join(', ')}.`
  if (rest.length > 0 || hasDirective(value)) return undefined
  return fitValues({ [key]: { ...field, required: false } }, { [key]: value }).problems[0]
}

function hasDirective(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, inner]) => name.startsWith('@') || hasDirective(inner))
}
