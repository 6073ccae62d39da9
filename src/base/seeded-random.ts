/** Seeded random numbers: the same seed gives the same shop (xoshiro128**, by Blackman and Vigna, public domain). */
export interface Random {
  /** From 0 (included) to 1 (excluded). */
  next(): number
  /** A whole number from 0 to `below` - 1. */
  integer(below: number): number
  pick<T>(list: readonly T[]): T
  chance(probability: number): boolean
  uuid(): string
}

export function createRandom(seed: number): Random {
  const state = new Uint32Array(4)
  // SplitMix32 spreads the seed: neighbouring seeds must not give similar shops.
  let mixed = seed >>> 0
  for (let i = 0; i < 4; i++) {
    mixed = (mixed + 0x9e3779b9) >>> 0
    let z = mixed
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    state[i] = (z ^ (z >>> 16)) >>> 0
  }
  const rotate = (value: number, by: number) => ((value << by) | (value >>> (32 - by))) >>> 0
  function uint32(): number {
    // The array has exactly these four entries.
    const [a, b, c, d] = state as unknown as [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const e = c ^ a
    const f = d ^ b
    state[1] = b ^ e
    state[0] = a ^ f
    state[2] = e ^ (b << 9)
    state[3] = rotate(f, 11)
    return result
  }
  const random: Random = {
    next: () => uint32() / 4294967296,
    integer: (below) => Math.floor(random.next() * below),
    // The index is inside the list by construction; an empty list is a bug of the caller.
    pick: (list) => list[random.integer(list.length)]!,
    chance: (probability) => random.next() < probability,
    uuid() {
      const hex = [uint32(), uint32(), uint32(), uint32()].map((part) => part.toString(16).padStart(8, '0')).join('')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
    },
  }
  return random
}
