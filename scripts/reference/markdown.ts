/** Small pieces of Markdown. */

/** A table; a `|` in a cell is escaped and line breaks become spaces. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n')
}

export function code(text: string): string {
  return `\`${text}\``
}

/** A page that begins with a title and the note that it is generated from `origin`. */
export function page(title: string, origin: string, ...parts: string[]): string {
  const note = `<!-- Generated from ${origin} by scripts/reference.ts. Do not edit. -->`
  return `${[`# ${title}`, note, ...parts].join('\n\n')}\n`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')
}
