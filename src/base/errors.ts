/** Wrong input, refused permission, a missing record: an error that a person or a client can act on.
 *  Every `code` is listed in `error-codes.ts`, which also makes the reference page. */
export class AppError extends Error {
  override name = 'AppError'
  readonly code: string
  /** HTTP status that fits, for the doors. */
  readonly status: number
  /** What to do next, when we know it. */
  readonly hint: string | undefined

  constructor(code: string, status: number, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.status = status
    this.hint = options.hint
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a system or network error (`ENOSPC`, `ECONNRESET`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
