/** What a frame of `events` says about the schema of its source. `shape-hash.ts` stands for this one in most cases. */
import { eventKinds, isCall, type Decision, type Frame } from '../journal/index.ts'
import { isIsoTimestamp, isJsonObject, type JsonObject } from '../protocol/index.ts'
import { depthMax, types } from './types.ts'

/** Numbers are on disk. */
export const lists = { track: 1, identify: 2, group: 3 } as const
export type List = (typeof lists)[keyof typeof lists]

export interface SeenMessage {
  list: List
  /** Name of the event; empty for identify and group, whose traits are one list each. */
  event: string
  /** The source has blocked it as a whole. */
  isBlocked: boolean
  /** Dotted names with the types of their values, in the order of the message; `$` stands for the items of a list. */
  properties: ReadonlyMap<string, number>
  /** Names that were taken out of the message. */
  omitted: ReadonlySet<string>
}

/** Undefined for what is no part of a schema: rejected messages, duplicates, alias calls, and drops for other reasons. */
export function readMessage({ kind, body }: Pick<Frame, 'kind' | 'body'>): SeenMessage | undefined {
  if (isCall(kind)) return seen(callNames[kind], parsed(body), false)
  if (kind !== eventKinds.dropped) return undefined
  const { code, type, message } = parsed(body) as unknown as Decision
  if (code !== 'event_setting' || !isJsonObject(message)) return undefined
  const call = message['type'] ?? type
  return seen(typeof call === 'string' ? call : undefined, message, true)
}

const callNames: Partial<Record<number, string>> = Object.fromEntries(
  Object.entries(eventKinds).map(([name, kind]) => [kind, name]),
)

// Written by the pipeline, under the CRC of the body: a JSON object.
const parsed = (body: Buffer) => JSON.parse(body.toString()) as JsonObject

function seen(call: string | undefined, message: JsonObject, isBlocked: boolean): SeenMessage | undefined {
  const subject = subjectOf(call, message)
  if (subject === undefined) return undefined
  const properties = new Map<string, number>()
  const values = message[subject.list === lists.track ? 'properties' : 'traits']
  if (isJsonObject(values)) collect(values, '', 0, properties)
  return { ...subject, isBlocked, properties, omitted: omittedOf(message) }
}

function subjectOf(call: string | undefined, message: JsonObject): { list: List; event: string } | undefined {
  switch (call) {
    case 'track':
      return typeof message['event'] === 'string'
        ? { list: lists.track, event: wellFormed(message['event']) }
        : undefined
    case 'page':
      return { list: lists.track, event: 'Page Viewed' }
    case 'screen':
      return { list: lists.track, event: 'Screen Viewed' }
    case 'identify':
      return { list: lists.identify, event: '' }
    case 'group':
      return { list: lists.group, event: '' }
    default:
      return undefined
  }
}

/** `context.protocols.omitted`, which the pipeline writes when it takes something out. */
function omittedOf({ context }: JsonObject): Set<string> {
  const protocols = isJsonObject(context) ? context['protocols'] : undefined
  const names = isJsonObject(protocols) ? protocols['omitted'] : undefined
  return new Set(Array.isArray(names) ? names.filter((name) => typeof name === 'string').map(wellFormed) : [])
}

function collect(object: JsonObject, prefix: string, depth: number, into: Map<string, number>): void {
  for (const key of Object.keys(object)) note(object[key], wellFormed(prefix + key), depth + 1, into)
}

function note(value: unknown, name: string, depth: number, into: Map<string, number>): void {
  into.set(name, (into.get(name) ?? 0) | typeOf(value))
  if (depth >= depthMax) return
  if (Array.isArray(value)) for (const item of value) note(item, `${name}.$`, depth + 1, into)
  else if (isJsonObject(value)) collect(value, `${name}.`, depth, into)
}

function typeOf(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return isIsoTimestamp(value) ? types.dateTime : types.string
    case 'number':
      return Number.isInteger(value) ? types.integer : types.number
    case 'boolean':
      return types.boolean
    default:
      return value === null ? types.null : Array.isArray(value) ? types.array : types.object
  }
}

// Half of a surrogate pair would not come back from the database as it was.
const wellFormed = (name: string) => name.toWellFormed()
