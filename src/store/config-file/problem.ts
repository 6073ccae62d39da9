import { AppError } from '../../base/errors.ts'

/** Names of keys and indexes of lists, from the top of the file. */
export type Path = readonly (string | number)[]

/** One thing that is wrong in a config file. */
export interface Problem {
  path: Path
  /** A sentence for the person who wrote the file; never a secret. */
  reason: string
}

/** `destinations.crm-hook.filters[0].if` */
export function formatPath(path: Path): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${part}`)).join('')
}

/** `0.actions.1.percent`, `settings.url`, `/properties/@if`, `mappings[0].action` as a path. */
export function splitPlace(place: string): (string | number)[] {
  const separator = place.startsWith('/') ? /\// : /[.[\]]+/
  const parts = place.split(separator).filter((part) => part !== '')
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part))
}

/** The refusal of a whole file: one line for each problem, `FILE:LINE: PATH: reason`. */
export function configInvalid(lines: string[]): AppError {
  return new AppError('config_invalid', 400, lines.join('\n'), { hint: 'Nothing was changed.' })
}
