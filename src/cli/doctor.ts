import type { Examination } from '../api/index.ts'
import { readArguments, type Command } from './command.ts'
import { openControlClient } from './control-client.ts'

export const command: Command = {
  summary: 'Recompute the accounting from the journal and look for trouble.',
  help: `
Usage: tributary doctor [--json]

Counts again from the journal, compares with what the processes report, and looks at processes, warehouses and disk. Exit code 1
when something is wrong, with what to do.
`,
  async run({ arguments: args, environment, print }) {
    const { values } = readArguments(args, { json: { type: 'boolean' } }, { min: 0, max: 0, names: 'no words' })
    const client = await openControlClient(environment)
    try {
      // The answer of our own control process, of the same version.
      const examination = (await client.call('doctor')) as Examination
      if (values.json) await print(JSON.stringify(examination))
      else {
        for (const { name, isGood, findings } of examination.checks) {
          await print(`${isGood ? 'ok   ' : 'WRONG'}  ${name}`)
          for (const finding of findings) await print(`       ${finding}`)
        }
      }
      return examination.isHealthy ? 0 : 1
    } finally {
      await client.close()
    }
  },
}
