import { browserCatalogue, type BrowserDestination } from '../../src/browser/index.ts'
import { createCatalog } from '../../src/catalog/index.ts'
import type { DestinationDefinition, Fields, WarehouseDefinition } from '../../src/kit/index.ts'
import { code, page, table } from './markdown.ts'

/** One page for each connector, by file name. */
export async function connectorPages(root: string): Promise<Map<string, string>> {
  const catalog = createCatalog({ directory: `${root}/connectors` })
  const types = await catalog.listTypes()
  const pages = new Map<string, string>()
  for (const type of types.destinations) pages.set(`${type}.md`, destinationPage(type, await catalog.destination(type)))
  for (const type of types.warehouses) pages.set(`${type}.md`, warehousePage(type, await catalog.warehouse(type)))
  pages.set('in-web-pages.md', inPagesPage())
  return pages
}

function destinationPage(type: string, definition: DestinationDefinition): string {
  const { name, otherNames = [], description, settings, supports, actions, presets } = definition
  const names = [name, ...otherNames].map(code).join(' or ')
  return page(
    name,
    `connectors/destinations/${type}`,
    `${description}\n\nA destination: \`type: ${type}\`. In the \`integrations\` object of a message its name is ${names}. It takes ${supports === undefined ? 'all six calls' : supports.map(code).join(', ')}.`,
    '## Settings',
    fieldTable(settings),
    ...Object.entries(actions).flatMap(([action, { title, description, fields }]) => [
      `## Action \`${action}\`: ${title}`,
      description,
      fieldTable(fields),
    ]),
    '## Presets',
    'Mappings that a destination has when its configuration names none. A field that is left out takes its default.',
    table(
      ['Preset', 'Action', 'Trigger', 'Fields'],
      presets.map((preset) => [
        preset.name,
        code(preset.action),
        code(preset.trigger),
        code(JSON.stringify(preset.fields)),
      ]),
    ),
  )
}

function inPagesPage(): string {
  const { destinations, version } = browserCatalogue()
  return page(
    'Destinations in web pages',
    'src/browser/destinations.json',
    `They run in the page ([device mode](../../guide/device-mode.md)); their code is that of \`@segment/browser-destinations\` ${version}.`,
    ...Object.entries(destinations).flatMap(([type, destination]) => inPageSections(type, destination)),
  )
}

function inPageSections(type: string, { name, settings, actions, presets }: BrowserDestination): string[] {
  return [
    `## ${name}`,
    `\`type: ${type}\`; in the \`integrations\` object of a message its name is \`${name}\`.`,
    fieldTable(settings),
    table(
      ['Action', 'Fields'],
      Object.entries(actions).map(([action, { fields, sends }]) => [
        `${code(action)}${sends ? '' : ', which changes messages for others'}`,
        Object.entries(fields)
          .map(([key, { required }]) => `${code(key)}${required ? ' (required)' : ''}`)
          .join(', ') || 'none',
      ]),
    ),
    presets.length === 0
      ? 'No presets: it needs mappings.'
      : table(
          ['Preset', 'Action', 'Trigger'],
          presets.map((preset) => [preset.name, code(preset.action), code(preset.trigger)]),
        ),
  ]
}

function warehousePage(type: string, definition: WarehouseDefinition): string {
  const { name, description, settings = {}, identifierBytesMax, canWiden } = definition
  return page(
    name,
    `connectors/warehouses/${type}`,
    `${description}\n\nA warehouse: \`type: ${type}\`.`,
    '## Settings',
    fieldTable(settings),
    '## Dialect',
    `Names are cut at ${identifierBytesMax} bytes. Columns are widened in place: ${[...canWiden].map((pair) => code(pair.replace('>', ' → '))).join(', ') || 'none'}.`,
  )
}

function fieldTable(fields: Fields): string {
  const rows = Object.entries(fields).map(([key, field]) => [
    code(key),
    `${field.multiple ? 'list of ' : ''}${field.type}${field.required ? ', required' : ''}`,
    field.default === undefined ? '' : code(JSON.stringify(field.default)),
    `${field.description}${field.choices === undefined ? '' : ` One of ${field.choices.map(({ value }) => code(value)).join(', ')}.`}`,
  ])
  return rows.length === 0 ? 'None.' : table(['Field', 'Type', 'Default', 'What it is'], rows)
}
