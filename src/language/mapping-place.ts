/** A place in a mapping while it is compiled: where it is, what is wrong there, and how to go on below it. */
import { isObject } from './own-properties.ts'

/** Makes the value for one message, or undefined when there is none. Never changes the message, but may share parts of it. */
export type Resolve = (payload: unknown) => unknown

export interface MappingProblem {
  /** Where in the mapping: `/properties/@if/then`, `/` for the whole. */
  path: string
  /** A sentence without its subject: `should be a string but it is a number`. */
  problem: string
}

/** The mapping itself is wrong (`problems`), or it cannot be resolved for this message. */
export class MappingError extends Error {
  override name = 'MappingError'
  readonly problems: MappingProblem[]
  constructor(problems: MappingProblem[]) {
    super(problems.map(({ path, problem }) => `${path} ${problem}.`).join(' '))
    this.problems = problems
  }
}

/** A place in the mapping that is being compiled; collects what is wrong. */
export class Place {
  readonly path: readonly string[]
  readonly problems: MappingProblem[]
  /** Keys are taken as they are (below `@literal`), rather than as field names with dots and `[n]`. */
  readonly hasPlainKeys: boolean

  private readonly compileValue: (value: unknown, place: Place) => Resolve

  constructor(
    compileValue: (value: unknown, place: Place) => Resolve,
    path: readonly string[] = [],
    problems: MappingProblem[] = [],
    hasPlainKeys = false,
  ) {
    this.compileValue = compileValue
    this.path = path
    this.problems = problems
    this.hasPlainKeys = hasPlainKeys
  }

  /** The resolver of a value or directive that stands here. */
  compile(value: unknown): Resolve {
    return this.compileValue(value, this)
  }

  at(key: string | number): Place {
    return new Place(this.compileValue, [...this.path, String(key)], this.problems, this.hasPlainKeys)
  }

  withPlainKeys(): Place {
    return new Place(this.compileValue, this.path, this.problems, true)
  }

  /** Notes a problem; the resolver it returns is never run, since a mapping with problems is not used. */
  refuse(problem: string): Resolve {
    this.problems.push(this.problem(problem))
    return () => undefined
  }

  /** The failure of a directive at this place for one message. */
  failure(problem: string): MappingError {
    return new MappingError([this.problem(problem)])
  }

  private problem(problem: string): MappingProblem {
    return { path: `/${this.path.join('/')}`, problem }
  }
}

/** True for an object with a key that starts with `@`. */
export function isDirective(value: unknown): value is Record<string, unknown> {
  return isObject(value) && Object.keys(value).some((key) => key.startsWith('@'))
}

/** A value's type with its article: `an object`. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return `${value}`
  const type = Array.isArray(value) ? 'array' : typeof value
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
}
