/** What differs between two entries, as lines for a person. Secrets show as bullets. */
import { isSealed, mapSealed } from '../../base/secrets.ts'
import { BULLETS } from './config.ts'

const SHOWN_CHARACTERS_MAX = 120

/** One line for each difference: `settings.url: "a" → "b"`; empty when there is none. The order of keys does not count. */
export function differences(before: unknown, after: unknown, path = ''): string[] {
  if (isSame(before, after)) return []
  if (isSection(before) && isSection(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) => differences(before[key], after[key], path === '' ? key : `${path}.${key}`))
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((item, i) => differences(item, after[i], `${path}[${i}]`))
  }
  if (isSealed(before) && isSealed(after)) return [`${path}: ${BULLETS} → another secret`]
  return [`${path}: ${show(before)} → ${show(after)}`]
}

function isSame(before: unknown, after: unknown): boolean {
  if (isSealed(before) && isSealed(after)) return before.$sealed === after.$sealed && before.$from === after.$from
  if (isSection(before) && isSection(after)) {
    const keys = Object.keys(before)
    return (
      keys.length === Object.keys(after).length &&
      keys.every((key) => Object.hasOwn(after, key) && isSame(before[key], after[key]))
    )
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    return before.length === after.length && before.every((item, i) => isSame(item, after[i]))
  }
  return Object.is(before, after)
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isSealed(value)
}

function show(value: unknown): string {
  if (value === undefined) return 'not set'
  const text = JSON.stringify(mapSealed(value, () => BULLETS))
  return text.length <= SHOWN_CHARACTERS_MAX ? text : `${text.slice(0, SHOWN_CHARACTERS_MAX)}…`
}
