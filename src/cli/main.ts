/** The command line: `tributary COMMAND`. */
import { AppError, codeOf, messageOf } from '../base/errors.ts'
import type { Command, CommandInput } from './command.ts'

const commands: Record<string, () => Promise<Command>> = {
  start: async () => (await import('./start.ts')).command,
  apply: async () => (await import('./apply.ts')).command,
  export: async () => (await import('./export.ts')).command,
  status: async () => (await import('./status.ts')).command,
  schema: async () => (await import('./schema.ts')).command,
  sources: async () => (await import('./sources.ts')).command,
  snippet: async () => (await import('./snippet.ts')).command,
  trace: async () => (await import('./trace.ts')).command,
  sql: async () => (await import('./sql.ts')).command,
  events: async () => (await import('./events.ts')).command,
  sync: async () => (await import('./sync.ts')).command,
  history: async () => (await import('./history.ts')).command,
  'dead-letters': async () => (await import('./dead-letters.ts')).command,
  redeliver: async () => (await import('./redeliver.ts')).command,
  demo: async () => (await import('./demo.ts')).command,
  'sign-in-link': async () => (await import('./sign-in-link.ts')).command,
  doctor: async () => (await import('./doctor.ts')).command,
}

// `print` says what became of a line; without a listener the same error would end the process.
process.stdout.on('error', () => {})

process.exitCode = await main(process.argv.slice(2))
// Sockets that a client library keeps for reuse must not hold a finished command.
process.exit()

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === 'help') {
    await print(await overview())
    return name === undefined ? 2 : 0
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load === undefined) {
    complain(`Unknown command "${name}". There are: ${Object.keys(commands).join(', ')}. Try "tributary --help".`)
    return 2
  }
  const command = await load()
  if (rest.includes('--help') || rest.includes('-h')) {
    await print(`${command.summary}\n\n${command.help.trim()}`)
    return 0
  }
  const input: CommandInput = { arguments: rest, environment: process.env, print, complain }
  try {
    return await command.run(input)
  } catch (error) {
    return failed(error, name)
  }
}

async function overview(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(commands).map(async ([name, load]) => `  ${name.padEnd(14)}${(await load()).summary}`),
  )
  return [
    'Tributary: collects, delivers, loads and keeps the events of your products.',
    '',
    ...lines,
    '',
    'tributary COMMAND --help tells more.',
  ].join('\n')
}

function failed(error: unknown, name: string): number {
  complain(messageOf(error))
  if (!(error instanceof AppError)) return 1
  if (error.hint !== undefined) complain(error.hint)
  if (error.code === 'usage') {
    complain(`See "tributary ${name} --help".`)
    return 2
  }
  if (error.code === 'data_directory_in_use') return 3
  return error.code === 'config_invalid' || error.code === 'bad_option' ? 2 : 1
}

function print(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(line + '\n', (error) => {
      // Whoever reads has seen enough (`| head`): there is nothing left to do, and nothing went wrong.
      if (codeOf(error) === 'EPIPE') process.exit(0)
      if (error) reject(error)
      else resolve()
    })
  })
}

function complain(line: string): void {
  process.stderr.write(line + '\n')
}
