/** The `_unmapped` column: one JSON object a row (contract: warehouses.md §4.1). */

/** Bytes of UTF-8 that it may take. */
export const UNMAPPED_BYTES_MAX = 65_536

/** Name of the list of what was left out. No path in a message starts so. */
export const OMITTED_KEY = '_omitted'

/** JSON text of the values by path. Over the limit the largest values are left out and named instead. */
export function unmappedJson(values: ReadonlyMap<string, unknown>, bytesMax = UNMAPPED_BYTES_MAX): string {
  const parts = [...values].map(([path, value]) => ({ path, text: `${JSON.stringify(path)}:${JSON.stringify(value)}` }))
  const whole = `{${parts.map((part) => part.text).join(',')}}`
  if (whole.length * 3 <= bytesMax || Buffer.byteLength(whole) <= bytesMax) return whole
  return withoutLargest(parts, bytesMax)
}

function withoutLargest(parts: { path: string; text: string }[], bytesMax: number): string {
  const bySize = parts
    .map((part) => ({ ...part, bytes: Buffer.byteLength(part.text) }))
    .sort((a, b) => a.bytes - b.bytes)
  const omitted: string[] = []
  for (;;) {
    const text = `{${[...bySize.map((part) => part.text), `"${OMITTED_KEY}":${JSON.stringify(omitted)}`].join(',')}}`
    if (Buffer.byteLength(text) <= bytesMax) return text
    const largest = bySize.pop()
    // Only the names are left and even they are too many: the last ones go unnamed.
    if (largest === undefined) omitted.splice(Math.floor(omitted.length / 2))
    else omitted.push(largest.path)
  }
}
