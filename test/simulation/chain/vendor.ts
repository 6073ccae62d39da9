/** The other side of a destination: takes requests in memory, and answers as vendors do: well, badly, late, or so that the answer
 *  is lost on its way back. */
import { ResponseError, type SendRequest } from '../../../src/kit/index.ts'
import type { Random } from '../../../src/base/seeded-random.ts'
import type { Process } from '../scheduler.ts'

/** One request that reached the vendor. */
export interface VendorRequest {
  connection: number
  /** Each mapping has a URL of its own. */
  url: string
  /** Which run of the delivery process sent it. */
  life: number
  messages: VendorMessage[]
  /** The vendor has acted on it. */
  isTaken: boolean
  /** What the sender was told. `final`: it need never send this again. */
  answer: 'none' | 'final' | 'again'
}

export interface VendorMessage {
  messageId: string
  userId: string
}

const answers = ['failed', 'busy', 'refused', 'lost', 'hangs', 'hangs and takes'] as const
type Answer = 'taken' | (typeof answers)[number]

export class Vendor {
  readonly requests: VendorRequest[] = []
  /** How often an answer is not simply 200. */
  trouble = 0
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** Requests of one run of the delivery process. */
  makeSendRequest(
    process: Process,
    life: number,
    traced: (what: string) => void,
  ): (options: { connection: number; timeoutMs: number }) => SendRequest {
    return ({ connection, timeoutMs }) =>
      (url, { body }) =>
        new Promise((resolve, reject) => {
          const messages = [JSON.parse(String(body)) as VendorMessage].flat()
          process.schedule(() => {
            traced(`request ${connection} ${url} ${messages.map(({ messageId }) => messageId).join()}`)
            const answer = this.#draw()
            const request: VendorRequest = {
              connection,
              url,
              life,
              messages,
              isTaken: isTaking(answer),
              answer: 'none',
            }
            this.requests.push(request)
            const waitMs = answer.startsWith('hangs')
              ? timeoutMs
              : this.#random.chance(0.5)
                ? 0
                : this.#random.integer(300)
            process.clock.after(waitMs, () => tell(request, answer, resolve, reject))
          })
        })
  }

  #draw(): Answer {
    return this.#random.chance(this.trouble) ? this.#random.pick(answers) : 'taken'
  }
}

function isTaking(answer: Answer): boolean {
  return answer === 'taken' || answer === 'lost' || answer === 'hangs and takes'
}

type Settle = Parameters<ConstructorParameters<typeof Promise<Awaited<ReturnType<SendRequest>>>>[0]>

function tell(request: VendorRequest, answer: Answer, resolve: Settle[0], reject: Settle[1]): void {
  request.answer = answer === 'taken' || answer === 'refused' ? 'final' : 'again'
  switch (answer) {
    case 'taken':
      return resolve({ status: 200, headers: {}, body: '' })
    case 'failed':
      return reject(new ResponseError(500, {}, ''))
    case 'busy':
      return reject(new ResponseError(429, { 'retry-after': '1' }, ''))
    case 'refused':
      return reject(new ResponseError(400, {}, ''))
    case 'lost':
      return reject(Object.assign(new Error('connection reset'), { code: 'ECONNRESET' }))
    case 'hangs':
    case 'hangs and takes':
      return reject(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }))
  }
}
