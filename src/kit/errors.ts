/** What a connector may throw to say how an attempt ended. Everything else that it throws is classified by
 *  `delivery/classify.ts` (an HTTP status, a socket code) or ends as `INTERNAL`. */

/** The answer was not 2xx. */
export class ResponseError extends Error {
  override name = 'ResponseError'
  readonly status: number
  readonly headers: Record<string, string>
  /** At most 16 KiB, of which delivery keeps 4 once secrets are removed. */
  readonly body: string
  constructor(status: number, headers: Record<string, string>, body: string) {
    super(`The destination answered ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
  }
}

/** Try again later, at the earliest after `afterMs`. */
export class Retry extends Error {
  override name = 'Retry'
  readonly afterMs: number | undefined
  constructor(message: string, afterMs?: number) {
    super(message)
    this.afterMs = afterMs
  }
}

/** This payload will never be taken. */
export class BadPayload extends Error {
  override name = 'BadPayload'
}

/** The settings or credentials will never be taken. */
export class BadSettings extends Error {
  override name = 'BadSettings'
}
