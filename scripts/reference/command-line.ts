import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { code, page, table } from './markdown.ts'

const run = promisify(execFile)

/** Asks each command for its help, as a person would. */
export async function commandLinePage(root: string): Promise<string> {
  const help = async (...args: string[]) =>
    (await run(process.execPath, [`${root}/bin/tributary.mjs`, ...args, '--help'])).stdout.trim()
  const names = [...(await help()).matchAll(/^ {2}(\S+) {2,}/gm)].map(([, name = '']) => name)
  const texts = await Promise.all(names.map((name) => help(name)))
  return page(
    'Command line',
    'the --help texts of src/cli',
    '`npx tributary COMMAND`, in the folder of the project. A command finds the server by its data directory (`TRIBUTARY_DATA`, default `./data`). Without a running server, `apply`, `export`, `status`, `trace`, `sql` and `doctor` open the data directory themselves.',
    table(
      ['Exit code', 'Meaning'],
      [
        ['0', 'Done.'],
        ['1', 'Failed; the sentence on stderr says why. `doctor`: something is wrong.'],
        ['2', 'Wrong use, or a config file that is not valid. Nothing was changed.'],
        ['3', 'Another process uses the data directory.'],
      ],
    ),
    ...names.flatMap((name, i) => {
      const [summary = '', ...rest] = (texts[i] ?? '').split('\n')
      return [`## ${code(name)}`, summary, `\`\`\`text\n${rest.join('\n').trim()}\n\`\`\``]
    }),
  )
}
