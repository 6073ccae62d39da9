/**
 * About how many different names there were, without keeping any of them: a HyperLogLog of 256 registers, 256 bytes, whose error is
 * 6.5 % (one standard deviation) and close to none for the first dozens. Adding a name again changes nothing, so that reading the
 * same part of the journal twice does no harm.
 */
import { createHash } from 'node:crypto'

const registers = 256
const alpha = 0.7213 / (1 + 1.079 / registers)

/** Adds a name to the sketch. Returns whether that changed it. */
export function addToSketch(sketch: Uint8Array, name: string): boolean {
  const hash = createHash('sha256').update(name).digest()
  const register = hash[0]!
  const rank = Math.clz32(hash.readUInt32LE(1) | 0) + 1
  if (rank <= sketch[register]!) return false
  sketch[register] = rank
  return true
}

export function countOfSketch(sketch: Uint8Array): number {
  let sum = 0
  let empty = 0
  for (const rank of sketch) {
    sum += 2 ** -rank
    if (rank === 0) empty += 1
  }
  const estimate = (alpha * registers * registers) / sum
  // Few names leave registers empty, and how many are empty tells more.
  return Math.round(estimate <= 2.5 * registers && empty > 0 ? registers * Math.log(registers / empty) : estimate)
}

export function emptySketch(): Uint8Array {
  return new Uint8Array(registers)
}
