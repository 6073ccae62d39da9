/** The SDKs: make batches, send them, and send again what nobody acknowledged. */
import { encodeReceived } from '../../../src/journal/index.ts'
import type { Random } from '../../../src/base/seeded-random.ts'
import { sources } from './configuration.ts'

/** One request as a client made it. It may be sent several times. */
export interface Batch {
  source: number
  messageCount: number
  body: Buffer
}

/** One sending of a batch. */
export interface Sending {
  number: number
  batch: Batch
  /** `refused`: answered with 503; `none`: no answer yet, or never. */
  answer: 'none' | 'acknowledged' | 'refused'
}

export class Clients {
  readonly sendings: Sending[] = []
  readonly #random: Random
  /** Messages that were made, to be sent again with the same id. */
  readonly #made: object[] = []

  constructor(random: Random) {
    this.#random = random
  }

  /** A batch to send now: a new one, or one whose last sending was not acknowledged. */
  next(): Sending {
    const unanswered = this.sendings.filter(({ answer }) => answer !== 'acknowledged')
    const batch =
      unanswered.length > 0 && this.#random.chance(0.4) ? this.#random.pick(unanswered).batch : this.#newBatch()
    const sending: Sending = { number: this.sendings.length, batch, answer: 'none' }
    this.sendings.push(sending)
    return sending
  }

  /** The frame body of a sending. Its number stands in the client address, where the product does not look twice. */
  bodyOf({ number, batch }: Sending): Uint8Array[] {
    const head = { route: 'batch', workspace: 1, ip: addressOf(number), messageBytesMax: 32_768 } as const
    return encodeReceived(head, batch.body)
  }

  #newBatch(): Batch {
    const messages = Array.from({ length: 1 + this.#random.integer(4) }, () => this.#message())
    const source = this.#random.pick(sources)
    return { source, messageCount: messages.length, body: Buffer.from(JSON.stringify({ batch: messages })) }
  }

  #message(): object {
    const random = this.#random
    if (this.#made.length > 0 && random.chance(0.25)) return random.pick(this.#made)
    const user = `user-${random.integer(4)}`
    const id = random.chance(0.06) ? {} : { messageId: `id-${this.#made.length}` }
    const message = random.chance(0.08)
      ? { type: 'track', userId: user, ...id }
      : random.chance(0.2)
        ? { type: 'identify', userId: user, ...id, traits: { [`trait_${random.integer(3)}`]: random.integer(100) } }
        : { type: 'track', userId: user, ...id, event: `Event ${random.integer(3)}`, properties: this.#properties() }
    this.#made.push(message)
    return message
  }

  #properties(): object {
    const random = this.#random
    return {
      [`property_${random.integer(6)}`]: random.integer(100),
      ...(random.chance(0.2) ? { twice: true } : {}),
      ...(random.chance(0.1) ? { drop: true } : {}),
      ...(random.chance(0.2) ? { text: 'x'.repeat(random.integer(1500)) } : {}),
    }
  }
}

function addressOf(number: number): string {
  return `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`
}

/** The number of the sending that a frame of `received` is. */
export function sendingOf(head: { ip?: string }): number {
  const [, a = 0, b = 0, c = 0] = (head.ip ?? '').split('.').map(Number)
  return (a << 16) | (b << 8) | c
}
