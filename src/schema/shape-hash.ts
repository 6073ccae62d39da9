/**
 * What most messages cost this view. Messages of one event look alike, so a message is not parsed: its bytes are read once, the
 * values skipped, and what its schema depends on (source, hour, kind of call, event, names and types) becomes a number under which
 * the rest is remembered (`fold.ts`). Only a number that was never seen leads to a parse (`read-message.ts`).
 *
 * The number has 53 bits and a seed of the process. Two different shapes get the same one with a chance of 1 in 10^7 while the
 * cache is full of them; then one message is counted as if it were the other. Whoever chooses names to make it happen cannot see
 * the seed.
 *
 * What must stay true: whatever `read-message.ts` makes a difference of makes a different number here.
 */
import { isIsoTimestamp } from '../protocol/index.ts'
import { depthMax, types } from './types.ts'

export interface ShapeHasher {
  /** The number of the message that a frame of `events` holds; undefined for what is not compact JSON, as only the pipeline writes
   *  it. `salt`: whatever else tells shapes apart, two whole numbers. */
  of(body: Buffer, salt1: number, salt2: number): number | undefined
}

const QUOTE = 0x22
const COMMA = 0x2c
const DASH = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const LETTER_F = 0x66
const LETTER_N = 0x6e
const LETTER_T = 0x74
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Digits up to which a double holds a decimal number exactly enough to tell whether it is whole. */
const PLAIN_NUMBER_LENGTH = 15

export function createShapeHasher(seed: number): ShapeHasher {
  let bytes: Buffer = Buffer.alloc(0)
  let end = 0
  // The hash of what was read last, in two lanes: functions return where they stopped.
  let r1 = 0
  let r2 = 0
  let isSound = true
  const seed1 = seed | 0
  const seed2 = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1)
  /** Hashes of the different items of the lists that are being read. */
  const items: number[] = []

  /** Gives up: what stands here is not what the pipeline writes. */
  function unsound(): number {
    isSound = false
    return end
  }

  /** From an opening quote to behind the closing one. */
  function skipString(at: number): number {
    const text = bytes
    const to = end
    for (let i = at + 1; i < to; i += 1) {
      const byte = text[i]!
      if (byte === QUOTE) return i + 1
      if (byte === BACKSLASH) i += 1
    }
    return unsound()
  }

  /** Behind the value that begins here. */
  function skipValue(at: number): number {
    const first = bytes[at]
    if (first === QUOTE) return skipString(at)
    if (first !== OPEN_OBJECT && first !== OPEN_LIST) return skipPlain(at)
    let depth = 0
    for (let i = at; i < end; i += 1) {
      const byte = bytes[i]!
      if (byte === QUOTE) i = skipString(i) - 1
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth += 1
      else if ((byte === CLOSE_OBJECT || byte === CLOSE_LIST) && (depth -= 1) === 0) return i + 1
    }
    return unsound()
  }

  /** Behind a number, `true`, `false` or `null`. */
  function skipPlain(at: number): number {
    let i = at
    while (i < end) {
      const byte = bytes[i]!
      if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_LIST) break
      i += 1
    }
    return i > at ? i : unsound()
  }

  /** Hashes the bytes themselves. */
  function hashBytes(from: number, to: number): void {
    let h1 = seed1
    let h2 = seed2
    for (let i = from; i < to; i += 1) {
      const byte = bytes[i]!
      h1 = Math.imul(h1 ^ byte, 0x01000193)
      h2 = Math.imul(((h2 << 7) | (h2 >>> 25)) ^ byte, 0x85ebca6b)
    }
    r1 = h1
    r2 = h2
  }

  /** Hashes a string and the quotes around it. Returns where it ends. */
  function hashString(at: number): number {
    if (bytes[at] !== QUOTE) return unsound()
    const text = bytes
    const to = end
    let h1 = seed1
    let h2 = seed2
    for (let i = at + 1; i < to; i += 1) {
      let byte = text[i]!
      if (byte === QUOTE) {
        r1 = h1
        r2 = h2
        return i + 1
      }
      if (byte === BACKSLASH) {
        h1 = Math.imul(h1 ^ byte, 0x01000193)
        h2 = Math.imul(((h2 << 7) | (h2 >>> 25)) ^ byte, 0x85ebca6b)
        byte = text[(i += 1)]!
      }
      h1 = Math.imul(h1 ^ byte, 0x01000193)
      h2 = Math.imul(((h2 << 7) | (h2 >>> 25)) ^ byte, 0x85ebca6b)
    }
    return unsound()
  }

  const leaves1 = Int32Array.from({ length: 256 }, (_, type) => mix(seed1, type))
  const leaves2 = Int32Array.from({ length: 256 }, (_, type) => mix(seed2, type))

  function leaf(type: number): void {
    // The table has an entry for every combination of types.
    r1 = leaves1[type]!
    r2 = leaves2[type]!
  }

  /** Hashes names and types of the value that begins here. */
  function hashShape(at: number, depth: number): number {
    switch (bytes[at]) {
      case QUOTE: {
        const to = skipString(at)
        leaf(isDateAt(at + 1, to - 1) ? types.dateTime : types.string)
        return to
      }
      case OPEN_OBJECT:
        if (depth < depthMax) return hashObject(at, depth)
        leaf(types.object)
        return skipValue(at)
      case OPEN_LIST:
        if (depth < depthMax) return hashList(at, depth)
        leaf(types.array)
        return skipValue(at)
      case LETTER_T:
      case LETTER_F:
        leaf(types.boolean)
        return skipPlain(at)
      case LETTER_N:
        leaf(types.null)
        return skipPlain(at)
      default:
        return hashNumber(at)
    }
  }

  // Names and values of an object are added up, so that their order makes no difference.
  function hashObject(at: number, depth: number): number {
    let sum1: number = types.object
    let sum2: number = types.object
    let i = at + 1
    if (bytes[i] !== CLOSE_OBJECT) {
      for (;;) {
        i = hashString(i)
        const [name1, name2] = [r1, r2]
        i = hashShape(i + 1, depth + 1)
        sum1 = (sum1 + pair(name1, r1)) | 0
        sum2 = (sum2 + pair(name2, r2)) | 0
        if (bytes[i] !== COMMA) break
        i += 1
      }
      if (bytes[i] !== CLOSE_OBJECT) return unsound()
    }
    r1 = mix(sum1, types.object)
    r2 = mix(sum2, types.object)
    return i + 1
  }

  // Only different items count, whatever their number and order.
  function hashList(at: number, depth: number): number {
    const base = items.length
    let sum1: number = types.array
    let sum2: number = types.array
    let i = at + 1
    if (bytes[i] !== CLOSE_LIST) {
      for (;;) {
        i = hashShape(i, depth + 1)
        if (!isKnownItem(base)) {
          items.push(r1, r2)
          sum1 = (sum1 + mix(r1, types.array)) | 0
          sum2 = (sum2 + mix(r2, types.array)) | 0
        }
        if (bytes[i] !== COMMA) break
        i += 1
      }
      if (bytes[i] !== CLOSE_LIST) i = unsound()
    }
    items.length = base
    r1 = mix(sum1, types.array)
    r2 = mix(sum2, types.array)
    return i + 1
  }

  /** Looks through the first different items only, so that a list costs its length and not the square of it. */
  function isKnownItem(base: number): boolean {
    const to = Math.min(items.length, base + 16)
    for (let i = base; i < to; i += 2) if (items[i] === r1 && items[i + 1] === r2) return true
    return false
  }

  function isDateAt(from: number, to: number): boolean {
    const length = to - from
    if (length < 17 || length > 64 || bytes[from + 4] !== DASH || bytes[from + 7] !== DASH) return false
    return isIsoTimestamp(bytes.toString('latin1', from, to))
  }

  /** Whole as `Number.isInteger` of the parsed number has it. */
  function hashNumber(at: number): number {
    const text = bytes
    let isBehindPoint = false
    let hasFraction = false
    let isPlain = true
    let i = at
    for (; i < end; i += 1) {
      const byte = text[i]!
      if (byte >= ZERO && byte <= NINE) hasFraction ||= isBehindPoint && byte !== ZERO
      else if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_LIST) break
      else if (byte === POINT) isBehindPoint = true
      else if (byte !== DASH) isPlain = false
    }
    if (i === at) return unsound()
    const isExact = isPlain && i - at <= PLAIN_NUMBER_LENGTH
    const isWhole = isExact ? !hasFraction : Number.isInteger(Number(text.toString('latin1', at, i)))
    leaf(isWhole ? types.integer : types.number)
    return i
  }

  function isName(from: number, to: number, word: Uint8Array): boolean {
    if (to - from !== word.length + 2) return false
    for (let i = 0; i < word.length; i += 1) if (bytes[from + 1 + i] !== word[i]) return false
    return true
  }

  /** Calls `read` for each name of the object that begins here, with where the name begins and ends. `read` returns where the value
   *  has ended. */
  function eachName(at: number, read: (from: number, to: number) => number): number {
    if (bytes[at] !== OPEN_OBJECT) return unsound()
    let i = at + 1
    if (bytes[i] === CLOSE_OBJECT) return i + 1
    for (;;) {
      if (bytes[i] !== QUOTE) return unsound()
      const to = skipString(i)
      i = read(i, to)
      if (bytes[i] !== COMMA) break
      i += 1
    }
    return bytes[i] === CLOSE_OBJECT ? i + 1 : unsound()
  }

  let sum1 = 0
  let sum2 = 0
  /** 1 inside the message that a decision carries: its parts must not be taken for those of the decision. */
  let level = 0

  function add(part: number): void {
    sum1 = (sum1 + mix(r1, part * 2 + level)) | 0
    sum2 = (sum2 + mix(r2, part * 2 + level)) | 0
  }

  function addBytes(at: number, part: number): number {
    const to = skipValue(at)
    hashBytes(at, to)
    add(part)
    return to
  }

  const ofMessage = (from: number, to: number): number => {
    if (isName(from, to, words.properties) || isName(from, to, words.traits)) {
      const after = hashShape(to + 1, 0)
      add(bytes[from + 1]!)
      return after
    }
    if (isName(from, to, words.event) || isName(from, to, words.type)) return addBytes(to + 1, bytes[from + 1]! + 256)
    if (isName(from, to, words.context) && bytes[to + 1] === OPEN_OBJECT) return eachName(to + 1, ofContext)
    return skipValue(to + 1)
  }
  const ofContext = (from: number, to: number): number =>
    isName(from, to, words.protocols) && bytes[to + 1] === OPEN_OBJECT
      ? eachName(to + 1, ofProtocols)
      : skipValue(to + 1)
  const ofProtocols = (from: number, to: number): number =>
    isName(from, to, words.omitted) ? addBytes(to + 1, 1024) : skipValue(to + 1)
  // A decision has the message inside. That a call is read as if it could be a decision makes more shapes and does no harm.
  const ofFrame = (from: number, to: number): number => {
    if (isName(from, to, words.message) && bytes[to + 1] === OPEN_OBJECT) {
      level = 1
      const after = eachName(to + 1, ofMessage)
      level = 0
      return after
    }
    if (isName(from, to, words.code)) return addBytes(to + 1, 2048)
    return ofMessage(from, to)
  }

  return {
    of(body, salt1, salt2) {
      bytes = body
      end = body.length
      isSound = true
      sum1 = mix(mix(seed1, salt1), salt2)
      sum2 = mix(mix(seed2, salt1), salt2)
      const after = eachName(0, ofFrame)
      if (!isSound || after !== end) return undefined
      return mix(sum1, seed2 & 0xff) * 0x20_0000 + (mix(sum2, seed1 & 0xff) >>> 11)
    },
  }
}

const words = Object.fromEntries(
  (['properties', 'traits', 'event', 'type', 'context', 'protocols', 'omitted', 'message', 'code'] as const).map(
    (word) => [word, Buffer.from(word)],
  ),
) as Record<
  'properties' | 'traits' | 'event' | 'type' | 'context' | 'protocols' | 'omitted' | 'message' | 'code',
  Buffer
>

/** A name and what it holds into one number, for adding up. Both are hashes already. */
function pair(name: number, value: number): number {
  const h = Math.imul(name ^ ((value << 13) | (value >>> 19)), 0xcc9e2d51)
  return h ^ (h >>> 15)
}

/** Two 32-bit numbers into one (the finish of MurmurHash3, public domain). */
function mix(a: number, b: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
