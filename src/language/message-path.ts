/** Paths of mapping directives: `$.properties.products[0].name`, `$.` alone for the whole message (contract:
 *  destinations.md §9.1). Laxer than FQL paths: a key may hold anything but dots and brackets. */

/** Longest path, in characters. A path may come with the message, and no honest one is this long. */
export const PATH_CHARACTERS_MAX = 1000

/** The keys of a path. The leading `$.` may be left out; empty steps count for nothing. Throws an
 *  Error with a sentence when the path is too long. */
export function parsePath(text: string): string[] {
  if (text.length > PATH_CHARACTERS_MAX) throw new Error(`The path is longer than ${PATH_CHARACTERS_MAX} characters`)
  let rest = text.startsWith('$.') ? text.slice(2) : text.startsWith('$[') || text === '$' ? text.slice(1) : text
  const keys: string[] = []
  while (rest !== '') {
    const { key, length } = takeStep(rest)
    if (key !== '') keys.push(key)
    rest = rest.slice(length)
  }
  return keys
}

const QUOTED = /^\[(["'])(.*?)\1\]/s
const BRACKETED = /^\[([^\]]*)\]/
const PLAIN = /^[^.[]+/

function takeStep(text: string): { key: string; length: number } {
  const quoted = QUOTED.exec(text)
  if (quoted) return { key: quoted[2] ?? '', length: quoted[0].length }
  const bracketed = BRACKETED.exec(text)
  if (bracketed) return { key: bracketed[1] ?? '', length: bracketed[0].length }
  const plain = PLAIN.exec(text)
  // A dot, or a bracket that is never closed.
  return plain ? { key: plain[0], length: plain[0].length } : { key: '', length: 1 }
}
