/** A connection's configuration, compiled: what `decide.ts` asks for each message and what an attempt needs. Made anew
 *  when the configuration changes. */
import { messageOf } from '../base/errors.ts'
import { eventKinds } from '../journal/index.ts'
import { fitValues, type ActionDefinition, type DestinationDefinition, type Fields } from '../kit/index.ts'
import {
  compileFilters,
  compileMapping,
  compileTrigger,
  isWholeMessage,
  triggerNeedsOnlyType,
  type FilterVerdict,
} from '../language/index.ts'
import { calls, type Call, type JsonObject } from '../protocol/index.ts'
import type { DeliverySettings, DestinationSnapshot, FilterSnapshot, MappingSnapshot } from '../snapshot/index.ts'

export type CheckedPayload = { ok: true; payload: JsonObject } | { ok: false; problem: string }

export interface ConnectionPlan {
  isEnabled: boolean
  /** Names by which the `integrations` object may address the destination, display name first. */
  names: string[]
  /** What a person who says what they agree to must have agreed to. */
  consentCategories: readonly string[]
  /** With secrets in the clear. */
  settings: JsonObject
  /** Why the settings cannot work, as a sentence. */
  settingsProblem: string | undefined
  /** Values of the settings that must not show up in what we keep of answers. */
  secrets: string[]
  delivery: DeliverySettings
  /** Kinds of frames that the destination takes. */
  supports: ReadonlySet<number>
  filter: ((message: JsonObject) => FilterVerdict) | undefined
  /** The part of the filters that removes properties; never decides whether a message goes out, save when it cannot be told. */
  strip: ((message: JsonObject) => FilterVerdict) | undefined
  /** Enabled mappings, in order. */
  mappings: MappingPlan[]
}

export interface MappingPlan {
  id: string
  /** Undefined when the destination has no such action; `payloadOf` then says so. */
  action: ActionDefinition | undefined
  /** Kinds of frames whose messages match, when the trigger asks for nothing but the type. */
  kinds: ReadonlySet<number> | undefined
  matches: (message: JsonObject) => boolean
  payloadOf: (message: ParsedLazily) => CheckedPayload
}

/** A message that is parsed when someone looks inside. */
export interface ParsedLazily {
  readonly parsed: JsonObject
}

export interface PlanParts {
  destination: DestinationSnapshot
  definition: DestinationDefinition
  settings: JsonObject
  /** Defaults of the deployment. */
  delivery: DeliverySettings
  random: () => number
}

export function compilePlan({ destination, definition, settings, delivery, random }: PlanParts): ConnectionPlan {
  const filters = destination.filters.filter(({ isEnabled }) => isEnabled)
  const mappings = (destination.mappings ?? presetMappings(definition)).filter(({ isEnabled }) => isEnabled)
  return {
    isEnabled: destination.isEnabled,
    names: [definition.name, ...(definition.otherNames ?? [])],
    consentCategories: destination.consentCategories ?? [],
    settings,
    settingsProblem: settingsProblem(definition, settings),
    secrets: secretsOf(definition.settings, settings),
    delivery: { ...delivery, ...destination.delivery },
    supports: kindsOf(definition.supports ?? calls),
    filter: compileUnlessEmpty(filters, random),
    strip: compileUnlessEmpty(stripping(filters), random),
    mappings: mappings.map((mapping) => compileMappingPlan(mapping, definition)),
  }
}

function compileUnlessEmpty(filters: FilterSnapshot[], random: () => number): ConnectionPlan['filter'] {
  return filters.length === 0 ? undefined : compileFilters(filters, random)
}

function stripping(filters: FilterSnapshot[]): FilterSnapshot[] {
  return filters.flatMap((filter) => {
    const actions = filter.actions.filter(({ type }) => type === 'DROP_PROPERTIES' || type === 'ALLOW_PROPERTIES')
    return actions.length === 0 ? [] : [{ ...filter, actions }]
  })
}

/** What a destination without mappings of its own does: its presets, fields left out taking their default. */
export function presetMappings(definition: DestinationDefinition): MappingSnapshot[] {
  return definition.presets.map(({ name, action, trigger, fields }) => ({
    id: `preset:${name}`,
    name,
    action,
    trigger,
    fields: { ...defaultsOf(definition.actions[action]?.fields ?? {}), ...fields },
    isEnabled: true,
  }))
}

function defaultsOf(fields: Fields): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, field]) => (field.default === undefined ? [] : [[key, field.default]])),
  )
}

function settingsProblem(definition: DestinationDefinition, settings: JsonObject): string | undefined {
  const { problems } = fitValues(definition.settings, settings)
  return problems.length > 0 ? problems.join(' ') : definition.checkSettings?.(settings)
}

function secretsOf(fields: Fields, settings: JsonObject): string[] {
  return Object.entries(fields).flatMap(([key, { type }]) => {
    const value = settings[key]
    return type === 'password' && typeof value === 'string' && value !== '' ? [value] : []
  })
}

function kindsOf(types: Iterable<Call>): ReadonlySet<number> {
  return new Set([...types].map((type) => eventKinds[type]))
}

function compileMappingPlan(mapping: MappingSnapshot, definition: DestinationDefinition): MappingPlan {
  const types = triggerNeedsOnlyType(mapping.trigger)
  const action = Object.hasOwn(definition.actions, mapping.action) ? definition.actions[mapping.action] : undefined
  return {
    id: mapping.id,
    action,
    kinds: types && kindsOf(types),
    matches: compileTrigger(mapping.trigger),
    payloadOf: action
      ? compilePayload(mapping.fields, action.fields)
      : always({ ok: false, problem: `The destination has no action ${mapping.action}.` }),
  }
}

/** Makes the checked payload of a message. Fields that take the whole message are left to `messagesJson`; where only they
 *  look at the message, the payload is the same for all of them and none is parsed. */
function compilePayload(fields: JsonObject, actionFields: Fields): MappingPlan['payloadOf'] {
  const isLeftOut = (key: string) => isWholeMessage(fields[key])
  const mapped = Object.fromEntries(Object.entries(fields).filter(([key]) => !isLeftOut(key)))
  const expected = Object.fromEntries(Object.entries(actionFields).filter(([key]) => !isLeftOut(key)))
  try {
    const { resolve: resolveMapping } = compileMapping(mapped)
    // An action may take a missing field as the whole message. One that was mapped and came to nothing is not that.
    const standIns = Object.keys(mapped).filter((key) => isWholeMessage(actionFields[key]?.default))
    const resolve = (message: JsonObject) => nullIfMissing(resolveMapping(message), standIns)
    if (holdsDirective(mapped)) return ({ parsed }) => resolveAndCheck(resolve, expected, parsed)
    return always(resolveAndCheck(resolve, expected, {}))
  } catch (error) {
    return always({ ok: false, problem: messageOf(error) })
  }
}

function nullIfMissing(payload: JsonObject, keys: readonly string[]): JsonObject {
  if (keys.every((key) => payload[key] !== undefined)) return payload
  return { ...payload, ...Object.fromEntries(keys.map((key) => [key, payload[key] ?? null])) }
}

function resolveAndCheck(
  resolve: (message: JsonObject) => JsonObject,
  expected: Fields,
  message: JsonObject,
): CheckedPayload {
  try {
    const { values, problems } = fitValues(expected, resolve(message))
    return problems.length === 0 ? { ok: true, payload: values } : { ok: false, problem: problems.join(' ') }
  } catch (error) {
    // A directive met something it cannot work with (a path that is not a text, a broken template): this message will never fit.
    return { ok: false, problem: messageOf(error) }
  }
}

/** Whether anything in the mapping may look at the message. */
function holdsDirective(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, inner]) => key.startsWith('@') || holdsDirective(inner))
}

function always(result: CheckedPayload): () => CheckedPayload {
  return () => result
}
