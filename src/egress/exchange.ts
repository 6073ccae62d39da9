/** One request and its answer on one connection of a pool. */
import type { Dispatcher } from 'undici'
import type { Deadline, Deadlines } from './deadlines.ts'
import { SendFailed } from './errors.ts'

/** Kept of the body of an answer outside 2xx. Four times what delivery stores, because it removes secrets first: a cut at the
 *  final length could leave half of one. */
export const FAILURE_BODY_BYTES_MAX = 16 * 1024

export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
  /** The body goes on after what was read: too long, too slow, or the connection broke. */
  isCut: boolean
}

/**
 * Handles what undici reports of one request. It is a bare dispatch handler, because `pool.request` makes a stream for
 * each body, and nearly all of ours are a few bytes.
 *
 * Once the status has come, the answer is known, and sending again would be wrong: neither an endless body, nor one that drips until
 * the deadline, nor a connection that breaks inside it turns a 200 into a retry (nor a 400 into one). The body is then cut.
 */
export class Exchange implements Dispatcher.DispatchHandler, Deadline {
  readonly dueTick: number
  readonly answer: Promise<Answer>
  #resolve: (answer: Answer) => void
  #reject: (error: Error) => void
  #deadlines: Deadlines
  #bytesMax: number
  #controller: Dispatcher.DispatchController | undefined
  #failure: Error | undefined
  #isSettled = false
  #status = 0
  #headers: Record<string, string | string[] | undefined> = {}
  #chunks: Buffer[] = []
  #bytesKept = 0
  #bytesRead = 0

  constructor(deadlines: Deadlines, dueTick: number, bytesMax: number) {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.answer = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#deadlines = deadlines
    this.dueTick = dueTick
    this.#bytesMax = bytesMax
    deadlines.add(this)
  }

  /** The total time is over, wherever the request is: waiting for a connection, connecting, sending, reading. */
  expire(): void {
    this.#abort(new SendFailed('ETIMEDOUT', 'No complete answer came in time'))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // It expired while it waited for a connection: it must not be sent any more.
    if (this.#failure) controller.abort(this.#failure)
  }

  onResponseStart(_: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    const keepMax = isSuccess(this.#status) ? this.#bytesMax : FAILURE_BODY_BYTES_MAX
    const kept = chunk.subarray(0, keepMax - this.#bytesKept)
    if (kept.byteLength > 0) this.#chunks.push(kept)
    this.#bytesKept += kept.byteLength
    this.#bytesRead += chunk.byteLength
    // A failure's body is read on beyond what is kept, so that the connection can be used again.
    if (this.#bytesRead > this.#bytesMax) this.#abort(new SendFailed('ECONNRESET', 'The answer is too long'))
  }

  onResponseEnd(): void {
    this.#settle(undefined)
  }

  onResponseError(_: unknown, error: Error): void {
    this.#settle(error)
  }

  #abort(error: Error): void {
    this.#failure = error
    this.#settle(error)
    this.#controller?.abort(error)
  }

  #settle(error: Error | undefined): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#deadlines.remove(this)
    if (error !== undefined && this.#status === 0) this.#reject(error)
    else this.#resolve(this.#takeAnswer(error !== undefined))
  }

  #takeAnswer(isCut: boolean): Answer {
    const headers = joinLists(this.#headers)
    const body = isEncoded(headers) ? '' : textOf(this.#chunks)
    return { status: this.#status, headers, body, isCut: isCut || this.#bytesRead > this.#bytesKept }
  }
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299
}

/** We ask for bytes as they are. What comes compressed all the same is left alone: nothing of it is ever inflated. */
function isEncoded(headers: Record<string, string>): boolean {
  const encoding = headers['content-encoding']
  return encoding !== undefined && encoding.toLowerCase() !== 'identity'
}

function textOf(chunks: Buffer[]): string {
  const [first] = chunks
  if (first === undefined) return ''
  return (chunks.length === 1 ? first : Buffer.concat(chunks)).toString()
}

function joinLists(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const joined: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name] = typeof value === 'string' ? value : value.join(', ')
  }
  return joined
}
