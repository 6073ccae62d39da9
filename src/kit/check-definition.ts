/** Checks what a connector author wrote, when it is loaded and in its tests: everything that the form, the docs and delivery
 *  will rely on. */
import { checkTrigger, validateMapping } from '../language/index.ts'
import { isJsonObject } from '../protocol/index.ts'
import type { ActionDefinition, DestinationDefinition, Preset } from './destination.ts'
import type { Field, Fields } from './field.ts'
import { fitValue } from './fit-values.ts'
import type { WarehouseDefinition } from './warehouse.ts'

/** What is wrong with a destination, as sentences; empty when nothing is. */
export function checkDestination(definition: DestinationDefinition): string[] {
  const { name, description, settings, actions, presets } = definition
  return [
    ...missingTexts('The destination', { name, description }),
    ...checkFields('Setting', settings),
    ...(Object.keys(actions).length === 0 ? ['The destination has no action.'] : []),
    ...Object.entries(actions).flatMap(([slug, action]) => checkAction(slug, action)),
    ...presets.flatMap((preset) => checkPreset(preset, actions)),
  ]
}

/** What is wrong with a warehouse, as sentences; empty when nothing is. */
export function checkWarehouse({
  name,
  description,
  settings = {},
  identifierBytesMax,
}: WarehouseDefinition): string[] {
  return [
    ...missingTexts('The warehouse', { name, description }),
    ...checkFields('Setting', settings),
    ...(identifierBytesMax > 0 ? [] : ['identifierBytesMax must be positive.']),
  ]
}

function checkAction(slug: string, action: ActionDefinition): string[] {
  const { title, description, fields } = action
  return [
    ...missingTexts(`Action "${slug}"`, { title, description }),
    ...checkFields(`Field of action "${slug}"`, fields),
    ...(action.batchSizeMax && !action.performBatch ? [`Action "${slug}" has a batch size but no performBatch.`] : []),
  ]
}

function checkFields(place: string, fields: Fields): string[] {
  return Object.entries(fields).flatMap(([key, field]) => {
    const at = `${place} "${key}"`
    return [...missingTexts(at, { label: field.label, description: field.description }), ...checkDefault(at, field)]
  })
}

function checkDefault(at: string, field: Field): string[] {
  if (field.default === undefined) return []
  if (holdsDirective(field.default)) return mappingProblems(`${at}: its default`, field.default)
  return fitValue(field, field.default) === undefined ? [`${at}: its default does not fit its type.`] : []
}

function checkPreset({ name, action, trigger, fields }: Preset, actions: Record<string, ActionDefinition>): string[] {
  const at = `Preset "${name}"`
  const known = actions[action]?.fields
  if (known === undefined) return [`${at} names the action "${action}", which there is not.`]
  const triggerProblem = checkTrigger(trigger)
  return [
    ...(triggerProblem === undefined ? [] : [`${at}: ${triggerProblem}`]),
    ...Object.keys(fields)
      .filter((key) => !Object.hasOwn(known, key))
      .map((key) => `${at} fills "${key}", which action "${action}" has not.`),
    ...mappingProblems(at, fields),
  ]
}

function mappingProblems(at: string, mapping: unknown): string[] {
  return validateMapping(mapping).map(({ path, problem }) => `${at}, at ${path}: ${problem}.`)
}

function missingTexts(at: string, texts: Record<string, string>): string[] {
  return Object.entries(texts)
    .filter(([, text]) => typeof text !== 'string' || text.trim() === '')
    .map(([what]) => `${at} has no ${what}.`)
}

/** Whether a default looks at the message rather than being a value. */
function holdsDirective(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsDirective)
  if (!isJsonObject(value)) return false
  return Object.entries(value).some(([key, inner]) => key.startsWith('@') || holdsDirective(inner))
}
