/** What the documentation says, taken apart for the tests that keep it true. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Page {
  /** From the root of the repository. */
  path: string
  text: string
}

export interface CodeBlock {
  page: string
  language: string
  text: string
  /** Where it begins, for messages. */
  line: number
}

/** Pages that are about the product as it is now; decisions speak of their time. */
export function readPages(): Page[] {
  return globSync(['*.md', 'docs/**/*.md'], { cwd: root })
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

export function codeBlocks({ path, text }: Page, language?: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: { language: string; line: number; lines: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(\w*)/.exec(line)
    if (fence === null) open?.lines.push(line)
    else if (open === undefined) open = { language: fence[1] ?? '', line: index + 2, lines: [] }
    else {
      blocks.push({ page: path, language: open.language, line: open.line, text: open.lines.join('\n') })
      open = undefined
    }
  }
  return language === undefined ? blocks : blocks.filter((block) => block.language === language)
}

/** The commands of shell blocks, one each, lines that end in a backslash joined and comments taken off. */
export function commandsOf(block: CodeBlock): string[] {
  return block.text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

/** The text without its code blocks. */
export function proseOf({ text }: Page): string {
  return text.replaceAll(/^```[\s\S]*?^```/gm, '')
}

/** As the usual renderers make the anchor of a heading. */
export function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
