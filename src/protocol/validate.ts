/** What makes a message invalid, beyond its ids (contract: spec.md §9). The first fault found is the message's code. */
import { CONSENT_EVENT } from './consent.ts'
import { isJsonObject, isRawNumber } from './json-values.ts'
import type { Call, JsonObject } from './message.ts'
import type { RejectedCode } from './reason-codes.ts'

/** The code of the first fault in the fields that belong to the call. A field of another call is unknown here: kept, not judged. */
export function faultOf(call: Call, sent: JsonObject, context: JsonObject): RejectedCode | undefined {
  switch (call) {
    case 'track':
      return faultOfEvent(sent['event']) ?? faultOfProperties(sent) ?? faultOfConsent(sent['event'], context)
    case 'page':
    case 'screen':
      return faultOfProperties(sent) ?? faultOfLabels(sent)
    case 'identify':
    case 'group':
      return isObjectOrEmpty(sent['traits']) ? undefined : 'traits_not_object'
    case 'alias':
      return undefined
  }
}

/** Null counts as `{}`, and so does an empty array: PHP has one array type. */
export function isEmptyObjectText(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0)
}

/** Null and `""` count as absent. */
export function isAbsentLabel(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}

function isObjectOrEmpty(value: unknown): boolean {
  return value === undefined || isEmptyObjectText(value) || isJsonObject(value)
}

function faultOfEvent(event: unknown): RejectedCode | undefined {
  if (isAbsentLabel(event)) return 'event_not_defined'
  return typeof event === 'string' ? undefined : 'event_not_string'
}

function faultOfProperties(sent: JsonObject): RejectedCode | undefined {
  return isObjectOrEmpty(sent['properties']) ? undefined : 'properties_not_object'
}

function faultOfLabels({ name, category }: JsonObject): RejectedCode | undefined {
  if (!isAbsentLabel(name) && typeof name !== 'string') return 'name_not_string'
  if (!isAbsentLabel(category) && typeof category !== 'string') return 'category_not_string'
  return undefined
}

/** The one event that must be well formed, because a person's refusal hangs on it (contract: privacy.md §4). */
function faultOfConsent(event: unknown, context: JsonObject): RejectedCode | undefined {
  if (event !== CONSENT_EVENT) return undefined
  const consent = isJsonObject(context['consent']) ? context['consent'] : {}
  const device = isJsonObject(context['device']) ? context['device'] : {}
  const preferences = consent['categoryPreferences'] ?? null
  if (preferences === null) return 'consent_categorypreferences_should_exist'
  if (!isJsonObject(preferences)) return 'consent_categorypreferences_fields_should_be_object'
  if (!Object.values(preferences).every((value) => typeof value === 'boolean'))
    return 'consent_categorypreferences_fields_should_be_bool'
  const version = consent['version'] ?? null
  if (version !== null && typeof version !== 'number' && !isRawNumber(version))
    return 'consent_version_should_be_number'
  const advertisingId = device['advertisingId'] ?? null
  if (advertisingId !== null && typeof advertisingId !== 'string') return 'device_advertisingid_should_be_string'
  return undefined
}
