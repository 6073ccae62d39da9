/**
 * What was seen since the last write, in memory. A message costs its hash (`shape-hash.ts`) and one count; which names that count
 * stands for is found out once for each shape, and added up when it is written (`flush`).
 *
 * Nothing here is needed to go on: after a failed write all of it is thrown away, and the journal is read again from the place that
 * the database covers.
 *
 * Bounds (`FoldLimits`): shapes, the names that they refer to, and the names that are known, by an estimate of their bytes. When one
 * is reached, `isFull` asks for a flush, and `trim` lets go of what was not used since the last one; what comes again is read from
 * the database. Beside that a source takes some 400 bytes.
 */
import type { Frame } from '../journal/index.ts'
import { addToSketch, emptySketch } from './distinct-sketch.ts'
import { lists, readMessage, type List, type SeenMessage } from './read-message.ts'
import {
  eventGroup,
  eventsMax,
  propertiesMax,
  propertyGroup,
  type Overflow,
  type SchemaStore,
  type StoredName,
} from './schema-store.ts'
import { createShapeHasher } from './shape-hash.ts'

export interface FoldLimits {
  /** Different messages that are told apart without parsing them. */
  shapesMax: number
  /** Names that these refer to, together. */
  referencesMax: number
  /** Estimate of what the names take. */
  nameBytesMax: number
}

/** About 70 MB when all of them are reached: 150 bytes a shape, 8 a reference. */
export const defaultFoldLimits: FoldLimits = {
  shapesMax: 40_000,
  referencesMax: 1_000_000,
  nameBytesMax: 48 * 1024 * 1024,
}

/** Characters of a name; a longer one counts as not listed. */
export const nameLengthMax = 512

const HOUR_MS = 3_600_000
/** What the fold keeps of a name beside its characters, and of a sketch. */
const NAME_BYTES = 200
const SKETCH_BYTES = 256

interface KnownName extends StoredName {
  /** The database has an older state. */
  isChanged: boolean
  // Only while a flush adds up.
  allowed: number
  blocked: number
  lastMs: number
}

interface KnownEvent extends KnownName {
  source: number
  list: List
  properties: Map<string, KnownName>
  overflow: Overflow
  key: string
  bytes: number
  isUsed: boolean
  isForgotten: boolean
}

interface KnownSource {
  source: number
  events: number
  overflow: Overflow
  isChanged: boolean
}

/** Messages of one hour that say the same about the schema of their source. */
interface Shape {
  hour: number
  isBlocked: boolean
  /** Undefined when the message says nothing, or its event is beyond the bound. */
  event: KnownEvent | undefined
  properties: readonly KnownName[]
  /** Taken out of the message: blocked, whatever became of the rest. */
  omitted: readonly KnownName[]
  /** What counts the messages that have something beyond a bound. */
  beyond: readonly (KnownEvent | KnownSource)[]
  // Since the last flush.
  count: number
  firstMs: number
  lastMs: number
  /** `count` of the last flush. */
  countBefore: number
}

export interface FoldState {
  shapes: number
  references: number
  nameBytes: number
  /** Messages that had to be parsed, since the start. */
  parsed: number
}

export interface Fold {
  add(frame: Frame): void
  readonly isFull: boolean
  readonly isEmpty: boolean
  /** Writes what was added, within a transaction of the caller; stops between rows, so that others can do something. Until it has
   *  ended nothing may be added. */
  flush(): Iterable<void>
  /** The transaction is committed: begins anew, within the bounds. */
  flushed(): void
  /** The transaction has failed, or the database was changed: forgets everything. */
  reset(): void
  readonly state: FoldState
}

export function createFold(store: SchemaStore, seed: number, limits: FoldLimits = defaultFoldLimits): Fold {
  const hasher = createShapeHasher(seed)
  const events = new Map<string, KnownEvent>()
  const sources = new Map<number, KnownSource>()
  const shapes = new Map<number, Shape>()
  const changed = new Set<KnownEvent>()
  let references = 0
  let nameBytes = 0
  let parsed = 0
  let isEmpty = true
  /** For bodies that have no number. */
  let unhashed: Shape[] = []

  function add(frame: Frame): void {
    if (frame.isDamaged) return
    const hour = Math.floor(frame.timeMs / HOUR_MS)
    const number = hasher.of(frame.body, frame.source, hour * 256 + frame.kind)
    let shape = number === undefined ? undefined : shapes.get(number)
    if (shape === undefined) {
      shape = learn(frame, hour)
      if (number === undefined) unhashed.push(shape)
      else shapes.set(number, shape)
    }
    shape.count += 1
    if (frame.timeMs > shape.lastMs) shape.lastMs = frame.timeMs
    if (frame.timeMs < shape.firstMs) shape.firstMs = frame.timeMs
    isEmpty = false
  }

  function learn(frame: Frame, hour: number): Shape {
    parsed += 1
    const times = { firstMs: frame.timeMs, lastMs: frame.timeMs }
    const blank = { hour, count: 0, countBefore: 0, ...times, properties: [], omitted: [], beyond: [] }
    const message = readMessage(frame)
    if (message === undefined) return { ...blank, event: undefined, isBlocked: false }
    const event = eventOf(frame, message)
    if (event === undefined) {
      const source = sourceOf(frame.source)
      noteBeyond(source, [message.event])
      return { ...blank, event, isBlocked: message.isBlocked, beyond: [source] }
    }
    const { listed, rest } = propertiesOf(event, message, frame.timeMs)
    if (rest.length > 0) noteBeyond(event, rest)
    references += listed.length
    return {
      ...blank,
      event,
      isBlocked: message.isBlocked,
      properties: listed.filter(({ name }) => message.properties.has(name)),
      omitted: listed.filter(({ name }) => !message.properties.has(name)),
      beyond: rest.length > 0 ? [event] : [],
    }
  }

  // ---- Names -------------------------------------------------------------------------------------------------------------

  function sourceOf(number: number): KnownSource {
    let source = sources.get(number)
    if (source === undefined)
      sources.set(number, (source = { source: number, isChanged: false, ...store.source(number) }))
    return source
  }

  /** Undefined when it is beyond the bound. */
  function eventOf({ source, timeMs }: Frame, { list, event: name }: SeenMessage): KnownEvent | undefined {
    if (name.length > nameLengthMax) return undefined
    const key = `${source} ${list} ${name}`
    const known = events.get(key)
    if (known !== undefined) {
      known.isUsed = true
      return known
    }
    const stored = store.event(source, list, name)
    if (stored === undefined && list === lists.track) {
      const owner = sourceOf(source)
      if (owner.events >= eventsMax) return undefined
      owner.events += 1
    }
    const event: KnownEvent = {
      ...(stored ?? { id: 0, types: 0, name, firstMs: timeMs, overflow: { messages: 0, sketch: null } }),
      ...uncounted,
      isChanged: stored === undefined,
      source,
      list,
      key,
      properties: new Map(),
      bytes: 0,
      isUsed: true,
      isForgotten: false,
    }
    weigh(event, bytesOf(name) + (event.overflow.sketch === null ? 0 : SKETCH_BYTES))
    if (stored !== undefined) for (const property of store.propertiesOf(stored.id)) know(event, property, false)
    if (event.isChanged) changed.add(event)
    events.set(key, event)
    return event
  }

  function know(event: KnownEvent, property: StoredName, isChanged: boolean): KnownName {
    const known = { ...property, ...uncounted, isChanged }
    event.properties.set(property.name, known)
    weigh(event, bytesOf(property.name))
    if (isChanged) changed.add(event)
    return known
  }

  function weigh(event: KnownEvent, bytes: number): void {
    event.bytes += bytes
    nameBytes += bytes
  }

  function propertiesOf(event: KnownEvent, message: SeenMessage, timeMs: number) {
    const listed: KnownName[] = []
    const rest: string[] = []
    for (const name of new Set([...message.properties.keys(), ...message.omitted])) {
      const types = message.properties.get(name) ?? 0
      let property = event.properties.get(name)
      if (property === undefined) {
        if (event.properties.size >= propertiesMax || name.length > nameLengthMax) {
          rest.push(name)
          continue
        }
        property = know(event, { id: 0, name, types, firstMs: timeMs }, true)
      } else if ((property.types | types) !== property.types) {
        property.types |= types
        markChanged(event, property)
      }
      listed.push(property)
    }
    return { listed, rest }
  }

  function markChanged(event: KnownEvent, name: KnownName): void {
    name.isChanged = true
    changed.add(event)
  }

  function noteBeyond(holder: KnownEvent | KnownSource, names: readonly string[]): void {
    if (holder.overflow.sketch === null) {
      holder.overflow.sketch = emptySketch()
      if ('bytes' in holder) weigh(holder, SKETCH_BYTES)
    }
    for (const name of names) if (addToSketch(holder.overflow.sketch, name)) holder.isChanged = true
    if (holder.isChanged && 'bytes' in holder) changed.add(holder)
  }

  // ---- Writing -----------------------------------------------------------------------------------------------------------

  function* flush(): Iterable<void> {
    const byHour = Map.groupBy(pending(), ({ hour }) => hour)
    for (const shape of [...byHour.values()].flat()) noteTimes(shape)
    for (const event of changed) yield* writeChanges(event)
    for (const [hour, ofHour] of byHour) yield* writeCounts(hour, ofHour)
    for (const source of sources.values()) if (source.isChanged) store.changeSource(source.source, source.overflow)
  }

  function* pending(): Iterable<Shape> {
    for (const shape of shapes.values()) if (shape.count > 0) yield shape
    yield* unhashed
  }

  /** Lets what is beyond a bound count its messages, and lets names begin earlier: of two partitions the older may be read later. */
  function noteTimes({ event, properties, omitted, beyond, firstMs, count }: Shape): void {
    for (const holder of beyond) {
      holder.overflow.messages += count
      holder.isChanged = true
      if ('bytes' in holder) changed.add(holder)
    }
    if (event === undefined) return
    for (const name of [event, ...properties, ...omitted]) {
      if (firstMs >= name.firstMs) continue
      name.firstMs = firstMs
      markChanged(event, name)
    }
  }

  function* writeChanges(event: KnownEvent): Iterable<void> {
    if (event.id === 0) event.id = store.addEvent(event.source, event.list, event.name, event.firstMs)
    if (event.isChanged) store.changeEvent(event.id, event.firstMs, event.overflow)
    for (const property of event.properties.values()) {
      if (!property.isChanged) continue
      const { id, name, types, firstMs } = property
      if (id === 0) property.id = store.addProperty(event.id, name, types, firstMs)
      else store.changeProperty(id, types, firstMs)
      yield
    }
    yield
  }

  function* writeCounts(hour: number, ofHour: readonly Shape[]): Iterable<void> {
    const counted = new Map<KnownEvent, Set<KnownName>>()
    for (const shape of ofHour) if (shape.event !== undefined) addUp(shape, shape.event, counted)
    for (const [event, properties] of counted) {
      writeCount(eventGroup(event.source, event.list), hour, event)
      for (const property of properties) {
        writeCount(propertyGroup(event.id), hour, property)
        yield
      }
      yield
    }
  }

  function addUp(shape: Shape, event: KnownEvent, counted: Map<KnownEvent, Set<KnownName>>): void {
    let properties = counted.get(event)
    if (properties === undefined) counted.set(event, (properties = new Set()))
    countIn(event, shape, shape.isBlocked)
    for (const property of shape.properties) countIn(property, shape, shape.isBlocked)
    for (const property of shape.omitted) countIn(property, shape, true)
    for (const property of shape.properties) properties.add(property)
    for (const property of shape.omitted) properties.add(property)
  }

  function writeCount(group: number, hour: number, name: KnownName): void {
    store.count(group, hour, name.id, name.allowed, name.blocked, name.lastMs)
    Object.assign(name, uncounted)
  }

  // ---- Letting go --------------------------------------------------------------------------------------------------------

  function flushed(): void {
    isEmpty = true
    for (const shape of unhashed) references -= referencesOf(shape)
    unhashed = []
    for (const event of changed) {
      event.isChanged = false
      for (const property of event.properties.values()) property.isChanged = false
    }
    changed.clear()
    for (const source of sources.values()) source.isChanged = false
    for (const shape of shapes.values()) {
      shape.countBefore = shape.count
      shape.count = 0
    }
    trim()
  }

  function trim(): void {
    if (nameBytes > limits.nameBytesMax * 0.75) forgetEvents(limits.nameBytesMax / 2)
    if (shapes.size > limits.shapesMax * 0.75 || references > limits.referencesMax * 0.75)
      keepShapes(({ countBefore }) => countBefore > 1)
    if (shapes.size > limits.shapesMax * 0.75 || references > limits.referencesMax * 0.75) keepShapes(() => false)
  }

  /** Those that were not used since they were passed here the last time, oldest first; used ones get another turn. */
  function forgetEvents(bytesWanted: number): void {
    for (const shape of shapes.values())
      if (shape.countBefore > 0 && shape.event !== undefined) shape.event.isUsed = true
    for (let turns = events.size * 2; turns > 0 && nameBytes > bytesWanted; turns -= 1) {
      const oldest = events.entries().next().value
      if (oldest === undefined) break
      const [key, event] = oldest
      events.delete(key)
      if (event.isUsed && turns > events.size) {
        event.isUsed = false
        events.set(key, event)
      } else {
        event.isForgotten = true
        nameBytes -= event.bytes
      }
    }
    keepShapes(({ event }) => event?.isForgotten !== true)
  }

  function keepShapes(isKept: (shape: Shape) => boolean): void {
    for (const [number, shape] of shapes) {
      if (isKept(shape)) continue
      shapes.delete(number)
      references -= referencesOf(shape)
    }
  }

  return {
    add,
    get isFull() {
      return (
        shapes.size + unhashed.length >= limits.shapesMax ||
        references >= limits.referencesMax ||
        nameBytes >= limits.nameBytesMax
      )
    },
    get isEmpty() {
      return isEmpty
    },
    flush,
    flushed,
    reset() {
      for (const each of [events, sources, shapes, changed]) each.clear()
      references = 0
      nameBytes = 0
      unhashed = []
      isEmpty = true
    },
    get state() {
      return { shapes: shapes.size, references, nameBytes, parsed }
    },
  }
}

const uncounted = { allowed: 0, blocked: 0, lastMs: 0 }

const referencesOf = ({ properties, omitted }: Shape) => properties.length + omitted.length

const bytesOf = (name: string) => NAME_BYTES + 2 * name.length

function countIn(name: KnownName, { count, lastMs }: Shape, isBlocked: boolean): void {
  if (isBlocked) name.blocked += count
  else name.allowed += count
  if (lastMs > name.lastMs) name.lastMs = lastMs
}
