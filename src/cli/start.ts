import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { AppError } from '../base/errors.ts'
import { lockDataDirectory } from '../base/data-lock.ts'
import { createLogger } from '../base/logger.ts'
import { readStartOptions } from '../main/index.ts'
import { runSupervisor } from '../supervisor.ts'
import { readArguments, type Command } from './command.ts'

export const command: Command = {
  summary: 'Start the server.',
  help: `
Usage: tributary start

Starts all processes on the data directory and prints "tributary ready http://HOST:PORT" when it takes traffic. The first start
without a config file makes a workspace with a demo source and a local warehouse. Stops on SIGTERM or Ctrl-C within 10 seconds.

Environment:
  TRIBUTARY_PORT         port (4000)
  TRIBUTARY_HOST         address to listen on (127.0.0.1)
  TRIBUTARY_DATA         data directory (./data)
  TRIBUTARY_CONFIG       config file, applied at start when present (./tributary.yaml)
  TRIBUTARY_PUBLIC_URL   address that clients are told, when a proxy stands in front
  TRIBUTARY_SECRET_KEY   encrypts secrets; made on the first start when absent
  TRIBUTARY_TLS_CERT, TRIBUTARY_TLS_KEY   files in PEM form: serve https
  TRIBUTARY_LOG          trace, debug, info, warn, error (info); log lines are JSON on stderr

Exit codes: 0 stopped as told; 1 failed; 2 bad config or option; 3 another server runs on the data directory.
`,
  async run({ arguments: args, environment, complain }) {
    readArguments(args, {}, { min: 0, max: 0, names: 'no words' })
    const options = readStartOptions(environment)
    const configPath = configPathOf(environment)
    const lock = await lockDataDirectory(options.dataDirectory, 'the server')
    const exitCode = await runSupervisor({
      environment: {
        ...environment,
        TRIBUTARY_DATA: options.dataDirectory,
        TRIBUTARY_CONFIG: configPath ?? '',
        // Children share what stripping types and compiling gave: a start is faster, and each process 17 MB smaller.
        // One arena of the C allocator instead of one for each thread: half of what an idle process holds was in them.
        MALLOC_ARENA_MAX: environment['MALLOC_ARENA_MAX'] ?? '1',
        NODE_COMPILE_CACHE: join(options.dataDirectory, 'run', 'compile-cache'),
      },
      log: createLogger('supervisor'),
      // Not `print`: the server goes on when nobody reads its output any more.
      print: (line) => void process.stdout.write(line + '\n'),
      complain,
    })
    await lock.release()
    return exitCode
  },
}

/** The file that is applied at start. One that was named must exist. */
function configPathOf(environment: NodeJS.ProcessEnv): string | undefined {
  const named = environment['TRIBUTARY_CONFIG']
  if (named) {
    if (!existsSync(named))
      throw new AppError('config_invalid', 400, `TRIBUTARY_CONFIG names ${named}, which does not exist.`)
    return resolve(named)
  }
  return existsSync('tributary.yaml') ? resolve('tributary.yaml') : undefined
}
