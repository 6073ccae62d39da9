import { parseArgs, type ParseArgsConfig } from 'node:util'
import { AppError } from '../base/errors.ts'

/** One command of the command line. */
export interface Command {
  /** One line for the list of commands. */
  summary: string
  /** The rest of `--help`: usage, what it does, examples. */
  help: string
  run(input: CommandInput): Promise<number>
}

export interface CommandInput {
  arguments: string[]
  environment: NodeJS.ProcessEnv
  /** Prints a line to stdout and resolves when it is written: output must be complete when piped. */
  print(line: string): Promise<void>
  /** Prints a line to stderr. */
  complain(line: string): void
}

/** Wrong use of the command line: exit code 2. */
export class UsageError extends AppError {
  constructor(message: string, hint?: string) {
    super('usage', 400, message, hint === undefined ? {} : { hint })
  }
}

type Options = NonNullable<ParseArgsConfig['options']>

/** Reads options and words. Throws `UsageError` for unknown options and for the wrong number of words. */
export function readArguments<const O extends Options>(
  args: string[],
  options: O,
  words: { min: number; max: number; names: string },
) {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true })
    if (parsed.positionals.length < words.min || parsed.positionals.length > words.max)
      throw new UsageError(`Expected ${words.names}.`)
    return parsed
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** A whole number of at least `min`, or the default. */
export function readNumber(text: string | undefined, name: string, fallback: number, min = 0): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isFinite(value) || value < min)
    throw new UsageError(`--${name} is "${text}"; it must be a number of at least ${min}.`)
  return value
}
