/**
 * Which ids are surely not in the warehouse yet. Looking a batch of random ids up in a table means reading all ids of the table
 * (45 ns each: half a second at 10 million rows, for every load). Nearly all messages are new, and a Bloom filter says so
 * from memory; only ids that it may know are looked up. It never says "new" of an id that was added.
 */

/** Room for 29 bits an id and 10 probes: full it gives one false alarm in 200,000, half full next to none, so that most loads
 *  need no look-up at all. Twice the probes would be a little more exact and take twice the time to fill. */
const BITS_PER_ID = 29
const PROBES = 10

export class IdFilter {
  readonly #words: Uint32Array
  readonly #bitCount: number
  readonly capacity: number
  #count = 0

  /** Makes one for at least `idCount` ids that takes no more than `bytesMax` bytes: with more ids than fit there are more false
   *  alarms, which cost look-ups and nothing else. */
  constructor(idCount: number, bytesMax: number) {
    const wordCount = Math.max(1024, Math.min(Math.ceil((idCount * BITS_PER_ID) / 32), Math.floor(bytesMax / 4)))
    this.#words = new Uint32Array(wordCount)
    // Bit numbers have to fit 32 bits: 512 MiB.
    this.#bitCount = Math.min(wordCount * 32, 2 ** 32)
    this.capacity = Math.floor(this.#bitCount / BITS_PER_ID)
  }

  /** Distinct ids added, about. */
  get count(): number {
    return this.#count
  }

  /** Adds the id with this 64-bit hash, given in halves. */
  add(high: number, low: number): void {
    let isNew = false
    for (let i = 0, at = high; i < PROBES; i += 1) {
      const bit = at % this.#bitCount
      const word = bit >>> 5
      const mask = 1 << (bit & 31)
      // `word` is inside the array because `bit` is below `#bitCount`.
      if ((this.#words[word]! & mask) === 0) {
        isNew = true
        this.#words[word]! |= mask
      }
      at = nextProbe(at, low, i)
    }
    if (isNew) this.#count += 1
  }

  /** False: surely never added. */
  mayHave(high: number, low: number): boolean {
    for (let i = 0, at = high; i < PROBES; i += 1) {
      const bit = at % this.#bitCount
      if ((this.#words[bit >>> 5]! & (1 << (bit & 31))) === 0) return false
      at = nextProbe(at, low, i)
    }
    return true
  }
}

/** Enhanced double hashing: steps that grow, so that two ids with one start do not share all probes. Stays in 32 bits. */
function nextProbe(at: number, step: number, i: number): number {
  return (at + step + Math.imul(i, i)) >>> 0
}
