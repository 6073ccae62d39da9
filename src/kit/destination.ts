/** What the author of a destination connector writes. See `connectors/destinations/webhook` for an example. */
import type { Call, JsonObject } from '../protocol/index.ts'
import type { Fields, ValuesOf } from './field.ts'

export interface DestinationDefinition {
  /** Display name; also its name in the `integrations` object. */
  name: string
  /** Other names that the `integrations` object may use. */
  otherNames?: string[]
  description: string
  settings: Fields
  /** Calls that it takes; absent: all six. */
  supports?: readonly Call[]
  actions: Record<string, ActionDefinition>
  presets: Preset[]
  /** Called when `settings` change: a sentence for the person when they cannot work, else undefined. */
  checkSettings?(settings: JsonObject): string | undefined
}

export interface Preset {
  name: string
  action: string
  trigger: string
  /** Values or mapping directives; fields left out take their default. */
  fields: JsonObject
}

export interface ActionDefinition {
  title: string
  description: string
  fields: Fields
  /** Sends one payload. Resolves when delivered; throws one of the errors in `errors.ts`, or whatever the request threw. */
  perform(request: SendRequest, data: ActionData<JsonObject>): Promise<unknown>
  /** Sends several payloads in one request. Resolves with nothing (all delivered) or with one result for each payload. */
  performBatch?(request: SendRequest, data: ActionData<JsonObject[]>): Promise<BatchItemResult[] | undefined>
  /** Payloads with the same key may share a batch. Default: all of one mapping. */
  batchKey?(payload: JsonObject, settings: JsonObject): string
  /** How many payloads one batch may hold, from the payload's own fields (`batch_size`) and the mapping. 1 = no batching. */
  batchSizeMax?(payload: JsonObject): number
}

export interface ActionData<Payload> {
  /** A field whose mapping is the whole message (`{"@path":"$."}`) is left out: its value is in `messagesJson`. */
  payload: Payload
  settings: JsonObject
  /** The messages as JSON text, in the order of the payloads: what `{"@path":"$."}` resolves to. A top-level field of the mapping that
   *  is exactly that is left out of the payload (undefined), so that nobody parses and prints a message that goes out whole. */
  messagesJson: string[]
}

export type BatchItemResult = { status: 'delivered' } | { status: 'failed'; httpStatus: number; message: string }

/** The only way for a connector to reach the outside. Rejects with `ResponseError` for an answer outside 2xx. */
export type SendRequest = (url: string, options: SendOptions) => Promise<SendResponse>

export interface SendOptions {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  body?: string | Uint8Array
}

export interface SendResponse {
  status: number
  headers: Record<string, string>
  /** At most 1 MiB is read. */
  body: string
  /** True when the body goes on after what was read: too long, too slow, or the connection broke inside it. */
  isCut?: boolean
}

/** Checks a definition at load time and gives it its type. */
export function defineDestination(definition: DestinationDefinition): DestinationDefinition {
  return definition
}

/** Ties the payload type of an action to its fields. */
export function defineAction<F extends Fields>(
  action: Omit<ActionDefinition, 'fields' | 'perform' | 'performBatch' | 'batchKey' | 'batchSizeMax'> & {
    fields: F
    perform(request: SendRequest, data: ActionData<ValuesOf<F>>): Promise<unknown>
    performBatch?(request: SendRequest, data: ActionData<ValuesOf<F>[]>): Promise<BatchItemResult[] | undefined>
    batchKey?(payload: ValuesOf<F>, settings: JsonObject): string
    batchSizeMax?(payload: ValuesOf<F>): number
  },
): ActionDefinition {
  // The delivery room validates a payload against `fields` before it calls the action, which makes `ValuesOf<F>` true.
  return action as unknown as ActionDefinition
}
