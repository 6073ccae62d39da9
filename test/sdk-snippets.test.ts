/** The examples of the SDK page are lines of the programs in `test/clients`, which real SDKs run. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { codeBlocks, root } from './support/documentation.ts'

const path = 'docs/guide/sdks.md'

/** What stands between the comments `snippet` and `end` of a program, moved to the left. */
function snippetsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^[ \t]*(?:\/\/|#) snippet\n([\s\S]*?)^[ \t]*(?:\/\/|#) end\n/gm)].map(([, lines = '']) => {
    const indent = /^[ \t]*/.exec(lines)?.[0] ?? ''
    return lines
      .split('\n')
      .map((line) => line.slice(indent.length))
      .join('\n')
      .trimEnd()
  })
}

test('every example of the SDK page is run by a client program, and every program has its example', () => {
  const programs = globSync('test/clients/{node,python,go,java,kotlin,rust/src}/*.{mjs,py,go,java,kt,rs}', {
    cwd: root,
  }).filter((file) => !file.endsWith('calls.mjs'))
  assert.ok(programs.length >= 7, programs.join())
  const run = programs.flatMap((file) => {
    const snippets = snippetsOf(file)
    assert.equal(snippets.length, 1, `${file} marks one snippet`)
    return snippets
  })
  const shown = codeBlocks({ path, text: readFileSync(join(root, path), 'utf8') }).map(({ text }) => text)
  assert.deepEqual(shown.sort(), run.sort())
})
