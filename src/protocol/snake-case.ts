/**
 * Names of warehouse tables and columns, exactly as Segment's loader makes them (contract: warehouses.md §3.1), traps included:
 * an acronym is not split from the word after it, and letters outside ASCII vanish. A leading part that is in snake case already
 * is kept; the rest is cut into words, each a run of capitals and digits followed by a run of small letters and digits.
 */

/** `Order Completed` -> `order_completed`. May be the empty string. */
export function snakeCase(name: string): string {
  const prefix = snakePrefix(name)
  if (prefix.length === name.length) return name
  let at = prefix.length
  let result = name.slice(0, at)
  if (isUpper(name.charCodeAt(at)) && !prefix.lastWordHasLetter) {
    const end = endOfWord(name, at)
    result += name.slice(at, end).toLowerCase()
    at = end
  }
  while (at < name.length) {
    if (!isAlphanumeric(name.charCodeAt(at))) {
      at += 1
      continue
    }
    const end = endOfWord(name, at)
    result += (result === '' ? '' : '_') + name.slice(at, end).toLowerCase()
    at = end
  }
  return result
}

/** The leading part that is in snake case, and whether a small letter follows its last underscore (or its start): if not, a
 *  capital right after it goes on with the same word (`5TEst` -> `5test`). */
function snakePrefix(name: string): { length: number; lastWordHasLetter: boolean } {
  let at = 0
  let lastWordHasLetter = false
  for (; at < name.length; at += 1) {
    const code = name.charCodeAt(at)
    if (isLower(code)) lastWordHasLetter = true
    else if (code === UNDERSCORE && at > 0 && isLowerOrDigit(name.charCodeAt(at + 1))) lastWordHasLetter = false
    else if (!isDigit(code)) break
  }
  return { length: at, lastWordHasLetter }
}

/** One past the word that starts at `at`. */
function endOfWord(name: string, at: number): number {
  let end = at
  while (isUpper(name.charCodeAt(end)) || isDigit(name.charCodeAt(end))) end += 1
  while (isLowerOrDigit(name.charCodeAt(end))) end += 1
  return end
}

const UNDERSCORE = 0x5f

// `charCodeAt` past the end is NaN, for which all of these are false.
const isUpper = (code: number): boolean => code >= 0x41 && code <= 0x5a
const isLower = (code: number): boolean => code >= 0x61 && code <= 0x7a
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39
const isLowerOrDigit = (code: number): boolean => isLower(code) || isDigit(code)
const isAlphanumeric = (code: number): boolean => isUpper(code) || isLowerOrDigit(code)
