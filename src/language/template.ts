/** Templates of `@template`: text with `{{path}}` or `{{{path}}}`, which mean the same; nothing is escaped. */
import { parsePath } from './message-path.ts'
import { compileReader } from './own-properties.ts'

/** Missing and null become empty text, objects and arrays their JSON. An opening without its closing stays as text. */
export function compileTemplate(text: string): (payload: unknown) => string {
  const parts = parseTemplate(text).map((part) => (typeof part === 'string' ? part : compileReader(part.keys)))
  return (payload) => {
    let result = ''
    for (const part of parts) result += typeof part === 'string' ? part : textOf(part(payload))
    return result
  }
}

function parseTemplate(text: string): (string | { keys: string[] })[] {
  const parts: (string | { keys: string[] })[] = []
  let position = 0
  for (;;) {
    const start = text.indexOf('{{', position)
    if (start < 0) break
    const braces = text[start + 2] === '{' ? 3 : 2
    const end = text.indexOf('}'.repeat(braces), start + braces)
    if (end < 0) break
    parts.push(text.slice(position, start), { keys: parsePath(text.slice(start + braces, end).trim()) })
    position = end + braces
  }
  parts.push(text.slice(position))
  return parts
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
