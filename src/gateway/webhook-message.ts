/** From what a webhook posted to the track call that is stored. */
import { compileMappingValue } from '../language/index.ts'
import { isJsonObject, isRawNumber, type JsonObject } from '../protocol/index.ts'

/** What the mapping of a source sees. */
export interface Posted {
  body: unknown
  /** Names in lower case. */
  headers: Record<string, unknown>
  query: Record<string, unknown>
}

/** Field of the message -> its value for one request; undefined when it has none. */
export type WebhookFields = ReadonlyMap<string, (posted: Posted) => unknown>

/** The name of the event when the settings give none. */
export const DEFAULT_EVENT = 'Webhook Received'

/** Makes the functions that resolve the fields. A field whose mapping is not valid has no value: the config file was checked when it
 *  was applied, so only a later version that took a directive away can come here. */
export function compileWebhookFields(fields: Record<string, unknown>): WebhookFields {
  return new Map(Object.entries(fields).map(([name, mapping]) => [name, withoutFailure(() => compile(mapping))]))
}

function compile(mapping: unknown): (posted: Posted) => unknown {
  const resolve = compileMappingValue(mapping)
  return (posted) => resolve({ ...posted })
}

/** A field that cannot be resolved is left out. Refusing the request would lose what it brought; without the field the message is
 *  taken, or rejected with its payload kept. */
function withoutFailure(make: () => (posted: Posted) => unknown): (posted: Posted) => unknown {
  try {
    const resolve = make()
    return (posted) => {
      try {
        return resolve(posted)
      } catch {
        return undefined
      }
    }
  } catch {
    return () => undefined
  }
}

/** The track call. Without a mapping its properties are the body, and whoever it is about is a new anonymous person: all messages of a
 *  source must not become one profile. */
export function messageOfWebhook(fields: WebhookFields, posted: Posted, newId: () => string): JsonObject {
  const message: JsonObject = { type: 'track', event: DEFAULT_EVENT, properties: propertiesOf(posted.body) }
  for (const [name, resolve] of fields) {
    const value = resolve(posted)
    if (value === undefined) delete message[name]
    else message[name] = value
  }
  if (isAbsent(message['userId']) && isAbsent(message['anonymousId'])) message['anonymousId'] = newId()
  return message
}

/** An object is what properties have to be; anything else stands in `value`. */
function propertiesOf(body: unknown): JsonObject {
  return isJsonObject(body) && !isRawNumber(body) ? body : { value: body }
}

function isAbsent(id: unknown): boolean {
  return id === undefined || id === null || id === ''
}
