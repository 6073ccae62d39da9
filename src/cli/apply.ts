import { readFile } from 'node:fs/promises'
import { AppError, codeOf } from '../base/errors.ts'
import type { Plan } from '../store/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Apply a config file.',
  help: `
Usage: tributary apply FILE [--dry-run] [--prune] [--json]

Prints the plan, then brings the workspace to what the file says. Applying it again changes nothing. What the file does not name
stays as it is, unless --prune removes it. Values may be \${NAME} from the environment of this command.

  --dry-run   print the plan and change nothing
  --prune     also delete sources, destinations and warehouses that the file does not name
  --json      the plan as JSON

A file that is not valid is refused whole, with path, line and reason, and exit code 2.

Example:
  tributary apply tributary.yaml --dry-run
`,
  async run({ arguments: args, environment, print }) {
    const { values, positionals } = readArguments(
      args,
      { 'dry-run': { type: 'boolean' }, prune: { type: 'boolean' }, json: { type: 'boolean' } },
      { min: 1, max: 1, names: 'one FILE' },
    )
    const fileName = positionals[0] ?? ''
    const text = await readConfig(fileName)
    const client = await openControlClient(environment, { mayCreate: true })
    try {
      const variables = variablesOf(text, environment)
      const dryRun = values['dry-run'] ?? false
      const params = { text, fileName, environment: variables, prune: values.prune ?? false, dryRun }
      // The answer of our own control process, of the same version.
      const plan = (await client.call('apply', params)) as Plan
      await print(values.json ? JSON.stringify(plan, null, 2) : plan.text)
      if (!values.json && !plan.isEmpty) await print(dryRun ? 'Nothing was changed (--dry-run).' : 'Applied.')
      return 0
    } finally {
      await client.close()
    }
  },
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new AppError('config_invalid', 400, `${path} cannot be read (${codeOf(error) ?? 'unknown reason'}).`, {
      cause: error,
    })
  }
}

/** Only what the file names goes to the server: the rest of this environment is nobody's business. */
function variablesOf(text: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = [...text.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)].map((match) => match[1] ?? '')
  return Object.fromEntries(names.map((name) => [name, environment[name]]))
}
